"""Every benchmark at its smallest size, in this process: it reaches its last line.

Sizes are so small that no figure means anything; bars are printed and not asked for.
"""

import ast
import importlib
import io
import multiprocessing
import re
import resource
import subprocess
import sys
from concurrent.futures import Future
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch

from benchmarks import streaming
from benchmarks.recipes import REAL
from semisupcon.data.workers import _end_workers
from semisupcon.datasets.synthesis import render

ROOT = Path(__file__).resolve().parents[1]
STEP = ("--trainer.max_steps", "1", "--data.batch_size", "8", "--trainer.limit_val_batches", "0")
STEP += ("--trainer.enable_progress_bar", "false", "--monitor", "null", "--draw_every", "0")
STEP += ("--trainer.log_every_n_steps", "1")


class Case(NamedTuple):
    """A benchmark, its arguments and its last line.

    Attributes:
        module: below ``benchmarks``.
        arguments: ``{out}`` and ``{data}`` stand for folders.
        last: the last line that is printed, as a regular expression.
        slow: leave it to ``make test-slow``.
    """

    module: str
    arguments: tuple[str, ...]
    last: str = r"RESULT \S+ \S+ [<>]=\S+"
    slow: bool = False


PUBLISHED = "RESULT log_mel_resnet_times_the_published .*"
ROW = r"\| .* \|"
SUITE = ("--data", "{data}", "--seeds", "[0]")
COLA = ("--only", "cosine, batch of 48")
CASES = [
    Case("augment", ("--tiny",), "RESULT mtslvr_over_workers .*"),
    Case("augment", ("--tiny", "--table"), r"\| time_mask \(MT-SLVR\).*", slow=True),
    Case("augment", ("--tiny", "--profile"), "Self CPU time total: .*", slow=True),
    Case("augmentation_gallery", ("{data}/gallery", "{out}"), r"augmentations_3\.png .*"),
    Case("bench", ("--tiny", "--only", "loss", "--out", "{out}/bench.json"), r"Wrote .*bench\.md"),
    Case("chunks", ("--tiny",), "RESULT times_less_memory_in_chunks_of_4 .*"),
    Case(
        "datasets",
        ("--only", "fsdd_digit", "--data", "{data}", "--folder", "{out}"),
        ROW,
        slow=True,
    ),
    Case("demo", ("--folder", "{out}", "--supervised", *STEP), "Pictures, .*", slow=True),
    Case("digits", ("--data_dir", "{data}/fsdd", "--folder", "{out}", *STEP), ROW, slow=True),
    Case("explore", ("--tiny", "--no_browser")),
    Case("explore", ("--tiny",), slow=True),
    Case("export", ("--tiny",)),
    Case("io", ("--tiny",), "RESULT packed_loader_crops_per_second .*"),
    Case("kills", ("--kills", "1", "--only", "export"), "RESULT seconds_until_other_ranks_.*"),
    Case("labels", ("--tiny",)),
    Case("learning", ("--folder", "{out}", "--only", "COLA", "--seeds", "6", *STEP), slow=True),
    Case("loss", ("--tiny",), "RESULT 500_labels_few_over_product .*"),
    Case("online_probes", ("--tiny",), "RESULT online_probes_cpu_percent .*"),
    Case("probe", ("--tiny", "--repeats", "1"), "RESULT same_accuracy .*"),
    Case("probe_suite", ("--folder", "{out}", "--root", "{out}", *SUITE, *STEP), ".*", slow=True),
    Case("search", ("--tiny",)),
    Case("similarities", ("--folder", "{out}", "--seeds", "0", *STEP), ROW, slow=True),
    Case("scan", ("--files", "40", "--links", "100", "--rounds", "1"), r"RESULT warm_seconds .*"),
    Case("start", ("--clips", "1000"), r"RESULT start_gb \S+ <=0.6"),
    Case("steady", ("--steps", "6", "--files", "12", "--every", "0.05", "--figure", "{out}/a.png")),
    Case("step", ("--tiny", "--only", "log_mel_resnet", "--workers", "1", "--profile"), PUBLISHED),
    Case("step", ("--tiny",), PUBLISHED, slow=True),
    Case("outside", ("--tiny",), r"RESULT folder_over_files_60_s \S+ >=0.7"),
    Case("streaming", ("--tiny",), "RESULT fewer_bytes_than_whole_clips 2.778 >=2", slow=True),
    Case("suggest", ("--tiny",), ROW),
    Case("workers", ("--cases", "killed"), "RESULT killed_seconds .*"),
    Case("evidence.__main__", ("cola", "--data", "{data}", "--quick", "--jobs", "1", *COLA), ROW),
]
FEW = {name: REAL[name] for name in ("fsdd_digit", "fsdd_speaker", "esc10")}
# Benchmarks whose files of tests have more to say: each calls ``main``.
ELSEWHERE = {
    "embed_memory": "test_embed_memory.py",
    "evidence.baselines": "test_baselines_study.py",
    "evidence.check": "test_evidence.py",
    "evidence.few_shot": "test_few_shot_study.py",
    "fuzz": "test_fuzz.py",
    "gpu": "test_gpu.py",
    "mutants.__main__": "test_mutants.py",
    "notebooks": "test_notebooks.py",
    "odd_files": "test_odd_files.py",
    "published_steps": "test_published_steps.py",
    "scores.__main__": "test_scores_builder.py",
}


class Inline:
    """A pool of processes that does its work here, when it is given."""

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def submit(self, function, *args):
        future = Future()
        future.set_result(function(*args))
        return future


def run_here(command, given=subprocess.run, **how):
    """A benchmark that is started in a process of its own, in this one; everything else as it
    is."""
    if command[:2] != [sys.executable, "-m"]:
        return given(command, **how)
    text = io.StringIO()
    with redirect_stdout(text):
        status = importlib.import_module(command[2]).main(command[3:])
    return subprocess.CompletedProcess(command, status, text.getvalue(), "")


@pytest.fixture(scope="module")
def data(tmp_path_factory, digits):
    """Folders laid out like the data sets that studies ask for."""
    root = tmp_path_factory.mktemp("data")
    (root / "fsdd" / "recordings").mkdir(parents=True)
    (root / "esc10" / "audio").mkdir(parents=True)
    (root / "esc10" / "meta").mkdir()
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for file in (digits / "recordings").iterdir():
        name = file.name.replace("ann", "george").replace("bob", "theo")
        (root / "fsdd" / "recordings" / name).symlink_to(file)
        digit, speaker, repetition = file.stem.split("_")
        fold, target = int(repetition) % 5 + 1, int(digit)
        name = f"{fold}-{speaker}{repetition}-A-{target}.wav"
        (root / "esc10" / "audio" / name).symlink_to(file)
        rows.append(f"{name},{fold},{target},{'abc'[target]},True,{speaker}{repetition},A")
    (root / "esc10" / "meta" / "esc50.csv").write_text("\n".join(rows) + "\n")
    (root / "gallery").mkdir()
    gallery = importlib.import_module("benchmarks.augmentation_gallery")
    ends = {}
    for name, start, *_ in gallery.CLIPS:
        ends[name] = max(start + gallery.SECONDS, ends.get(name, 0))
    rng = np.random.default_rng(0)
    for name, end in ends.items():
        noise = 0.1 * rng.standard_normal(int((end + 0.1) * gallery.RATE))
        soundfile.write(root / "gallery" / f"a_{name}.ogg", noise, gallery.RATE)
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def tiny(monkeypatch, cache, tmp_path):
    """A small embedded set, no processes but forked ones, and nothing left behind."""
    monkeypatch.setenv("SEMISUPCON_CACHE", str(cache))
    monkeypatch.setattr(render, "__defaults__", (None, 160, 2.0, False))
    monkeypatch.setattr("benchmarks.learning.CLIPS", 170)
    monkeypatch.setattr("benchmarks.learning.EMBEDDED", 160)
    monkeypatch.setattr("benchmarks.learning.ProcessPoolExecutor", Inline)
    monkeypatch.setattr("benchmarks.demo.ProcessPoolExecutor", Inline)
    monkeypatch.setattr(subprocess, "run", run_here)
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    monkeypatch.setattr("semisupcon.memory.keep_freed_memory", lambda: False)
    monkeypatch.setattr("benchmarks.probe_suite.REAL", FEW)
    monkeypatch.chdir(tmp_path)
    threads, before = torch.get_num_threads(), multiprocessing.active_children()
    yield
    torch.set_num_threads(threads)
    _end_workers()
    for child in multiprocessing.active_children():
        if child not in before:
            child.kill()


def parameters(cases):
    """Parameters of a test, each with its name and marks."""
    for case in cases:
        words = (word for word in (case.module, *case.arguments[:3]) if "{" not in word)
        yield pytest.param(case, id=" ".join(words), marks=[pytest.mark.slow] if case.slow else [])


def reach_the_end(case, capsys, **folders):
    """The lines that a benchmark prints."""
    main = importlib.import_module(f"benchmarks.{case.module}").main
    assert main([a.format(**folders) if a.startswith("{") else a for a in case.arguments]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert re.fullmatch(case.last, lines[-1]), lines[-1]
    return lines


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("case", parameters(CASES))
def test_it_reaches_its_last_line(case, tmp_path, data, capsys):
    out = tmp_path / "out"
    for folder in ("docs", "media"):
        (out / folder).mkdir(parents=True)
    reach_the_end(case, capsys, out=out, data=data)


@pytest.mark.usefixtures("tiny")
@pytest.mark.slow
def test_streaming_without_workers(monkeypatch, capsys):
    rate, resumes = streaming.clips_a_second, streaming.resumes
    monkeypatch.setattr(streaming, "clips_a_second", lambda e, f, w, *more: rate(e, f, 0, *more))
    monkeypatch.setattr(streaming, "resumes", lambda e, f, *_: resumes(e, f, 0, 0))
    lines = reach_the_end(next(c for c in CASES if c.module == "streaming"), capsys)
    assert lines[-2] == "RESULT ours_resumes_exactly 1 >=1"


def with_main():
    """The modules below ``benchmarks`` that have a function ``main``."""
    for file in sorted((ROOT / "benchmarks").rglob("*.py")):
        body = ast.parse(file.read_text()).body
        if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in body):
            yield ".".join(file.relative_to(ROOT / "benchmarks").with_suffix("").parts)


def test_no_benchmark_is_without_a_test():
    assert set(with_main()) == {case.module for case in CASES} | set(ELSEWHERE)
    slow = {c.module for c in CASES} - {c.module for c in CASES if not c.slow} - {"streaming"}
    files = {**ELSEWHERE, **dict.fromkeys(slow, "test_studies.py")}
    for module, file in files.items():
        text = (ROOT / "tests" / "benchmarks" / file).read_text()
        name = module.split(".")[-1]
        assert re.search(rf"\b({name}|driver)\.main\(|= main\(|assert main\(", text), module

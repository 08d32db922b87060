"""What studies do with the results of their runs, which are made up here: no run, no probe.

Their runs, at tiny size, are in ``make test-slow`` (``tests/test_benchmarks.py``).
"""

import pandas as pd
import pytest
import torch

from benchmarks import datasets, demo, digits, learning, probe_suite, similarities
from benchmarks.recipes import BESIDE

METRICS = {"synthetic_tags": "roc_auc", "synthetic_affect": "r2"}


def pretrained(recipe, folder, name, seed, more=(), small=True):
    """A run that was never made, of two logged steps."""
    run = folder / name
    run.mkdir(parents=True)
    pd.DataFrame({"step": [1, 2], "loss": [2.0, 1.0]}).to_csv(run / "metrics.csv", index=False)
    torch.save({"state_dict": {"w": torch.ones(1)}}, run / "last.ckpt")
    return run


def probed(tasks, runs, out, seed, more=(), beside=("random",)):
    """Results as a probe gives them: 0.5 untrained, 0.75 trained, and a second metric."""
    rows = []
    for task in (name.partition("=")[0] for name in tasks):
        for checkpoint in (*runs, *beside):
            metric = METRICS.get(task, "accuracy")
            value = 0.5 if checkpoint in beside else 0.75
            rows += [(task, checkpoint, metric, value), (task, checkpoint, "other", 0.1)]
    return pd.DataFrame(rows, columns=["task", "checkpoint", "metric", "value"])


@pytest.fixture(autouse=True)
def made_up(monkeypatch, tmp_path):
    for module in (datasets, digits, learning, similarities, demo):
        monkeypatch.setattr(module, "pretrain", pretrained)
        monkeypatch.setattr(module, "probe", probed)
    monkeypatch.setattr(learning, "CLIPS", 6)
    monkeypatch.setattr(learning, "EMBEDDED", 3)
    monkeypatch.setattr(learning, "ProcessPoolExecutor", Inline)
    monkeypatch.setattr(demo, "ProcessPoolExecutor", Inline)
    monkeypatch.setattr(demo, "render", lambda: None)
    monkeypatch.setattr(demo, "draw_tsne", lambda run, picture: picture.touch())
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


class Inline:
    """A pool of processes that does its work here, when it is asked for."""

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def submit(self, function, *args):
        self.result = lambda: function(*args)
        return type("Result", (), {"result": staticmethod(self.result)})


def table(capsys):
    """Rows of the table that is printed, as lists of cells."""
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines]


def test_datasets(tmp_path, capsys):
    assert datasets.main(["--data", str(tmp_path), "--folder", str(tmp_path)]) == 0
    rows = table(capsys)
    assert rows[0] == ["task", "metric", "two-epochs", *BESIDE]
    assert rows[2] == ["fsdd_digit", "accuracy", "75.0", "50.0", "50.0", "50.0"]
    assert ["esc10", "accuracy", "75.0 ± 0.0", *["50.0 ± 0.0"] * 3] in rows
    assert (tmp_path / "results.md").exists()


def test_demo(tmp_path, capsys):
    folder = tmp_path / "demo"
    assert demo.main(["--folder", str(folder), "--supervised", "--seeds", "0", "1"]) == 0
    rows = table(capsys)
    assert rows[0] == ["task", "metric", *demo.RUNS, *BESIDE]
    assert [row[0] for row in rows[2:]] == list(demo.TASKS)
    assert len(list(folder.glob("tsne-*.png"))) == 6


def test_digits(tmp_path, capsys):
    assert digits.main(["--data_dir", str(tmp_path), "--folder", str(tmp_path)]) == 0
    rows = table(capsys)
    assert rows[0][2:] == [
        *("self-supervised", "semi-supervised-5", "semi-supervised-100", "supervised"),
        *BESIDE,
    ]
    assert [row[0] for row in rows[2:]] == ["fsdd_digit", "fsdd_speaker"]


def test_learning(tmp_path, capsys):
    command = ["--folder", str(tmp_path), "--only", "COLA", "CPC", "--seeds", "1", "2", "--check"]
    assert learning.main(command) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "RESULT learning/CPC/difference_when_run_again 0 <=0"
    assert "| COLA | ResNet-18, log-mel | 200 |" in said
    assert learning.main(command) == 0, "what is in the CSV is not run again"
    assert capsys.readouterr().out == said


def test_similarities(tmp_path, capsys):
    assert similarities.main(["--folder", str(tmp_path)]) == 0
    rows = table(capsys)
    assert rows[0] == ["task", "metric", "self-supervised", "graded", "random"]
    assert [row[:2] for row in rows[2:]] == [
        ["synthetic_pitch", "accuracy"],
        ["synthetic_affect", "r2"],
    ]


def test_probe_suite_puts_its_table_into_the_page(tmp_path, monkeypatch):
    asked = []

    def probe(args):
        asked.append(args)
        out = tmp_path / "runs" / "report"
        out.mkdir(parents=True, exist_ok=True)
        for name in ("report.html", "report.md"):
            (out / name).write_text("| new |")
        return 0

    monkeypatch.setattr(probe_suite, "probe", probe)
    monkeypatch.setattr(probe_suite, "pretrain", pretrained)
    monkeypatch.setattr(probe_suite, "pictures", lambda out, media: None)
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "probing.md"
    page.write_text(f"Before.\n{probe_suite.BEGIN}\n| old |\n{probe_suite.END}\nAfter.\n")
    folders = ["--data", str(tmp_path), "--folder", str(tmp_path / "runs")]
    assert probe_suite.main([*folders, "--root", str(tmp_path)]) == 0
    end = f"{probe_suite.BEGIN}\n\n| new |\n{probe_suite.END}\nAfter.\n"
    assert page.read_text() == f"Before.\n{end}"
    assert (tmp_path / "docs" / "probing.html").exists()
    assert len(asked) == 2

"""Probes while a run trains, through the command: what they log, what they score, and that they
change nothing else."""

import csv
import os
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile

from semisupcon.checkpoints import read_checkpoint
from semisupcon.training import probe_clips, probes
from semisupcon.training.probe_clips import _paths
from tests.pretraining.runs import ROOT, assert_same, pretrain, rows, stopping

SHORT = ("--trainer.max_steps", "4", "--trainer.val_check_interval", "2", "--run_name", "r")


def train(root, runs, *more, recipe="pretrain_smsl"):
    """A short run on the tones, with their register as labels."""
    labels = ("--data.sl_task", "csv", "--data.sl_kwargs.label", "register")
    labels = labels if recipe == "pretrain_smsl" else ()
    return pretrain(root, runs, *SHORT, *labels, *more, recipe=recipe)


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """60 tones with a class, a pitch and tags, 40 for training and 20 for validation."""
    root, rng = tmp_path_factory.mktemp("tones"), np.random.default_rng(1)
    lines = [("path", "register", "pitch", "tags", "split", "other", "third")]
    for i in range(60):
        pitch = 200 + 20 * (i % 20)
        tone = np.sin(2 * np.pi * pitch * np.arange(4000) / 8000)
        soundfile.write(root / f"{i:02}.wav", 0.3 * tone + 0.02 * rng.standard_normal(4000), 8000)
        tags = ";".join(t for t, yes in (("low", i % 20 < 10), ("even", i % 2 == 0)) if yes)
        register = ("low", "middle", "high")[i % 20 // 7]
        split = "train" if i < 40 else "val", "val" if 30 <= i < 50 else "train"
        lines.append((f"{i:02}.wav", register, pitch, tags, *split, "train" if i < 50 else "test"))
    with (root / "annotations.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return root


def test_they_do_not_depend_on_where_the_folder_lies(tones, tmp_path):
    shutil.copytree(tones, tmp_path / "elsewhere")
    found = []
    for folder in (tones, tmp_path / "elsewhere"):
        task = ("--probe.tasks", "[csv]", "--probe.task_kwargs.csv.root", str(folder))
        label = ("--probe.task_kwargs.csv.label", "register", "--data.ssl_task", "csv")
        apart = ("--data.ssl_kwargs.label", "register")
        where = tmp_path / "runs" / folder.name
        assert train(folder, where, *task, *label, *apart, recipe="pretrain_ssl") == 0
        found.append(rows(where / "r")[0])
    names = [name for name in found[0] if name.startswith(("val_knn", "val_linear"))]
    assert names
    assert all(found[0][name] == found[1][name] for name in names)


def test_a_run_logs_them_before_training_at_validations_and_in_between(tones, tmp_path, caplog):
    with caplog.at_level("INFO"):
        options = ("--probe.every", "1", "--monitor", "val_knn", "--draw_every", "1000")
        assert train(tones, tmp_path, *options) == 0
    found = [row for row in rows(tmp_path / "r") if row["val_knn"]]
    assert len(found) == 5
    assert [row["step"] for row in found] == ["0", "0", "1", "2", "3"]
    logged = {int(row["step"]): row["val_knn"] for row in found}
    assert sorted(logged) == [0, 1, 2, 3]  # before step 1; after 1 and 3; validations: 2 and 4
    assert all(0 <= float(value) <= 1 for value in logged.values())
    assert "probes: 20 labelled clips of csv" in caplog.text
    assert "probes: 5 times in" in caplog.text
    (keep,) = (
        state
        for state in read_checkpoint(tmp_path / "r" / "best.ckpt")["callbacks"].values()
        if isinstance(state, dict) and state.get("monitor") == "val_knn"
    )
    assert keep["best"] == max(float(logged[1]), float(logged[3]))
    assert (tmp_path / "r" / "figures" / "probes.png").stat().st_size > 10_000


def test_they_change_nothing_of_the_training(tones, tmp_path):
    for name, options in (("with", ("--probe.every", "1")), ("without", ("--probe.tasks", "[]"))):
        assert train(tones, tmp_path, "--run_name", name, *options) == 0
    a, b = (read_checkpoint(tmp_path / name / "last.ckpt") for name in ("with", "without"))
    for part in ("state_dict", "optimizer_states"):
        assert_same(a[part], b[part], part)
    assert not (tmp_path / "with" / "figures").exists()  # --draw_every 0
    ours, theirs = rows(tmp_path / "with"), rows(tmp_path / "without")
    assert not any("val_knn" in row for row in theirs)
    losses = [[row["loss"] for row in of if row.get("loss")] for of in (ours, theirs)]
    assert losses[0] == losses[1]


def test_a_stopped_and_resumed_run_logs_the_same(tones, tmp_path):
    """Stopped after a step whose probe is logged between two rows of Lightning."""
    options = ("--probe.every", "1", "--trainer.max_steps", "5")
    assert train(tones, tmp_path, *options, "--run_name", "whole") == 0
    stop = stopping(3, signal.SIGTERM)
    assert train(tones, tmp_path, *options, "--run_name", "part", *stop) == 143
    again = ("--resume_from_checkpoint", str(tmp_path / "part"))
    assert train(tones, tmp_path, *options, "--run_name", "part", *again) == 0
    assert rows(tmp_path / "part") == rows(tmp_path / "whole")


def test_the_scored_clips_are_never_trained_on(tones, tmp_path, monkeypatch):
    """Tasks with another split of the same audio: validation clips that the run trains on are left
    out; without official validation clips, the run's own are taken, but no test clips."""
    seen = {}

    def watch(data, *args):
        seen["train"] = set(data.drawn.table.loc[data.drawn.table["split"] == "train", "path"])
        return taken(data, *args)

    def decoded(name, clips, chosen, *args):
        seen[name] = {str(clips.table["path"].iloc[i]) for i in chosen}
        return kept(name, clips, chosen, *args)

    taken, kept = probe_clips.probed_tasks, probe_clips._decoded
    monkeypatch.setattr(probes, "probed_tasks", watch)
    monkeypatch.setattr(probe_clips, "_decoded", decoded)
    tasks = [
        *("--probe.tasks", "[s=csv,d=csv]", "--probe.task_kwargs.s.label", "register"),
        *("--probe.task_kwargs.d.label", "register", "--probe.task_kwargs.s.split", "other"),
        *("--probe.task_kwargs.d.split", "third"),
    ]
    assert train(tones, tmp_path, *tasks) == 0
    inside = {str((tones / f"{i:02}.wav").resolve()) for i in range(40, 50)}
    assert seen["s"] == seen["d"] == inside
    assert len(seen["train"]) == 40
    assert not inside & seen["train"]
    names = {"val_knn", "val_linear", "val_knn_s", "val_linear_s", "val_knn_d", "val_linear_d"}
    row = next(row for row in rows(tmp_path / "r") if row["val_top1"])
    assert names <= row.keys()
    mean = (float(row["val_knn_s"]) + float(row["val_knn_d"])) / 2
    assert float(row["val_knn"]) == pytest.approx(mean)


def test_multilabel_and_regression(tones, tmp_path):
    kinds = (
        *("--probe.tasks", "[pitch=csv,tags=csv]"),
        "--probe.task_kwargs.pitch.root",
        str(tones),
        "--probe.task_kwargs.tags.root",
        str(tones),
        "--probe.task_kwargs.pitch.label",
        "pitch",
        "--probe.task_kwargs.pitch.kind",
        "regression",
        *("--probe.task_kwargs.tags.label", "tags", "--probe.task_kwargs.tags.kind", "multilabel"),
    )
    apart = ("--data.ssl_task", "csv", "--data.ssl_kwargs.label", "register")
    assert train(tones, tmp_path, *kinds, *apart, recipe="pretrain_ssl") == 0
    row = rows(tmp_path / "r")[0]
    assert float(row["val_linear_tags"]) > 0.6  # low or even: an untrained encoder hears pitch
    assert float(row["val_linear_pitch"]) <= 1


def test_clips_that_the_run_trains_on_are_no_validation_clips(tones, tmp_path, capsys):
    named = ("--probe.tasks", "[csv]", "--probe.task_kwargs.csv.label", "register")
    assert train(tones, tmp_path, *named, recipe="pretrain_ssl") == 2
    assert "the run trains on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--probe.tasks", "[fsdd_digits]"], "fsdd_digits"),
        (["--probe.task", "[fsdd_digit]"], "Did you mean --probe.tasks?"),
        (["--probe.tasks", "[]", "--monitor", "val_knn"], "--monitor val_knn is not measured"),
        (["--monitor", "val_knn_digits"], "Measured: val_knn, val_linear."),
        (["--probe.every", "-1"], "--probe.every must not be negative"),
        (["--probe.clips", "3"], "--probe.clips must be at least 10"),
        (["--probe.tasks", "[gtzan]", "--probe.task_kwargs.gtzan.root", "/no"], "/no"),
        (
            ["--probe.tasks", "[a=csv,a=csv]", "--probe.task_kwargs.a.label", "register"],
            "of one name",
        ),
        (["--probe.tasks", "[csv]", "--probe.task_kwargs.csv.sed", "1"], "sed"),
    ],
)
def test_mistakes(tones, tmp_path, capsys, options, said):
    with_status = 0
    try:
        with_status = train(tones, tmp_path, *options)
    except SystemExit as end:
        with_status = end.code
    told = capsys.readouterr().err
    assert with_status == 2
    assert said in told
    assert "Traceback" not in told
    assert not (tmp_path / "r" / "last.ckpt").exists()


def test_too_few_clips_are_left_out_of_the_default_and_an_error_by_name(tmp_path, capsys, caplog):
    root = tmp_path / "few"
    for i in range(16):
        (root / f"c{i % 2}").mkdir(parents=True, exist_ok=True)
        audio = np.random.default_rng(i).standard_normal(4000) * 0.1
        soundfile.write(root / f"c{i % 2}" / f"{i}.wav", audio, 8000)
    of_folders = ("--data.sl_task", "class_folders")
    with caplog.at_level("INFO"):
        assert pretrain(root, tmp_path, *SHORT, *of_folders) == 0
    assert "class_folders is not probed while training" in caplog.text
    named = ("--probe.tasks", "[class_folders]", "--run_name", "s")
    assert pretrain(root, tmp_path, *SHORT, *of_folders, *named) == 2
    assert "needs at least 10" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_through_the_command(tones, tmp_path):
    script = (
        "import sys, torch; torch.set_num_threads(1); from pathlib import Path; "
        "from tests.pretraining.test_online_probes import train; "
        f"sys.exit(train(Path({str(tones)!r}), Path({str(tmp_path)!r}), '--probe.every', '1', "
        "'--monitor', 'val_linear', '--trainer.devices', '2', '--trainer.num_nodes', '1'))"
    )
    (tmp_path / "runner.py").write_text(script)
    runner = "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"
    done = subprocess.run(
        [sys.executable, *runner, str(tmp_path / "runner.py")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    logged = [float(row["val_linear"]) for row in rows(tmp_path / "r") if row["val_linear"]]
    assert len(logged) == 5
    assert all(0 <= value <= 1 for value in logged)


def test_help_lists_the_options(capsys):
    from semisupcon.commands.quick import quick

    assert quick(["--help"]) == 0
    told = capsys.readouterr().out
    assert "--probe.tasks" in told
    assert "--probe.every" in told


def test_clips_of_packed_audio_are_known_by_their_names():
    table = pd.DataFrame({"path": ["/a", "/b"], "clip": [7, 8], "split": ["train", "val"]})
    data = SimpleNamespace(drawn=SimpleNamespace(table=table), packed=None)
    assert _paths(data, "train") == ({"/a"}, set())
    data.packed = "folder"
    assert _paths(data, "train") == ({"/a"}, {7})
    assert _paths(SimpleNamespace(), "train") == (set(), set())

"""The benchmarks of kills, dying workers and steady memory: they kill, watch and compare as they
say."""

import json
import os
import random
import sys

import numpy as np
import pytest
import torch

from benchmarks import forked, kills, steady, workers
from benchmarks.forked import ended, left_running, start
from semisupcon.data.workers import WorkerError
from semisupcon.files import write_text

SLEEP = "import time; time.sleep(30)"


@pytest.fixture
def command(monkeypatch):
    """A command that writes one file in 0.3 s, in the place of those of the package."""

    def write(args):
        import time

        time.sleep(0.3)
        write_text(args[0], json.dumps(args))
        return int(args[1])

    monkeypatch.setattr("semisupcon.__main__.main", write)


def test_a_command_is_killed_until_the_kills_are_spent_and_compared(command, tmp_path, capsys):
    def arguments(out):
        return [str(out / "file"), "0"]

    job = kills.Job(arguments, arguments, lambda out: [], lambda out: [(out / "file").exists()])
    hits, unloadable, stayed, equal, _ = kills.try_job("one", job, 4, random.Random(0), tmp_path)
    assert (hits, unloadable, stayed, equal) == (4, 0, 0, True)
    assert "4 kills, 0 unloadable, equal: True" in capsys.readouterr().out
    job = kills.Job(arguments, arguments, lambda out: ["broken"], lambda out: [random.random()])
    _, unloadable, stayed, equal, _ = kills.try_job(
        "two", job, 1, random.Random(0), tmp_path / "two"
    )
    assert unloadable >= 1
    assert (stayed, equal) == (0, False)


def test_status_and_what_stays_running(command, tmp_path):
    assert ended(start([str(tmp_path / "a"), "3"], tmp_path / "log"), 20) == 3
    child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}])"
    pid = start(
        [], tmp_path / "log", before=lambda: os.execv(sys.executable, [sys.executable, "-c", child])
    )
    assert ended(pid, 20) == 0
    assert left_running(pid, 0.1)
    assert not left_running(pid, 5)


def test_shares_and_jobs_are_of_the_same_commands(tmp_path):
    assert sum(kills.SHARES.values()) == pytest.approx(1)
    given = kills.jobs(tmp_path, tmp_path, tmp_path)
    assert list(given) == list(kills.SHARES)
    assert given["pretrain"].again(tmp_path) == given["pretrain"].first(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "last.ckpt").touch()
    assert "last" in given["pretrain"].again(tmp_path)
    assert given["pretrain"].faults(tmp_path), "an empty checkpoint is a fault"
    assert kills.same([{"a": torch.ones(2)}, 1], [{"a": torch.ones(2)}, 1])
    assert not kills.same({"a": torch.ones(2)}, {"a": torch.zeros(2)})
    assert not kills.same([1], [1, 2])


def test_growth_is_judged_after_two_fifths(tmp_path):
    flat = [steady.Sample(float(i), 20, 500.0 + 30 * (i < 40)) for i in range(100)]
    assert steady.growth(flat) == pytest.approx((0, 0), abs=1e-6)
    descriptors, megabytes = steady.growth(
        [steady.Sample(float(i), i, 2.0 * i) for i in range(100)]
    )
    assert descriptors == pytest.approx(57)
    assert megabytes == pytest.approx(114)
    assert np.isnan(steady.growth(flat[:3])).all()
    steady.draw({"10 steps": flat, "10 files": flat}, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_a_command_is_watched(command, tmp_path):
    samples = steady.watch([str(tmp_path / "a"), "0"], tmp_path / "log", 0.02)
    assert len(samples) >= 3
    assert all(sample.descriptors > 2 and sample.megabytes > 10 for sample in samples)
    with pytest.raises(SystemExit, match="ended with"):
        steady.watch([str(tmp_path / "a"), "2"], tmp_path / "log", 0.02)


def test_cases_of_workers(tmp_path):
    forked.make_clips(tmp_path / "clips", 1)
    assert workers.harm("raising", [0], tmp_path / "clips") == 0
    assert {path.read_bytes() for path in (tmp_path / "clips" / "recordings").iterdir()} == {
        b"no audio any more"
    }
    assert workers.steps_of(tmp_path) == 0
    (tmp_path / "metrics.csv").write_text("step\n0\n1\n")
    assert workers.steps_of(tmp_path) == 2
    assert workers.until(lambda: True, 0)
    assert not workers.until(lambda: False, 0.05)
    assert issubclass(WorkerError, ValueError)

"""The progress of a run: plain lines in a log file, one rewritten line on a terminal."""

import os
import pty
import re
from pathlib import Path

import pytest

from benchmarks.forked import ended, start
from semisupcon.training import progress
from semisupcon.training.progress import duration
from tests.pretraining.runs import ROOT, TINY, pretrain

SHOWN = ("--trainer.enable_progress_bar", "true", "--trainer.max_steps", "6")
LINE = r"step \d+/6  loss \d+\.\d+  lr 0\.0001"


def test_off_a_terminal_lines_are_plain_and_few(digits, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_LOG", 0.0)
    val = ("--trainer.val_check_interval", "3", "--trainer.check_val_every_n_epoch", "null")
    assert pretrain(digits, tmp_path, *SHOWN, *val) == 0
    said = capfd.readouterr().err
    assert "\r" not in said
    assert "\033" not in said
    assert len(re.findall(f"^{LINE}", said, re.MULTILINE)) == 6
    assert re.search(r"^step 6/6 .* clips/s  0:00 left$", said, re.MULTILINE)
    assert len(re.findall(r"^validation at step [36]  .*val_loss \d", said, re.MULTILINE)) == 2
    assert re.search(
        r"^SemiSupCon of SampleCNNSmall, [\d,]+ parameters; a step takes 8 clips x 2 views of 0.2 s$",
        said,
        re.MULTILINE,
    )
    assert "FLOPs" not in said


def test_lines_come_every_so_often(digits, tmp_path, capfd):
    assert pretrain(digits, tmp_path, *SHOWN) == 0
    assert (
        len(re.findall(f"^{LINE}", capfd.readouterr().err, re.MULTILINE)) == 2
    )  # the first and the last step


@pytest.mark.slow
def test_on_a_terminal_one_line_is_rewritten(digits, tmp_path):
    config = str(ROOT / "config" / "pretraining" / "pretrain_ssl.yaml")
    tiny = [part for name, value in TINY.items() for part in (f"--{name}", str(value))]
    command = ["pretrain", "--config", config, *tiny, "--data.data_dir", str(digits), *SHOWN]
    terminal, child = pty.openpty()
    process = start([*command, "--ckpt_path", str(tmp_path)], Path(os.ttyname(child)))
    os.close(child)
    said = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # The other side is closed.
            break
        if not part:
            break
        said += part
    os.close(terminal)
    assert ended(process, 60) == 0
    assert re.search(rf"\r{LINE}", said.decode())
    assert b"FLOPs" not in said


def test_the_learning_rate_is_in_metrics_csv(digits, tmp_path):
    schedule = (
        "--model.scheduler",
        "WarmupCosine",
        "--model.scheduler.total_steps",
        "4",
        "--model.optimizer.lr",
        "0.01",
    )
    assert pretrain(digits, tmp_path, "--run_name", "r", "--trainer.max_steps", "4", *schedule) == 0
    from tests.pretraining.runs import rows

    rates = [float(row["lr"]) for row in rows(tmp_path / "r") if row.get("lr")]
    assert rates == pytest.approx([0.01, 0.008535534, 0.005, 0.001464466], rel=1e-6)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (759.6, "12:40"), (11100, "3:05:00")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text

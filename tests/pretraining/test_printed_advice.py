"""The commands that pack and stream print are typed as they are printed, and train."""

import re

import pytest

from semisupcon.__main__ import main
from tests.pretraining.runs import ROOT, TINY, pretrain

STEPS = ("--trainer.max_steps", "1")


@pytest.fixture
def packed(digits, tmp_path, caplog):
    """A packed set of the digits without labels, and what the command printed."""
    config = str(ROOT / "config" / "pretraining" / "pretrain_ssl.yaml")
    options = [
        "--data.data_dir",
        str(digits),
        "--data.target_sample_rate",
        str(TINY["data.target_sample_rate"]),
    ]
    with caplog.at_level("INFO"):
        assert main(["pack", "--config", config, *options, "--out", str(tmp_path / "packed")]) == 0
    return tmp_path / "packed", caplog.text


def advice(text: str) -> list[str]:
    return re.search(r"Train from it with: (.*)", text)[1].split()


def test_of_pack(digits, tmp_path, packed):
    assert (
        pretrain(digits, tmp_path / "runs", *STEPS, *advice(packed[1]), recipe="pretrain_ssl") == 0
    )


def test_of_stream(digits, tmp_path, packed, caplog):
    pytest.importorskip("litdata")
    with caplog.at_level("INFO"):
        assert main(["stream", str(packed[0]), str(tmp_path / "stream")]) == 0
    given = advice(caplog.records[-1].getMessage())
    assert "StreamedDataModule" in given
    assert pretrain(digits, tmp_path / "runs", *STEPS, *given, recipe="pretrain_ssl") == 0

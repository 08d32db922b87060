"""Every protocol in config/probing runs on a tiny data set."""

import csv
from pathlib import Path

import pytest

from semisupcon.commands.probe import main

FILES = sorted((Path(__file__).resolve().parents[2] / "config" / "probing").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_protocol_runs(file, tones, exported, cache, tmp_path):
    where = [
        f"--data_dirs.csv={tones}",
        f"--checkpoints={exported}",
        f"--out={tmp_path}",
        f"--cache_dir={cache}",
    ]
    small = {
        "mtslvr": ["--way=3", "--episodes=50"],
        "mtslvr_any": ["--way=2", "--way_to=3", "--shot_to=2", "--episodes=100"],
    }.get(
        file.stem, ["--training.standardise=true"] if "training:" in file.read_text() else []
    )  # The tiny encoder's embeddings are small.
    assert (
        main(
            [
                "--config",
                str(file),
                "--tasks=csv",
                "--resamples=20",
                "--projection=none",
                *where,
                *small,
            ]
        )
        == 0
    )
    rows = [
        r
        for r in csv.DictReader((tmp_path / "results.csv").open(newline=""))
        if r["metric"] == "accuracy"
    ]
    assert all(float(r["value"]) > float(r["chance"]) for r in rows)
    assert rows

"""The learning benchmark: what it compares, what it asks, and that its own test clips are new
ones."""

import pandas as pd
import pytest
import torch

from benchmarks import learning
from semisupcon.datasets.synthesis import render


def rows(
    objective="SimCLR (CLMR)", gains=(0.1, 0.2), seconds=(50.0, 60.0), again=(0.0, float("nan"))
):
    study = learning.STUDIES[objective]
    return pd.DataFrame(
        [
            [
                objective,
                study.encoder,
                study.recipe,
                seed,
                study.steps,
                s,
                a,
                0.5,
                0.5 + g,
                0.7,
                0.75,
            ]
            for seed, (g, s, a) in enumerate(zip(gains, seconds, again, strict=True))
        ],
        columns=learning.COLUMNS,
    )


def test_gain_is_a_mean_time_the_longest_and_repetition_exact():
    gain, seconds, again = learning.bars(rows())
    assert (gain.value, gain.bar, gain.met) == (pytest.approx(15), 8, True)
    assert (seconds.value, seconds.bar, seconds.met) == (60, 120, True)
    assert again.met
    assert [
        bar.met
        for bar in learning.bars(rows(gains=(0.0, 0.15), seconds=(119.0, 121.0), again=(1e-9, 0.0)))
    ] == [False] * 3
    assert not learning.bars(rows(again=(float("nan"), float("nan"))))[2].met, (
        "what was not repeated is not reproducible"
    )


def test_the_table_has_gains_by_seed():
    text = learning.table(pd.concat([rows(), rows("CPC", gains=(-0.02, 0.05))]))
    assert (
        "| SimCLR (CLMR) | ResNet-18, log-mel | 300 | 60 s | 50.0 to 65.0 | +15.0 | +10.0, +20.0 |"
        in text
    )
    assert "| -2.0, +5.0 | 70.0 to 75.0 | +5.0 | +5.0, +5.0 | +3 (tags) |" in text


def run(folder, losses, weight=1.0):
    folder.mkdir()
    pd.DataFrame({"step": range(len(losses)), "loss": losses, "val_loss": None}).to_csv(
        folder / "metrics.csv", index=False
    )
    torch.save(
        {"state_dict": {"w": torch.tensor([weight]), "n": torch.tensor(3)}}, folder / "last.ckpt"
    )
    return folder


def test_two_runs_differ_by_their_curves_and_weights(tmp_path):
    one, same = run(tmp_path / "a", [3.0, 2.0]), run(tmp_path / "b", [3.0, 2.0])
    assert learning.difference(one, same) == 0
    assert learning.difference(one, run(tmp_path / "c", [3.0, 2.25])) == 0.25
    assert learning.difference(one, run(tmp_path / "d", [3.0, 2.0], weight=1.5)) == 0.5
    assert learning.difference(one, run(tmp_path / "e", [3.0, 2.0, 1.0])) == float("inf")
    assert learning.difference(one, run(tmp_path / "f", [3.0, float("nan")])) != 0


def test_clips_beyond_the_embedded_set_are_test_clips(tmp_path, monkeypatch):
    monkeypatch.setattr(learning, "CLIPS", 9)
    monkeypatch.setattr(learning, "EMBEDDED", 6)
    splits = pd.read_csv(learning.test_set(tmp_path / "more") / "labels.csv")["split"].tolist()
    small = pd.read_csv(render(tmp_path / "small", 6, progress=False) / "labels.csv")
    assert splits[:6] == small["split"].tolist()
    assert splits[6:] == ["test"] * 3
    more = pd.read_csv(learning.test_set(tmp_path / "more") / "labels.csv")
    pd.testing.assert_frame_equal(more[:6], small)

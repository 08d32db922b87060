"""Shares of the training clips, counted; and files known by content, size and time of change."""

import os

import numpy as np
import pandas as pd
import pytest

from semisupcon.datasets import LabelledClips
from semisupcon.errors import ConfigError
from semisupcon.probing.embeddings.cache import ContentHashes
from semisupcon.probing.embeddings.tasks import fraction_of_training, named


def clips(train: int, classes: int = 1) -> LabelledClips:
    """A task of so many training clips and three test clips."""
    n = train + 3
    table = pd.DataFrame(
        {"path": [f"{i:04d}.wav" for i in range(n)], "split": ["train"] * train + ["test"] * 3}
    )
    targets = np.eye(classes, dtype=np.float32)[np.arange(n) % classes]
    return LabelledClips(
        table, targets, tuple(f"c{i}" for i in range(classes)), "multiclass", name="counted"
    )


@pytest.mark.parametrize(
    ("of", "share", "count"),
    [
        (100, 0.55, 55),
        (100, 0.29, 29),
        (100, 0.07, 7),
        (100, 1.0, 100),
        (100, 0.001, 1),
        (54, 0.1, 6),
        (10, 0.25, 3),
        (200, 0.005, 1),
    ],
)
def test_a_share_of_training_is_rounded_up_and_no_further(of, share, count):
    kept = fraction_of_training(clips(of), share, seed=0)
    assert len(kept.rows("train")) == count
    assert len(kept.rows("test")) == 3


def test_every_class_keeps_a_clip():
    kept = fraction_of_training(clips(100, classes=10), 0.01, seed=0)
    assert kept.targets[kept.rows("train")].sum(axis=0).tolist() == [1.0] * 10


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01])
def test_a_share_that_cannot_be_is_refused(share):
    with pytest.raises(ConfigError, match=r"must lie in \(0, 1\]"):
        fraction_of_training(clips(10), share, seed=0)


def test_names_are_taken_apart_at_the_first_equals_sign():
    assert named("digits=fsdd_digit") == ("digits", "fsdd_digit")
    assert named("a=b=c") == ("a", "b=c")
    assert named("fsdd_digit") == ("fsdd_digit", "fsdd_digit")


def test_an_edit_of_equal_size_is_another_file(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"one")
    hashes = ContentHashes(tmp_path)
    first = hashes(file)
    before = file.stat().st_mtime_ns
    file.write_bytes(b"two")
    os.utime(file, ns=(before, before + 1_000_000_000))
    assert hashes(file) != first
    hashes.save()
    assert ContentHashes(tmp_path)(file) == hashes(file)

"""A tiny data set of tones and a tiny untrained encoder, so that probing runs in milliseconds."""

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from semisupcon.checkpoints import export_encoder
from semisupcon.datasets import LabelledClips
from semisupcon.encoders import SampleCNNSmall
from semisupcon.probing.embeddings.cache import Chunks
from semisupcon.probing.embeddings.embedder import Features, Part

RATE = 8000
CLASSES = ("low", "middle", "high")


def tiny_encoder(seed: int = 0) -> SampleCNNSmall:
    torch.manual_seed(seed)
    return SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=RATE, segment_samples=2000)


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    """90 noisy tones of three pitches and 0.2 to 0.6 s, 54 for training and 18 each for validation
    and test, as a csv data set."""
    root = tmp_path_factory.mktemp("data") / "tones"
    root.mkdir()
    draw = np.random.default_rng(0)
    lines = ["path,split,label,frequency,tags,loud"]
    for i in range(90):
        c, seconds = i % 3, draw.uniform(0.2, 0.6)
        frequency = 300 * 2**c * draw.uniform(0.9, 1.1)
        t = np.arange(int(seconds * RATE)) / RATE
        wave = draw.uniform(0.1, 0.5) * np.sin(
            2 * np.pi * (frequency * t + draw.uniform())
        ) + 0.02 * draw.standard_normal(len(t))
        soundfile.write(root / f"{i:02d}.wav", wave, RATE)
        split = ("train", "train", "train", "val", "test")[i // 3 % 5]
        lines.append(
            f"{i:02d}.wav,{split},{CLASSES[c]},{frequency:.1f},{'tone;' * (c < 2) + CLASSES[c]},{int(np.abs(wave).max() > 0.3)}"
        )
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    """An exported encoder."""
    return export_encoder(tiny_encoder(), tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def cache(tmp_path_factory):
    """A cache of embeddings for one test."""
    return tmp_path_factory.mktemp("cache")


def gaussian_features(
    kind: str = "multiclass",
    classes: int = 4,
    width: int = 6,
    n: int = 300,
    distance: float = 3.0,
    seed: int = 0,
) -> Features:
    """Embeddings that are Gaussian around one centre a class, two segments a track; targets of any
    kind that follow from the class."""
    draw = np.random.default_rng(seed)
    centres = distance * draw.standard_normal((classes, width))
    label = draw.integers(0, classes, n)
    targets = np.eye(classes, dtype=np.float32)[label]
    if kind == "multilabel":
        targets = np.maximum(targets, np.roll(targets, 1, axis=1))
    elif kind == "binary":
        targets = (label[:, None] >= classes // 2).astype(np.float32)
    elif kind == "regression":
        targets = np.stack([label, -2.0 * label + 5], axis=1).astype(np.float32)
    values = (np.repeat(centres[label], 2, axis=0) + draw.standard_normal((2 * n, width))).astype(
        np.float32
    )
    table = pd.DataFrame(
        {
            "path": [f"clip{i}" for i in range(n)],
            "split": ["train", "train", "train", "val", "test"] * (n // 5),
        }
    )
    task = LabelledClips(
        table, targets, tuple(f"c{i}" for i in range(targets.shape[1])), kind, name="gaussian"
    )
    chunks = Chunks(values, np.arange(0, 2 * n + 1, 2))
    parts = {
        s: Part(chunks.select(task.rows(s)), targets[task.rows(s)], task.select(task.rows(s)).paths)
        for s in ("train", "val", "test")
    }
    return Features(task, **parts)

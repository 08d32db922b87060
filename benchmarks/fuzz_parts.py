"""Helpers of the targets of `benchmarks.fuzz`: target class, tiny encoder, tone, digest."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from semisupcon.encoders import SampleCNNSmall

RATE = 8000


@dataclass(frozen=True)
class Target:
    """A kind of files to be damaged and read.

    Attributes:
        name: name of the target.
        make: function that writes valid files into a new folder.
        read: function that reads a folder as a command does. It returns a digest of the content, or
            "rebuilt" if damaged files were rebuilt, or raises a UserError.
        ours: whether semisupcon writes these files. The content must then be what was written.
        files: regular expression for the paths of the files to damage, relative to the folder.
        cases: number of cases without ``--quick``.
        spoil: function that damages the files in place of `benchmarks.fuzz.damage`, and returns a
            description.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], str]
    ours: bool = True
    files: str = "."
    cases: int = 1000
    spoil: Callable[[Path, random.Random], str] | None = None


def word(*parts: Any) -> str:
    """Return a digest of nested plain values, arrays and tensors."""
    digest = hashlib.blake2b(digest_size=16)

    def add(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            value = value.numpy()
        if isinstance(value, np.ndarray):
            digest.update(
                f"{value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes()
            )
        elif isinstance(value, dict):
            for key in sorted(value, key=repr):
                add((key, value[key]))
        elif isinstance(value, list | tuple):
            for item in (len(value), *value):
                add(item)
        else:
            digest.update(f"{type(value).__name__} {value!r}".encode())

    add(parts)
    return digest.hexdigest()


def encoder_of(seed: int = 0) -> SampleCNNSmall:
    """Build a tiny encoder with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SampleCNNSmall(widths=[4, 8], stem=20, sample_rate=RATE, segment_samples=2000)


def tone(seed: int = 0, seconds: float = 0.4) -> np.ndarray:
    """Return a noisy tone ``[T]`` at 8 kHz."""
    t = np.arange(int(seconds * RATE)) / RATE
    return (
        0.3 * np.sin(2 * np.pi * 440 * (1 + seed) * t)
        + 0.05 * np.random.default_rng(seed).standard_normal(len(t))
    ).astype(np.float32)

"""What the targets of `benchmarks.fuzz` share: how one is described, a tiny encoder, a tone, a
digest of values."""

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
    """Files of one kind.

    Attributes:
        name: of the target.
        make: writes a sound set of them into a new folder.
        read: reads a folder as a command does; gives a word for the content ("rebuilt" where what
            was damaged is made again), or raises UserError.
        ours: whether the content must be what was written.
        files: a regular expression that finds the files to damage, by their paths in the folder.
        cases: how many the complete form tries.
        spoil: changes the files in another way than `benchmarks.fuzz.damage`, and says how.
    """

    name: str
    make: Callable[[Path], None]
    read: Callable[[Path], str]
    ours: bool = True
    files: str = "."
    cases: int = 1000
    spoil: Callable[[Path, random.Random], str] | None = None


def word(*parts: Any) -> str:
    """A digest of nested plain values, arrays and tensors."""
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
    """A tiny encoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SampleCNNSmall(widths=[4, 8], stem=20, sample_rate=RATE, segment_samples=2000)


def tone(seed: int = 0, seconds: float = 0.4) -> np.ndarray:
    """A noisy tone."""
    t = np.arange(int(seconds * RATE)) / RATE
    return (
        0.3 * np.sin(2 * np.pi * 440 * (1 + seed) * t)
        + 0.05 * np.random.default_rng(seed).standard_normal(len(t))
    ).astype(np.float32)

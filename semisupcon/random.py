"""Stateless randomness: every draw is a function of (seed, pass, clip, view, operator).

A *key* is an int64 that identifies one view of one clip in one pass over its source. Its low 8 bits
are the view index. Draws that all views of a clip share use `clip_key(key)`. This module does not
read or change global generators. A key gives the same numbers on CPU and GPU, for any batch size,
any number of workers and any rank, and after a run is resumed. The hash is the finaliser of
SplitMix64 (Steele, Lea and Flood 2014).
"""

import hashlib
import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

MAX_VIEWS = 256
_CONSTANTS = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_GOLDEN, _MIX_1, _MIX_2 = (c - (1 << 64) for c in _CONSTANTS)


@lru_cache(maxsize=4096)
def stable_hash(text: str) -> int:
    """Hash a string to a non-negative 63-bit integer that is equal on all machines and in all
    sessions.
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def _shift_right(x: Tensor, bits: int) -> Tensor:
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def mix(x: Tensor) -> Tensor:
    """Hash int64 values of any shape, so that similar inputs give unrelated outputs."""
    if x.device.type == "cpu":
        return _mix_on_cpu(x)
    x = (x ^ _shift_right(x, 30)) * _MIX_1
    x = (x ^ _shift_right(x, 27)) * _MIX_2
    return x ^ _shift_right(x, 31)


def _mix_on_cpu(x: Tensor) -> Tensor:
    # NumPy has unsigned shifts and less overhead for the few hundred keys of a batch.
    y = x.numpy().view(np.uint64).reshape(-1)
    y = y ^ (y >> np.uint64(30))
    y *= np.uint64(_CONSTANTS[1])
    y ^= y >> np.uint64(27)
    y *= np.uint64(_CONSTANTS[2])
    y ^= y >> np.uint64(31)
    return torch.from_numpy(y.view(np.int64)).view(x.shape)


def derive(key: Tensor, *parts: int | str | Tensor) -> Tensor:
    """Derive a key of the same shape from a key and ``parts``: names, positions, seeds or int64
    tensors.
    """
    for part in parts:
        value = stable_hash(part) if isinstance(part, str) else part
        key = mix((key ^ value) + _GOLDEN)
    return key


def make_keys(seed: int, passes: Tensor, clips: Tensor, views: int) -> Tensor:
    """Make keys ``[B, V]`` for views of clips ``[B]`` (stable hashes) in passes ``[B]``.

    Raises:
        ValueError: if there are more than 256 views.
    """
    if not 1 <= views <= MAX_VIEWS:
        raise ValueError(f"views must lie between 1 and {MAX_VIEWS}, got {views}")
    base = derive(clips.long(), passes.long(), seed) & ~(MAX_VIEWS - 1)
    return base[:, None] | torch.arange(views, device=base.device)


def clip_key(key: Tensor) -> Tensor:
    """Return the part of a key that all views of a clip share."""
    return key & ~(MAX_VIEWS - 1)


def view_of(key: Tensor) -> Tensor:
    """Return the view index of a key."""
    return key & (MAX_VIEWS - 1)


def _stream(key: Tensor, name: int | str, n: int) -> Tensor:
    counter = torch.arange(1, n + 1, device=key.device) * _GOLDEN
    return mix(derive(key, name)[..., None] + counter)


def uniform(key: Tensor, name: int | str, n: int = 1) -> Tensor:
    """Draw n uniform float32 numbers in [0, 1) per key, ``[*key.shape, n]``, from the stream
    ``name``.
    """
    return _shift_right(_stream(key, name, n), 40).float() / (1 << 24)


def uniform_between(key: Tensor, name: int | str, low: float, high: float) -> Tensor:
    """Draw one uniform number in [low, high) per key; the result has the shape of ``key``."""
    return low + (high - low) * uniform(key, name)[..., 0]


def integers(key: Tensor, name: int | str, low: int | Tensor, high: int | Tensor) -> Tensor:
    """Draw one int64 in low..high (inclusive) per key; the result has the shape of ``key``.

    The bounds are numbers or tensors of the same shape. For ranges under 2^32, the modulo biases
    probabilities by less than 2^-30.
    """
    return low + _shift_right(_stream(key, name, 1)[..., 0], 1) % (high - low + 1)


def normal(key: Tensor, name: int | str, n: int = 1) -> Tensor:
    """Draw n standard normal float32 numbers per key, ``[*key.shape, n]`` (Box and Muller)."""
    u = uniform(key, name, 2 * n)
    return (-2 * torch.log1p(-u[..., :n])).sqrt() * torch.cos(2 * math.pi * u[..., n:])


def permutation(n: int, *parts: int | str) -> Tensor:
    """Return a permutation of 0..n-1 (int64) that is determined by ``parts``."""
    # `derive` maps different numbers to different keys, so any sort gives this order.
    return torch.from_numpy(np.argsort(derive(torch.arange(n), *parts).numpy()))

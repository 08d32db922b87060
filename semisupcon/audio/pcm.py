"""Samples as 16-bit integers (PCM) and as floats: full scale is 32,768, so that int16 covers [-1, 1)."""

import numpy as np
import torch
from torch import Tensor

FULL_SCALE = 32768


def to_float(audio: Tensor) -> Tensor:
    """int16 audio of any shape as float32 in [-1, 1); audio of another type as it is."""
    return audio.float() / FULL_SCALE if audio.dtype == torch.int16 else audio


def to_int16(audio: np.ndarray) -> tuple[np.ndarray, int]:
    """Float32 in [-1, 1) to int16, rounded to nearest, and how many samples lay beyond and were clipped."""
    scaled = np.rint(audio * float(FULL_SCALE))
    clipped = int(np.count_nonzero((scaled > FULL_SCALE - 1) | (scaled < -FULL_SCALE)))
    return scaled.clip(-FULL_SCALE, FULL_SCALE - 1).astype("<i2"), clipped

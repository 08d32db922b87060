"""Convert samples between 16-bit integers (PCM) and floats in [-1, 1). Full scale is 32,768."""

import numpy as np
import torch
from torch import Tensor

FULL_SCALE = 32768


def to_float(audio: Tensor) -> Tensor:
    """Convert int16 audio of any shape to float32 in [-1, 1); return other types unchanged."""
    return audio.float() / FULL_SCALE if audio.dtype == torch.int16 else audio


def to_int16(audio: np.ndarray) -> tuple[np.ndarray, int]:
    """Convert float32 in [-1, 1) to the nearest int16, and count the clipped samples."""
    scaled = np.rint(audio * float(FULL_SCALE))
    clipped = int(np.count_nonzero((scaled > FULL_SCALE - 1) | (scaled < -FULL_SCALE)))
    return scaled.clip(-FULL_SCALE, FULL_SCALE - 1).astype("<i2"), clipped

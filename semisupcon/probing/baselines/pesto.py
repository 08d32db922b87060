"""PESTO 2 (licence LGPL-3.0; Riou et al. 2023), a pitch estimator, as a baseline.

The model of the package pesto-pitch runs unchanged. Its loader unpickles the weights in the
installed package; unpickling can run code, but only code of this package.
"""

import contextlib
import io
from typing import Any

import torch
from torch import Tensor

from semisupcon.probing.baselines.base import Extractor, need, statistics


class Pesto(Extractor):
    """Pooled pitch posteriors of segments of one second, ``[N, 774]``.

    The embedding has the mean of the posteriors over frames, their mean weighted by the confidence,
    and the mean and standard deviation of pitch, confidence and volume.

    Args:
        step: time between frames in milliseconds.

    Raises:
        ConfigError: if pesto-pitch is not installed.
    """

    layer = "pitch posteriors, pitch, confidence, volume"
    pooling = "mean, mean weighted by confidence, standard deviation"
    package = "pesto-pitch"
    licence = "LGPL-3.0"

    def __init__(self, step: float = 20.0):
        need("pesto", "pesto", "--no-deps pesto-pitch")
        import pesto

        rate = 16000
        with contextlib.redirect_stderr(io.StringIO()):
            net: Any = pesto.load_model("mir-1k_g7", step_size=step, sampling_rate=rate)
        net.eval()
        with torch.no_grad():
            width = net(torch.zeros(1, rate), sr=rate)[3].shape[-1]
        super().__init__(2 * width + 6, rate, rate, min_samples=rate)
        self.net = net

    def vectors(self, x: Tensor) -> Tensor:
        pitch, confidence, volume, bins = self.net(x, sr=self.sample_rate)
        weights = confidence / confidence.sum(dim=1, keepdim=True).clamp(min=1e-6)
        more = statistics(torch.stack([pitch, confidence, volume.log1p()], dim=1))
        return torch.cat([bins.mean(dim=1), (bins * weights[..., None]).sum(dim=1), more], dim=1)

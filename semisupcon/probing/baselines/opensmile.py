"""The eGeMAPSv02 functionals of openSMILE (Eyben et al. 2016) as a baseline: 88 voice features."""

import numpy as np
import torch
from torch import Tensor

from semisupcon.probing.baselines.base import Extractor, need


class EGeMAPS(Extractor):
    """eGeMAPSv02 functionals of whole clips at 16 kHz, ``[N, 88]``.

    In clips without voiced frames, the functionals of voiced frames are undefined and set to 0.

    Raises:
        ConfigError: if opensmile is not installed.
    """

    source = "baseline"
    layer = "eGeMAPSv02"
    pooling = "functionals"
    package = "opensmile"
    licence = "audEERING research licence"
    whole_clips = True

    def __init__(self) -> None:
        need("opensmile", "opensmile", "'semisupcon[opensmile]'")
        import opensmile

        # Pitch frames have 60 ms, so a clip of 0.1 s has several frames.
        super().__init__(88, 16000, 16000, min_samples=1600)
        self._smile = opensmile.Smile(
            opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals
        )

    def vectors(self, x: Tensor) -> Tensor:
        rows = [
            self._smile.process_signal(wave, self.sample_rate).to_numpy(np.float32)[0]
            for wave in x.cpu().numpy()
        ]
        return torch.from_numpy(np.nan_to_num(np.stack(rows))).to(x.device)

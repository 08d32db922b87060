"""openSMILE's eGeMAPSv02 functionals (Eyben et al. 2016): 88 values of voice and level per clip."""

import numpy as np
import torch
from torch import Tensor

from semisupcon.probing.baselines.base import Extractor, need


class EGeMAPS(Extractor):
    """eGeMAPSv02 functionals of whole clips at 16 kHz, ``[N, 88]``.

    Functionals of voiced frames do not exist in clips without voice; they are 0.

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

        # Frames of the pitch are 60 ms; a clip of 0.1 s has some.
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

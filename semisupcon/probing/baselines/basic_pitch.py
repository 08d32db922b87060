"""basic-pitch 0.4 (licence Apache-2.0; Bittner et al. 2022), a note transcriber, as a baseline.

onnxruntime runs the ONNX model of the package on the CPU, on segments of about 2 s at 22.05 kHz.
"""

import numpy as np
import torch
from torch import Tensor

from semisupcon.probing.baselines.base import Extractor, file_of, need

SAMPLES = 43844


class BasicPitch(Extractor):
    """Mean and maximum over frames of the contour, note and onset posteriors, ``[N, 880]``.

    Raises:
        ConfigError: if basic-pitch or onnxruntime is not installed.
    """

    layer = "contour, note and onset posteriors"
    pooling = "mean, maximum"
    package = "basic-pitch"
    licence = "Apache-2.0"

    def __init__(self) -> None:
        pip = "--no-deps basic-pitch && pip install onnxruntime"
        file = file_of("basic_pitch", "basic-pitch", pip, "saved_models", "icassp_2022", "nmp.onnx")
        need("onnxruntime", "basic-pitch", "onnxruntime")
        import onnxruntime

        super().__init__(2 * (88 + 88 + 264), 22050, SAMPLES, min_samples=SAMPLES)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )

    def sequence(self, x: Tensor) -> Tensor:
        name = self._session.get_inputs()[0].name
        found = self._session.run(None, {name: x[:, :, None].cpu().numpy()})
        return torch.from_numpy(np.concatenate(found, axis=2)).mT.to(x.device)

    def vectors(self, x: Tensor) -> Tensor:
        frames = self.sequence(x)
        return torch.cat([frames.mean(dim=2), frames.amax(dim=2)], dim=1)

"""musicnn 0.1 (licence ISC; Pons and Serra 2019) as a baseline.

It is a music tagger trained on MagnaTagATune or the Million Song Dataset. The network is rebuilt in
torch and loads the TensorFlow checkpoint of the package. Segments have 3 s at 16 kHz, and 187
frames of 96 mel bands.
"""

import torch
from torch import Tensor
from torch.nn.functional import batch_norm, conv2d, pad, relu

from semisupcon.errors import ConfigError
from semisupcon.probing.baselines.base import Extractor, file_of
from semisupcon.probing.baselines.tensorflow_files import read_variables

FRAMES, HOP, EPSILON = 187, 256, 1e-3
WIDTHS = {"penultimate": 200, "pools": 1506, "tags": 50}
DATA = ("MTT", "MSD")
# Padding in time of the first layer, which has two timbral and three temporal convolutions.
FRONT = ((3, 3), (3, 3), (63, 64), (31, 32), (15, 16))


class MusiCNN(Extractor):
    """Embeddings of a music tagger, ``[N, 200]`` for the penultimate layer.

    Args:
        data: "MTT" (MagnaTagATune) or "MSD" (Million Song Dataset).
        layer: "penultimate" (200 values), "pools" (1,506: maximum and mean over frames of the
            convolutions), or "tags" (50 probabilities).

    Raises:
        ConfigError: if musicnn or torchaudio is not installed, or for an unknown option.
    """

    pooling = "maximum and mean over frames, mean over segments"
    package = "musicnn"
    licence = "ISC"

    def __init__(self, data: str = "MTT", layer: str = "penultimate"):
        if data not in DATA or layer not in WIDTHS:
            raise ConfigError(
                f"musicnn takes data {' or '.join(DATA)} and layer {', '.join(WIDTHS)}; got "
                f"'{data}' and '{layer}'."
            )
        index = file_of("musicnn", "musicnn", "--no-deps musicnn", f"{data}_musicnn", ".index")
        from torchaudio.transforms import MelSpectrogram

        super().__init__(WIDTHS[layer], 16000, (FRAMES - 1) * HOP, min_samples=(FRAMES - 1) * HOP)
        self.layer = layer
        for name, value in read_variables(index).items():
            self.register_buffer(name.replace("/", "_"), value)
        # Same as librosa.feature.melspectrogram: Slaney scale and norm, centred frames.
        self.mel = MelSpectrogram(
            16000, 512, hop_length=HOP, n_mels=96, norm="slaney", mel_scale="slaney",
            pad_mode="constant",
        )  # fmt: skip

    def sequence(self, x: Tensor) -> Tensor:
        """Return the outputs of all convolutions, ``[N, 753, 187]``, of waveforms ``[N, T]``."""
        mel = (10000 * self.mel(x) + 1).log10().mT[:, None, :FRAMES]
        mel = self._norm(mel, 0)
        front = [self._conv(mel, i, padding).amax(dim=3) for i, padding in enumerate(FRONT)]
        outputs = [torch.cat(front, dim=1)]
        outputs.append(self._conv(outputs[0].mT[:, None], 5, (3, 3))[..., 0])
        for i in (6, 7):
            outputs.append(outputs[-1] + self._conv(outputs[-1].mT[:, None], i, (3, 3))[..., 0])
        return torch.cat(outputs, dim=1)

    def vectors(self, x: Tensor) -> Tensor:
        frames = self.sequence(x)
        # Maxima and means of the channels alternate, as in the published code.
        pools = torch.stack([frames.amax(dim=2), frames.mean(dim=2)], dim=2).flatten(1)
        if self.layer == "pools":
            return pools
        hidden = relu(self._norm(pools, 9) @ self._get("dense_kernel") + self._get("dense_bias"))
        hidden = self._norm(hidden, 10)
        if self.layer == "penultimate":
            return hidden
        return torch.sigmoid(hidden @ self._get("dense_1_kernel") + self._get("dense_1_bias"))

    def _get(self, name: str) -> Tensor:
        return self.get_buffer(name)

    def _norm(self, x: Tensor, i: int) -> Tensor:
        parts = ("moving_mean", "moving_variance", "gamma", "beta")
        layer = f"batch_normalization_{i}" if i else "batch_normalization"
        mean, variance, scale, shift = (self._get(f"{layer}_{part}") for part in parts)
        return batch_norm(x, mean, variance, scale, shift, eps=EPSILON)

    def _conv(self, x: Tensor, i: int, padding: tuple[int, int]) -> Tensor:
        """Apply convolution, ReLU and batch norm number ``i`` to ``[N, 1, time, bands]``."""
        layer = f"conv2d_{i}" if i else "conv2d"
        kernel, bias = self._get(f"{layer}_kernel"), self._get(f"{layer}_bias")
        y = conv2d(pad(x, (0, 0, *padding)), kernel.permute(3, 2, 0, 1), bias)
        return self._norm(relu(y), i + 1)

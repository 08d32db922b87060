"""Resemblyzer 0.1 (licence Apache-2.0) as a baseline.

It is a speaker encoder trained with the GE2E loss (Wan et al. 2018). The network is rebuilt in
torch and loads the weights of the package. Clips are cut into segments of 1.6 s, as in training.
Unlike the package, this baseline does not remove silence.
"""

import torch
from torch import Tensor, nn

from semisupcon.errors import ConfigError
from semisupcon.probing.baselines.base import Extractor, file_of
from semisupcon.torch_files import read_checkpoint

FRAMES, LEVEL = 160, -30.0  # frames per segment; minimum level in dB relative to full scale


class Resemblyzer(Extractor):
    """Speaker embeddings of unit length, ``[N, 256]``.

    Raises:
        ConfigError: if Resemblyzer or torchaudio is not installed.
    """

    layer = "projection of the last recurrent state"
    pooling = "mean over segments"
    package = "Resemblyzer"
    licence = "Apache-2.0"

    def __init__(self) -> None:
        file = file_of("resemblyzer", "resemblyzer", "--no-deps resemblyzer", "pretrained.pt")
        from torchaudio.transforms import MelSpectrogram

        super().__init__(256, 16000, 25600, min_samples=25600)
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)
        state = read_checkpoint(file)["model_state"]
        # Load the network only: the other tensors in the file belong to the loss.
        own = {k: v for k, v in state.items() if k.startswith(("lstm.", "linear."))}
        left = self.load_state_dict(own, strict=False).missing_keys
        if left:
            raise ConfigError(f"The weights {file} lack {', '.join(left[:3])}.")
        # Same as librosa.feature.melspectrogram: Slaney scale and norm, centred frames.
        self.mel = MelSpectrogram(
            16000, 400, hop_length=160, n_mels=40, norm="slaney", mel_scale="slaney",
            pad_mode="constant",
        )  # fmt: skip

    def mels(self, x: Tensor) -> Tensor:
        """Compute the mel powers ``[N, frames, 40]`` of waveforms ``[N, T]``.

        Waveforms below -30 dB relative to full scale are amplified to this level.
        """
        level = 10 * x.square().mean(dim=1, keepdim=True).clamp(min=1e-10).log10()
        x = x * 10 ** ((LEVEL - level).clamp(min=0) / 20)
        return self.mel(x).mT[:, :FRAMES]

    def vectors(self, x: Tensor) -> Tensor:
        return self.of_mels(self.mels(x))

    def of_mels(self, mels: Tensor) -> Tensor:
        """Return the embeddings ``[N, 256]`` of mel powers ``[N, 160, 40]``."""
        _, (hidden, _) = self.lstm(mels)
        raw = torch.relu(self.linear(hidden[-1]))
        return raw / raw.norm(dim=1, keepdim=True).clamp(min=1e-9)

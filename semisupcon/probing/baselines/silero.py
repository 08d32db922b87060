"""silero-vad 6 (licence MIT), a voice activity detector, as a baseline.

The network is rebuilt in torch and loads ``silero_vad_16k.safetensors`` of the package. The weights
differ from those in the ``.jit`` file of the package. The input is chunks of 512 samples, each
preceded by the last 64 samples of the previous chunk. They pass through a Fourier transform, four
convolutions and an LSTM cell, whose states are the frames.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from semisupcon.probing.baselines.base import Extractor, file_of

CHUNK, CONTEXT, BINS, WIDTH = 512, 64, 129, 128
CHUNKS_AT_ONCE = 1_000  # limits the memory of the convolutions
# Input channels, output channels and stride of each convolution.
CONVOLUTIONS = ((BINS, WIDTH, 1), (WIDTH, 64, 2), (64, 64, 2), (64, WIDTH, 1))


class Silero(Extractor):
    """Mean and standard deviation of the LSTM states of whole clips, ``[N, 256]``.

    Raises:
        ConfigError: if silero-vad is not installed.
    """

    layer = "states of the recurrent cell, every 32 ms"
    package = "silero-vad"
    licence = "MIT"
    whole_clips = True

    def __init__(self) -> None:
        from safetensors.torch import load_file

        where = ("data", "silero_vad_16k.safetensors")
        file = file_of("silero_vad", "silero", "--no-deps silero-vad", *where)
        super().__init__(2 * WIDTH, 16000, 32 * CHUNK, min_samples=CHUNK)
        self.net = SileroNet()
        self.net.load_state_dict(load_file(file))

    def sequence(self, x: Tensor) -> Tensor:
        return self.net.states(x)


class SileroNet(nn.Module):
    """The network of the voice detector, with the parameter names of the weight file."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 2 * BINS, 256, 128, bias=False)
        for i, (inside, outside, stride) in enumerate(CONVOLUTIONS, 1):
            self.add_module(f"conv{i}", nn.Conv1d(inside, outside, 3, stride, padding=1))
        self.lstm_cell = nn.LSTMCell(WIDTH, WIDTH)
        self.final_conv = nn.Conv1d(WIDTH, 1, 1)

    def states(self, x: Tensor) -> Tensor:
        """Return the LSTM states ``[N, 128, chunks]`` of waveforms ``[N, T]``.

        The last chunk is padded with zeros.
        """
        x = pad(x, (CONTEXT, -x.shape[1] % CHUNK))
        chunks = x.unfold(1, CONTEXT + CHUNK, CHUNK)
        state: tuple[Tensor, Tensor] | None = None
        states = []
        for some in chunks.split(CHUNKS_AT_ONCE, dim=1):
            for features in self.chunk_features(some).unbind(1):
                state = self.lstm_cell(features, state)
                states.append(state[0])
        return torch.stack(states, dim=2)

    def chunk_features(self, chunks: Tensor) -> Tensor:
        """Return the features ``[N, chunks, 128]`` of chunks ``[N, chunks, 576]``."""
        n, count, samples = chunks.shape
        x = pad(chunks.reshape(n * count, 1, samples), (0, 64), mode="reflect")
        real, imaginary = self.stft_conv(x).split(BINS, dim=1)
        x = (real.square() + imaginary.square()).sqrt()
        for i in range(1, len(CONVOLUTIONS) + 1):
            x = relu(self.get_submodule(f"conv{i}")(x))
        return x.reshape(n, count, WIDTH)

    def voice(self, x: Tensor) -> Tensor:
        """Return the probability of voice ``[N, chunks]`` in each chunk of waveforms ``[N, T]``."""
        return torch.sigmoid(self.final_conv(relu(self.states(x))))[:, 0]

"""Small dilated 1-D CNN for waveforms, from an exercise on AudioMNIST about MFCL.

The exercise calls the network Res1dNet, but it differs from the Res1dNet of PANNs.
"""

from torch import Tensor, nn

from semisupcon.encoders.base import Encoder, needs_waveform
from semisupcon.encoders.pooling import Pool
from semisupcon.errors import ConfigError
from semisupcon.frontends import Frontend, Normalization


class Block(nn.Module):
    """Residual block: two convolutions of kernel 3 with group norm and GELU, then max-pooling by 2.

    The second convolution is dilated by 2. The input is added before the pooling.
    """

    def __init__(self, width: int, groups: int):
        super().__init__()
        layers = []
        for dilation in (1, 2):
            layers += [
                nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False),
                nn.GroupNorm(groups, width),
                nn.GELU(),
            ]
        self.body = nn.Sequential(*layers)
        self.pool = nn.MaxPool1d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x + self.body(x))


class DilatedCNN(Encoder):
    """Encoder with a convolution of kernel 11 and stride 5, three residual blocks, and a mean over
    time.

    It has 4,730,368 parameters and an embedding of width 512.

    Args:
        width: number of channels of all layers.
        groups: number of groups of each group norm.
        sample_rate: sample rate in Hz.
        segment_samples: segment length in samples; None is 1 s.
        normalize, frontend, pool: see `Encoder`; the front end must output waveforms.
    """

    def __init__(
        self,
        width: int = 512,
        groups: int = 32,
        sample_rate: int = 16000,
        segment_samples: int | None = None,
        normalize: Normalization | None = None,
        frontend: Frontend | None = None,
        pool: Pool | None = None,
    ):
        needs_waveform("DilatedCNN", frontend)
        if width < 1 or groups < 1 or width % groups:
            raise ConfigError(
                f"DilatedCNN needs a width divisible by groups, got {width} and {groups}."
            )
        super().__init__(
            nn.Sequential(
                nn.Conv1d(1, width, 11, 5, bias=False), *(Block(width, groups) for _ in range(3))
            ),
            width=width,
            dims=width,
            sample_rate=sample_rate,
            segment_samples=segment_samples or sample_rate,
            min_samples=11 + 5 * (2**3 - 1),
            frontend=frontend,
            normalize=normalize,
            pool=pool,
        )

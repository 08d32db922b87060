"""Res1dNet31 and Res1dNet51, waveform encoders of PANNs (Kong et al. 2020).

Both are 1-D ResNets with pooling by 4 between stages.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import relu

from semisupcon.encoders.base import Encoder, needs_waveform
from semisupcon.encoders.pooling import MaxPlusMeanPool, Pool
from semisupcon.errors import ConfigError
from semisupcon.frontends import Frontend, Normalization

STRIDES = (1, 4, 4, 4, 4, 4, 4)
MULTIPLES = (1, 2, 4, 8, 16, 16, 32)


class Block(nn.Module):
    """Residual block: max-pooling by the stride, two convolutions, and a shortcut.

    The convolutions have kernel 3, and the second one is dilated by 2. The shortcut has average
    pooling by the stride.
    """

    def __init__(self, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.MaxPool1d(stride) if stride > 1 else nn.Identity(),
            nn.Conv1d(channels_in, channels, 3, padding=1, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv1d(channels, channels, 3, padding=2, dilation=2, bias=False),
            nn.BatchNorm1d(channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels_in != channels:
            average = nn.AvgPool1d(stride) if stride > 1 else nn.Identity()
            self.shortcut = nn.Sequential(
                average, nn.Conv1d(channels_in, channels, 1, bias=False), nn.BatchNorm1d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.body(x) + self.shortcut(x))


class Res1dNet31(Encoder):
    """Encoder with seven stages of two blocks, maximum plus mean over time, and a linear layer.

    It has 79,384,640 parameters. The published checkpoint has 1,079,823 more in a classifier of 527
    classes. The input needs at least 20,476 samples. ReLU follows the linear layer.

    Args:
        sample_rate: sample rate in Hz; the published weights are for 32 kHz.
        segment_samples: segment length in samples; None is 10 s.
        width: number of channels of the first stage, 64 in the paper. The last stage has 32 times
            as many.
        dropout: dropout rate before and after the linear layer.
        normalize, frontend, pool: see `Encoder`; the front end must output waveforms.
    """

    blocks: Sequence[int] = (2, 2, 2, 2, 2, 2, 2)

    def __init__(
        self,
        sample_rate: int = 32000,
        segment_samples: int | None = None,
        width: int = 64,
        dropout: float = 0.5,
        normalize: Normalization | None = None,
        frontend: Frontend | None = None,
        pool: Pool | None = None,
    ):
        needs_waveform(type(self).__name__, frontend)
        if width < 1 or not 0 <= dropout < 1:
            raise ConfigError(
                f"{type(self).__name__} needs a positive width and a dropout in [0, 1), got "
                f"{width} and {dropout}."
            )
        stages, channels = [], width
        for count, stride, multiple in zip(self.blocks, STRIDES, MULTIPLES, strict=True):
            for i in range(count):
                stages.append(Block(channels, width * multiple, 1 if i else stride))
                channels = width * multiple
        trunk = nn.Sequential(
            nn.Conv1d(1, width, 11, 5, 5, bias=False), nn.BatchNorm1d(width), *stages
        )
        output = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(channels, channels), nn.ReLU(), nn.Dropout(dropout)
        )
        initialise(trunk)
        initialise(output)
        super().__init__(
            trunk,
            width=channels,
            dims=channels,
            sample_rate=sample_rate,
            segment_samples=segment_samples or 10 * sample_rate,
            min_samples=5 * (4**6 - 1) + 1,
            frontend=frontend,
            normalize=normalize,
            pool=MaxPlusMeanPool() if pool is None else pool,
            output=output,
        )


class Res1dNet51(Res1dNet31):
    """Deeper variant of `Res1dNet31`, with 2, 3, 4, 6, 4, 3 and 2 blocks in its stages.

    It has 106,538,063 parameters, including the classifier of 527 classes.
    """

    blocks = (2, 3, 4, 6, 4, 3, 2)


def initialise(module: nn.Module) -> None:
    """Initialise weights: Xavier uniform, and zero for the last norm of each block."""
    for m in module.modules():
        if isinstance(m, nn.Conv1d | nn.Linear):
            nn.init.xavier_uniform_(m.weight)
            if m.bias is not None:
                nn.init.zeros_(m.bias)
        elif isinstance(m, Block):
            nn.init.zeros_(m.body[-1].get_parameter("weight"))

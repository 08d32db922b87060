"""SampleCNN (Lee et al. 2017), the raw-waveform encoder of SemiSupCon and CLMR.

This module also has an XL variant, and a small variant for short clips and CPUs. The original code
flattens the output of the last pooling, so it needs 59,049 to 118,097 samples. This version
averages over time instead. In that range the results are the same, and longer clips are also
accepted. The unused last linear layer of the original checkpoints is removed.
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from semisupcon.encoders.base import Encoder, needs_waveform
from semisupcon.encoders.channels_last import BatchNorm1d, ChannelsLast, Conv1d, MaxPool1d
from semisupcon.encoders.pooling import Pool
from semisupcon.errors import ConfigError
from semisupcon.frontends import Frontend, Normalization


def conv_block(
    channels_in: int,
    channels_out: int,
    kernel: int = 3,
    stride: int = 1,
    padding: int = 1,
    pool: int | None = None,
) -> nn.Sequential:
    """Build a convolution, batch norm, ReLU and optional max-pooling over ``pool`` frames."""
    layers = [
        Conv1d(channels_in, channels_out, kernel, stride, padding),
        BatchNorm1d(channels_out),
        nn.ReLU(),
    ]
    return nn.Sequential(*layers, MaxPool1d(pool)) if pool else nn.Sequential(*layers)


class SampleCNN(Encoder):
    """SampleCNN: one convolution of stride 3, nine with max-pooling by 3, and a last one.

    All kernels have length 3. It has 2,368,512 parameters and an embedding of width 512. An input
    of 59,049 samples (3^10) gives one frame.

    Args:
        sample_rate: sample rate in Hz; 22,050 in SemiSupCon and CLMR.
        segment_samples: segment length in samples; 59,049 in CLMR, 59,535 (2.7 s) in SemiSupCon.
        normalize, frontend, pool: see `Encoder`; the front end must output waveforms.
    """

    widths: tuple[int, ...] = (128, 128, 128, 256, 256, 256, 256, 256, 256, 512, 512)

    def __init__(
        self,
        sample_rate: int = 22050,
        segment_samples: int = 59049,
        normalize: Normalization | None = None,
        frontend: Frontend | None = None,
        pool: Pool | None = None,
    ):
        needs_waveform(type(self).__name__, frontend)
        first, *_, last = self.widths
        super().__init__(
            ChannelsLast(
                conv_block(1, first, stride=3, padding=0),
                *(conv_block(a, b, pool=3) for a, b in pairwise(self.widths[:-1])),
                conv_block(self.widths[-2], last),
            ),
            width=last,
            dims=last,
            sample_rate=sample_rate,
            segment_samples=segment_samples,
            min_samples=3 ** (len(self.widths) - 1),
            frontend=frontend,
            normalize=normalize,
            pool=pool,
        )


class SampleCNNXL(SampleCNN):
    """SampleCNN with widths up to 2048: 25,190,400 parameters and an embedding of width 2048.

    The code of SemiSupCon defines this network, but its import fails.
    """

    widths = (128, 128, 128, 256, 256, 512, 512, 1024, 1024, 2048, 2048)


class SampleCNNSmall(Encoder):
    """Smaller SampleCNN that can be trained on two CPU cores.

    The first convolution has long overlapping windows; fewer and narrower blocks follow. By
    default, it has 136,224 parameters and an embedding of width 256, and accepts 729 samples or
    more.

    Args:
        widths: numbers of channels of the first convolution and of each block. The last one is the
            width of the embedding.
        stem: stride of the first convolution in samples. Its kernel is three times as long.
        sample_rate: sample rate in Hz.
        segment_samples: segment length in samples; 33,075 is 1.5 s at 22,050 Hz.
        normalize, frontend, pool: see `Encoder`; the front end must output waveforms.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 32, 64, 128, 256),
        stem: int = 27,
        sample_rate: int = 22050,
        segment_samples: int = 33075,
        normalize: Normalization | None = None,
        frontend: Frontend | None = None,
        pool: Pool | None = None,
    ):
        needs_waveform("SampleCNNSmall", frontend)
        if len(widths) < 2 or min(widths) < 1 or stem < 1:
            raise ConfigError(
                "SampleCNNSmall needs two or more positive widths and a positive stem, got "
                f"{widths} and {stem}."
            )
        *body, last = widths
        super().__init__(
            ChannelsLast(
                conv_block(1, widths[0], kernel=3 * stem, stride=stem, padding=stem),
                *(conv_block(a, b, pool=3) for a, b in pairwise(body)),
                conv_block(body[-1], last),
            ),
            width=last,
            dims=last,
            sample_rate=sample_rate,
            segment_samples=segment_samples,
            min_samples=stem * 3 ** (len(widths) - 2),
            frontend=frontend,
            normalize=normalize,
            pool=pool,
        )

"""TUNe+ (Vasquez et al. 2022), an encoder of SemiSupCon.

The network is a waveform U-Net followed by a second downsampling path ("tail"). All strides are 3.
"""

import torch
from torch import Tensor, nn

from semisupcon.encoders.base import Encoder, needs_waveform
from semisupcon.encoders.pooling import Pool
from semisupcon.errors import ConfigError
from semisupcon.frontends import Frontend, Normalization

LEVELS = 4
TAIL = (2, 4, 8, 16, 32, 32, 32, 32)


def conv_block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Build a convolution of kernel 3 with Kaiming uniform weights, batch norm and ReLU."""
    conv = nn.Conv1d(channels_in, channels_out, 3, padding=1)
    nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm1d(channels_out), nn.ReLU())


class WholeBlocks(nn.Module):
    """Cut ``[..., T]`` to a multiple of ``block`` samples."""

    def __init__(self, block: int):
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return x[..., : x.shape[-1] // self.block * self.block]


class TailedUNet(nn.Module):
    """U-Net with a tail. It maps ``[N, 1, T]`` to ``[N, out, T / 3^9]``.

    The input is cut to a multiple of 81 samples, because of the skip connections.
    """

    def __init__(self, width: int, out: int):
        super().__init__()
        # Numbers of channels of the five levels of the U-Net: 1, 2, 4, 8, 16 times the width.
        levels = [width * 2**i for i in range(LEVELS + 1)]
        self.down = nn.ModuleList(
            conv_block(a, b) for a, b in zip([1, *levels], levels, strict=False)
        )
        self.up = nn.ModuleList(nn.ConvTranspose1d(2 * c, c, 3, 3) for c in reversed(levels[:-1]))
        self.merge = nn.ModuleList(conv_block(2 * c, c) for c in reversed(levels[:-1]))
        self.pool, self.cut = nn.MaxPool1d(3), WholeBlocks(3**LEVELS)
        ends = [width * multiple for multiple in TAIL] + [out]
        skips = [*levels[1:], 0, 0, 0, 0, 0]
        self.tail = nn.ModuleList(
            conv_block(a + s, b) for a, s, b in zip([width, *ends], skips, ends, strict=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.cut(x)
        skips = []
        for i, block in enumerate(self.down):
            x = block(self.pool(x) if i else x)
            skips.append(x)
        # The tail has skip connections from the decoder outputs and from the lowest level of the
        # U-Net.
        beside = [skips.pop()]
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), skips.pop()], dim=1))
            beside.append(x)
        beside.pop()
        for block in self.tail:
            x = self.pool(x)
            x = block(torch.cat([x, beside.pop()], dim=1) if beside else x)
        return x


class TUNePlus(Encoder):
    """TUNe+ encoder, with 2,220,390 parameters and an embedding of width 512 by default.

    The original code averages groups of three frames and flattens the result. It fails for lengths
    that are not multiples of 81, and longer inputs give wider embeddings. This version drops up to
    80 samples at the end and averages over all frames.

    Args:
        width: number of channels at the highest level of the U-Net; 11 in the paper.
        out_dim: width of the embedding.
        sample_rate: sample rate in Hz.
        segment_samples: segment length in samples; 59,049 as in SampleCNN.
        normalize, frontend, pool: see `Encoder`; the front end must output waveforms.
    """

    def __init__(
        self,
        width: int = 11,
        out_dim: int = 512,
        sample_rate: int = 22050,
        segment_samples: int = 59049,
        normalize: Normalization | None = None,
        frontend: Frontend | None = None,
        pool: Pool | None = None,
    ):
        needs_waveform("TUNePlus", frontend)
        if width < 1 or out_dim < 1:
            raise ConfigError(
                f"TUNePlus needs a positive width and out_dim, got {width} and {out_dim}."
            )
        super().__init__(
            TailedUNet(width, out_dim),
            width=out_dim,
            dims=out_dim,
            sample_rate=sample_rate,
            segment_samples=segment_samples,
            min_samples=3 ** (len(TAIL) + 1),
            frontend=frontend,
            normalize=normalize,
            pool=pool,
        )

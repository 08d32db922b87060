"""TUNe+ (Vasquez et al. 2022), an encoder of SemiSupCon.

A waveform U-Net followed by a second downsampling path ("tail"). All strides are 3.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool1d

from semisupcon.encoders.base import Encoder, needs_waveform
from semisupcon.encoders.pooling import Pool
from semisupcon.errors import ConfigError
from semisupcon.frontends import Frontend, Normalization

LEVELS = 4
TAIL = (2, 4, 8, 16, 32, 32, 32, 32)


def conv_block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Convolution of kernel 3, batch norm, ReLU; Kaiming uniform weights."""
    conv = nn.Conv1d(channels_in, channels_out, 3, padding=1)
    nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")
    return nn.Sequential(conv, nn.BatchNorm1d(channels_out), nn.ReLU())


class TailedUNet(nn.Module):
    """U-Net with a tail, ``[N, 1, T]`` to ``[N, out, T / 3^9]``.

    T is cut to a multiple of 81, as skip connections require.
    """

    def __init__(self, width: int, out: int):
        super().__init__()
        # Channels of the five levels of the U: 1, 2, 4, 8, 16 times the width.
        levels = [width * 2**i for i in range(LEVELS + 1)]
        self.down = nn.ModuleList(
            conv_block(a, b) for a, b in zip([1, *levels], levels, strict=False)
        )
        self.up = nn.ModuleList(nn.ConvTranspose1d(2 * c, c, 3, 3) for c in reversed(levels[:-1]))
        self.merge = nn.ModuleList(conv_block(2 * c, c) for c in reversed(levels[:-1]))
        ends = [width * multiple for multiple in TAIL] + [out]
        skips = [*levels[1:], 0, 0, 0, 0, 0]
        self.tail = nn.ModuleList(
            conv_block(a + s, b) for a, s, b in zip([width, *ends], skips, ends, strict=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x[..., : x.shape[-1] // 3**LEVELS * 3**LEVELS]
        skips = []
        for i, block in enumerate(self.down):
            x = block(max_pool1d(x, 3) if i else x)
            skips.append(x)
        # Skip connections of the tail: outputs of the decoder, then the bottom of the U.
        beside = [skips.pop()]
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([up(x), skips.pop()], dim=1))
            beside.append(x)
        beside.pop()
        for block in self.tail:
            x = max_pool1d(x, 3)
            x = block(torch.cat([x, beside.pop()], dim=1) if beside else x)
        return x


class TUNePlus(Encoder):
    """TUNe+ encoder; 2,220,390 parameters by default, 59,049 samples give one 512-d embedding.

    The original averages three frames and flattens: lengths that are not multiples of 81 fail, and
    longer input gives a wider embedding. This version drops up to 80 samples at the end and
    averages all frames.

    Args:
        width: channels at the top of the U; 11 in the paper.
        out_dim: width of the embedding.
        sample_rate: Hz.
        segment_samples: 59,049 as in SampleCNN.
        normalize, frontend, pool: see `Encoder`; the front end must give waveforms.
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

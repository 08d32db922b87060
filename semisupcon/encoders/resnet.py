"""ResNets 18 to 152 for waveforms (1-D) and spectrograms (2-D), as in MT-SLVR.

See He et al. (2016) and Heggan et al. (2023). Blocks are those of torchvision: bottlenecks have
their stride in the 3x3 convolution. The 1-D kernels have length 49 in the stem and 9 in the blocks,
so that a 1-D network has as many parameters as the 2-D network with one channel. MT-SLVR includes
the last linear layer in the representation. The layer is present if ``out_dim`` is given.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, avg_pool2d, relu

from semisupcon.encoders.base import Encoder, needs_spectrogram, needs_waveform
from semisupcon.encoders.pooling import Pool
from semisupcon.errors import ConfigError
from semisupcon.frontends import Frontend, LogMel, Normalization

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


@dataclass(frozen=True)
class Dimensions:
    """Layer types and sizes that differ between waveform and spectrogram networks."""

    conv: type[nn.Module]
    norm: type[nn.Module]
    max_pool: type[nn.Module]
    avg_pool: Callable[..., Tensor]
    kernel: int
    stem_kernel: int
    stem_pool: int
    min_samples: int  # minimum input length of the stem


ONE = Dimensions(
    nn.Conv1d,
    nn.BatchNorm1d,
    nn.MaxPool1d,
    avg_pool1d,
    kernel=9,
    stem_kernel=49,
    stem_pool=9,
    min_samples=55,
)
TWO = Dimensions(
    nn.Conv2d,
    nn.BatchNorm2d,
    nn.MaxPool2d,
    avg_pool2d,
    kernel=3,
    stem_kernel=7,
    stem_pool=3,
    min_samples=1,
)


def convolution(
    dims: Dimensions, channels_in: int, channels_out: int, stride: int = 1
) -> nn.Module:
    """Build a convolution without bias for a residual block.

    With stride 1, its padding keeps the length.
    """
    return dims.conv(channels_in, channels_out, dims.kernel, stride, dims.kernel // 2, bias=False)


def halved(x: Tensor, avg_pool: Callable[..., Tensor]) -> Tensor:
    """Halve each length of ``[N, C, ...]`` by averaging. Lengths are rounded up.

    The lengths are those after a convolution of stride 2. Windows have two elements; for odd
    lengths they have three and overlap. The result equals that of adaptive average pooling, which
    has no deterministic backward pass on CUDA.
    """
    odd = [length % 2 for length in x.shape[2:]]
    return avg_pool(x, [2 + o for o in odd], 2, odd, count_include_pad=False)


def stem(dims: Dimensions, channels_in: int, width: int) -> nn.Sequential:
    """Build the stem: a convolution of stride 2, batch norm, ReLU, and max-pooling by 2."""
    return nn.Sequential(
        dims.conv(channels_in, width, dims.stem_kernel, 2, 3, bias=False),
        dims.norm(width),
        nn.ReLU(),
        dims.max_pool(dims.stem_pool, 2, 1),
    )


class Block(nn.Module):
    """Residual block of two convolutions with norms, and a shortcut. ReLU follows the sum."""

    expansion = 1

    def __init__(self, dims: Dimensions, channels_in: int, channels: int, stride: int):
        super().__init__()
        self.convs = nn.ModuleList(self.convolutions(dims, channels_in, channels, stride))
        out = channels * self.expansion
        self.norms = nn.ModuleList(dims.norm(conv.out_channels) for conv in self.convs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != out:
            self.shortcut = nn.Sequential(
                dims.conv(channels_in, out, 1, stride, bias=False), dims.norm(out)
            )

    def convolutions(
        self, dims: Dimensions, channels_in: int, channels: int, stride: int
    ) -> list[nn.Module]:
        return [
            convolution(dims, channels_in, channels, stride),
            convolution(dims, channels, channels),
        ]

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = norm(conv(relu(y) if i else y))
        return relu(y + self.shortcut(x))


class Bottleneck(Block):
    """Bottleneck block: 1x1, 3x3 and 1x1 convolutions; the last one is four times as wide."""

    expansion = 4

    def convolutions(
        self, dims: Dimensions, channels_in: int, channels: int, stride: int
    ) -> list[nn.Module]:
        return [
            dims.conv(channels_in, channels, 1, bias=False),
            convolution(dims, channels, channels, stride),
            dims.conv(channels, 4 * channels, 1, bias=False),
        ]


def initialise(module: nn.Module, zero_last_norm: bool = False) -> None:
    """Initialise convolutions with Kaiming normal weights (fan out).

    With ``zero_last_norm``, the last norm of each block is zero, so that blocks begin as their
    shortcut.
    """
    for m in module.modules():
        if isinstance(m, nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(m, Block) and zero_last_norm:
            nn.init.zeros_(m.norms[-1].get_parameter("weight"))


def resnet_trunk(
    dims: Dimensions, depth: int, channels_in: int, width: int, zero_last_norm: bool
) -> tuple[nn.Sequential, int]:
    """Return a trunk (stem and four stages) and its number of output channels."""
    if depth not in BLOCKS or width < 1:
        raise ConfigError(
            f"ResNets have a depth of {', '.join(map(str, BLOCKS))} and a positive width, got "
            f"{depth} and {width}."
        )
    block = Block if depth < 50 else Bottleneck
    parts: OrderedDict[str, nn.Module] = OrderedDict(stem=stem(dims, channels_in, width))
    channels = width
    for stage, count in enumerate(BLOCKS[depth]):
        blocks = []
        for i in range(count):
            blocks.append(
                block(dims, channels, width * 2**stage, stride=2 if stage and not i else 1)
            )
            channels = width * 2**stage * block.expansion
        parts[f"stage{stage + 1}"] = nn.Sequential(*blocks)
    trunk = nn.Sequential(parts)
    initialise(trunk, zero_last_norm)
    return trunk, channels


def fitting_frontend(name: str, dims: Dimensions, frontend: Frontend | None) -> Frontend | None:
    """Check and return the front end of a network; the default for 2-D networks is log-mel.

    Raises:
        ConfigError: for a spectrogram front end with a 1-D network, or a waveform front end with a
            2-D network.
    """
    if dims is ONE:
        needs_waveform(name, frontend)
        return frontend
    frontend = LogMel() if frontend is None else frontend
    needs_spectrogram(name, frontend)
    return frontend


def resolved_rate(sample_rate: int | None, frontend: Frontend | None) -> int:
    """Return the given sample rate, else the rate of the front end, else 16 kHz."""
    return sample_rate or (frontend.sample_rate if frontend else None) or 16000


class _ResNet(Encoder):
    dims: Dimensions

    def __init__(
        self,
        depth: int = 18,
        out_dim: int | None = None,
        width: int = 64,
        sample_rate: int | None = None,
        segment_samples: int | None = None,
        normalize: Normalization | None = None,
        frontend: Frontend | None = None,
        pool: Pool | None = None,
        zero_last_norm: bool = False,
    ):
        if out_dim is not None and out_dim < 1:
            raise ConfigError(
                f"out_dim must be at least 1, or null for no linear layer; got {out_dim}."
            )
        frontend = fitting_frontend(type(self).__name__, self.dims, frontend)
        trunk, channels = resnet_trunk(
            self.dims, depth, frontend.channels if frontend else 1, width, zero_last_norm
        )
        rate = resolved_rate(sample_rate, frontend)
        super().__init__(
            trunk,
            width=channels,
            dims=out_dim or channels,
            sample_rate=rate,
            segment_samples=segment_samples or 5 * rate,
            min_samples=self.dims.min_samples,
            frontend=frontend,
            normalize=normalize,
            pool=pool,
            output=nn.Linear(channels, out_dim) if out_dim else None,
        )


class ResNet1d(_ResNet):
    """ResNet on waveforms.

    Numbers of parameters with ``out_dim`` 1000, by depth: 11,683,240 (18), 21,791,400 (34),
    25,550,760 (50), 44,542,888 (101), 60,186,536 (152).

    Args:
        depth: 18, 34, 50, 101 or 152.
        out_dim: width of a linear layer after the pooling, whose output is the embedding; 1000 in
            MT-SLVR. None omits the layer: the embedding is then the pooled trunk output, of width
            512 or 2048.
        width: number of channels of the first stage; it doubles in each following stage.
        sample_rate: sample rate in Hz; None takes the rate of the front end, else 16 kHz.
        segment_samples: segment length in samples; None is 5 s.
        normalize, frontend, pool: see `Encoder`; the front end must output waveforms.
        zero_last_norm: whether to initialise the last norm of each block with zero.
    """

    dims = ONE


class ResNet2d(_ResNet):
    """ResNet on spectrograms.

    With ``out_dim`` 1000 and one input channel it has as many parameters as `ResNet1d`, with three
    channels 6,272 more. MFCL and the JAX port of COLA use depth 18 and ``out_dim`` None (11,170,240
    parameters).

    Args:
        depth, out_dim, width, sample_rate, segment_samples, normalize, pool, zero_last_norm: see
            `ResNet1d`.
        frontend: None is the log-mel spectrogram of COLA; MT-SLVR uses `ThreeChannelMel`.
    """

    dims = TWO

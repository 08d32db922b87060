"""ResNet trunk with shared convolutions, and with adapters and norms for each task.

The adapters are those of MT-SLVR (Heggan et al. 2023). They resemble the residual adapters of
Rebuffi et al. (2018).
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import relu

from semisupcon.encoders.resnet import BLOCKS, Dimensions, convolution, halved, initialise, stem

Kind = Literal["bn", "series", "parallel"]


class SeriesAdapter(nn.Module):
    """Adapter after a convolution with output y: y + W norm(y), where W is a 1x1 convolution."""

    def __init__(self, dims: Dimensions, channels: int):
        super().__init__()
        self.norm = dims.norm(channels)
        self.conv = dims.conv(channels, channels, 1, bias=False)

    def forward(self, y: Tensor) -> Tensor:
        return y + self.conv(self.norm(y))


class TaskConv(nn.Module):
    """A shared convolution, followed by an adapter and a norm for each task.

    Let x be the input and y the output of the shared convolution. The output of the module is
    norm(y) for the kind ``bn``, norm(y + W norm'(y)) for ``series``, and norm(y + V x) for
    ``parallel``. W and V are 1x1 convolutions; V has the stride of the shared convolution.
    """

    def __init__(
        self, kind: Kind, dims: Dimensions, channels_in: int, channels: int, stride: int, sets: int
    ):
        super().__init__()
        self.conv = convolution(dims, channels_in, channels, stride)
        self.series = nn.ModuleList(
            SeriesAdapter(dims, channels) for _ in range(sets if kind == "series" else 0)
        )
        self.parallel = nn.ModuleList(
            dims.conv(channels_in, channels, 1, stride, bias=False)
            for _ in range(sets if kind == "parallel" else 0)
        )
        self.norms = nn.ModuleList(dims.norm(channels) for _ in range(sets))

    def forward(self, streams: list[Tensor], sets: list[int]) -> list[Tensor]:
        """Apply the module to one input per task, with the parameter set of each task.

        ``streams`` are the inputs, ``sets`` the indices of the parameter sets. If all inputs are
        the same tensor, the shared convolution runs once.
        """
        once = (
            [self.conv(streams[0])] * len(streams)
            if all(x is streams[0] for x in streams)
            else [self.conv(x) for x in streams]
        )
        return [self._adapt(x, y, i) for x, y, i in zip(streams, once, sets, strict=True)]

    def _adapt(self, x: Tensor, y: Tensor, i: int) -> Tensor:
        if self.series:
            y = self.series[i](y)
        if self.parallel:
            y = y + self.parallel[i](x)
        return self.norms[i](y)


class AdapterBlock(nn.Module):
    """Residual block of two `TaskConv` and a shortcut without parameters.

    If the output is smaller or has more channels, the shortcut averages and adds zero channels.
    """

    def __init__(
        self, kind: Kind, dims: Dimensions, channels_in: int, channels: int, stride: int, sets: int
    ):
        super().__init__()
        self.first = TaskConv(kind, dims, channels_in, channels, stride, sets)
        self.second = TaskConv(kind, dims, channels, channels, 1, sets)
        self.avg_pool = dims.avg_pool

    def forward(self, streams: list[Tensor], sets: list[int]) -> list[Tensor]:
        hidden = [relu(y) for y in self.first(streams, sets)]
        return [
            relu(y + self.shortcut(x, y))
            for x, y in zip(streams, self.second(hidden, sets), strict=True)
        ]

    def shortcut(self, x: Tensor, like: Tensor) -> Tensor:
        if x.shape == like.shape:
            return x
        x = halved(x, self.avg_pool) if x.shape[2:] != like.shape[2:] else x
        return nn.functional.pad(x, (0, 0) * (x.dim() - 2) + (0, like.shape[1] - x.shape[1]))


class AdapterTrunk(nn.Module):
    """Trunk of an adapter ResNet: stem, four stages, and a norm with ReLU for each task.

    In stages outside ``task_stages``, all tasks share one set of adapters.
    """

    def __init__(
        self,
        kind: Kind,
        dims: Dimensions,
        depth: int,
        channels_in: int,
        width: int,
        task_stages: Sequence[int],
        tasks: int,
    ):
        super().__init__()
        self.stem = stem(dims, channels_in, width)
        self.specific = [stage in task_stages for stage in (1, 2, 3, 4)]
        self.stages, channels = nn.ModuleList(), width
        for stage, (count, specific) in enumerate(zip(BLOCKS[depth], self.specific, strict=True)):
            blocks = nn.ModuleList()
            for i in range(count):
                blocks.append(
                    AdapterBlock(
                        kind,
                        dims,
                        channels,
                        width * 2**stage,
                        2 if stage and not i else 1,
                        tasks if specific else 1,
                    )
                )
                channels = width * 2**stage
            self.stages.append(blocks)
        self.ends = nn.ModuleList(dims.norm(channels) for _ in range(tasks))
        initialise(self)

    def forward(self, features: Tensor, tasks: list[int]) -> list[Tensor]:
        """Return a feature map for each of ``tasks`` (indices).

        Layers before the first task-specific stage run once for all tasks.
        """
        streams = [self.stem(features)]
        for blocks, specific in zip(self.stages, self.specific, strict=True):
            if specific and len(streams) < len(tasks):
                streams = streams * len(tasks)
            sets = tasks if specific else [0] * len(streams)
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                streams = block(streams, sets)
        if len(streams) < len(tasks):
            streams = streams * len(tasks)
        return [relu(self.ends[i](x)) for i, x in zip(tasks, streams, strict=True)]

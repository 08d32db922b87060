"""ResNet trunk with shared convolutions, and adapters and norms per task.

The adapters of MT-SLVR (Heggan et al. 2023), like the residual adapters of Rebuffi et al. (2018).
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import relu

from semisupcon.encoders.resnet import BLOCKS, Dimensions, convolution, halved, initialise, stem

Kind = Literal["bn", "series", "parallel"]


class SeriesAdapter(nn.Module):
    """y + W norm(y), W a 1x1 convolution."""

    def __init__(self, dims: Dimensions, channels: int):
        super().__init__()
        self.norm = dims.norm(channels)
        self.conv = dims.conv(channels, channels, 1, bias=False)

    def forward(self, y: Tensor) -> Tensor:
        return y + self.conv(self.norm(y))


class TaskConv(nn.Module):
    """A shared convolution, followed by an adapter and a norm per task.

    With input x and output y of the shared convolution, ``bn`` is norm(y), ``series`` is
    norm(y + W norm'(y)), and ``parallel`` is norm(y + V x), with V a 1x1 convolution of the same
    stride.
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
        """Apply to the input of each task, ``streams``, with the parameter sets ``sets``.

        If all inputs are the same tensor, the shared convolution runs once.
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
    """Two task convolutions and a shortcut without parameters: average pooling, zero channels."""

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
    """Stem, four stages, and a norm with ReLU per task.

    Stages outside ``task_stages`` share one set of adapters.
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
        """Maps for each of ``tasks`` (indices); shared up to the first task-specific stage."""
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

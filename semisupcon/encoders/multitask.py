"""Multi-task ResNets with shared and task-specific parameters.

MT-SLVR (Heggan et al. 2023, section 2). `SplitResNet` shares all layers except the last linear
layer. `AdapterResNet` has batch norms and small convolutions per task in addition to shared
convolutions, like the residual adapters of Rebuffi et al. (2018). Shared layers run once for all
tasks, so shared batch norms process each view once.
"""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import relu

from semisupcon.encoders.base import Encoder
from semisupcon.encoders.pooling import Pool
from semisupcon.encoders.resnet import (
    BLOCKS,
    ONE,
    TWO,
    Dimensions,
    convolution,
    fitting_frontend,
    halved,
    initialise,
    resnet_trunk,
    resolved_rate,
    stem,
)
from semisupcon.errors import ConfigError
from semisupcon.frontends import Frontend, Normalization

TASKS = ("contrastive", "predictive")
Kind = Literal["bn", "series", "parallel"]


def task_outputs(
    channels: int, tasks: Sequence[str], out_dim: int | None, num_splits: int
) -> tuple[nn.Module | None, dict[str, int]]:
    """Last linear layer, shared or per task, and the width of the embedding of each task."""
    if num_splits not in (1, len(tasks)):
        raise ConfigError(
            f"num_splits must be 1 (one output layer for all tasks) or {len(tasks)} (one each), "
            f"got {num_splits}."
        )
    if len(set(tasks)) != len(tasks) or len(tasks) < 2:
        raise ConfigError(
            f"a multi-task encoder needs two or more tasks of different names, got {list(tasks)}."
        )
    if out_dim is None:
        return None, dict.fromkeys(tasks, channels)
    if out_dim < 1 or out_dim % num_splits:
        raise ConfigError(
            f"out_dim must be a positive multiple of {num_splits}, the number of output layers; "
            f"got {out_dim}."
        )
    width = out_dim // num_splits
    layer = (
        nn.Linear(channels, width)
        if num_splits == 1
        else nn.ModuleDict({task: nn.Linear(channels, width) for task in tasks})
    )
    return layer, dict.fromkeys(tasks, width)


class _SplitResNet(Encoder):
    dims: Dimensions

    def __init__(
        self,
        depth: int = 18,
        out_dim: int = 1000,
        tasks: Sequence[str] = TASKS,
        width: int = 64,
        sample_rate: int | None = None,
        segment_samples: int | None = None,
        normalize: Normalization | None = None,
        frontend: Frontend | None = None,
        pool: Pool | None = None,
    ):
        frontend = fitting_frontend(type(self).__name__, self.dims, frontend)
        trunk, channels = resnet_trunk(
            self.dims, depth, frontend.channels if frontend else 1, width, zero_last_norm=False
        )
        output, widths = task_outputs(channels, tasks, out_dim, len(tasks))
        rate = resolved_rate(sample_rate, frontend)
        super().__init__(
            trunk,
            width=channels,
            dims=widths,
            sample_rate=rate,
            segment_samples=segment_samples or 5 * rate,
            min_samples=self.dims.min_samples,
            frontend=frontend,
            normalize=normalize,
            pool=pool,
            output=output,
        )


class SplitResNet1d(_SplitResNet):
    """ResNet on waveforms with one linear layer per task (MT-Split).

    11,683,240 parameters at depth 18.

    Args:
        depth: 18, 34, 50, 101 or 152.
        out_dim: width of the embedding, divided among the tasks.
        tasks: names of the tasks.
        width, sample_rate, segment_samples, normalize, frontend, pool: see `ResNet1d`.
    """

    dims = ONE


class SplitResNet2d(_SplitResNet):
    """ResNet on spectrograms with one linear layer per task (MT-Split).

    11,689,512 parameters at depth 18 with three channels.

    Args:
        depth, out_dim, tasks: see `SplitResNet1d`.
        width, sample_rate, segment_samples, normalize, frontend, pool: see `ResNet2d`.
    """

    dims = TWO


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


class _AdapterResNet(Encoder):
    dims: Dimensions

    def __init__(
        self,
        kind: Kind,
        depth: int = 18,
        out_dim: int | None = 1000,
        num_splits: int = 2,
        tasks: Sequence[str] = TASKS,
        task_stages: Sequence[int] = (2, 3, 4),
        width: int = 64,
        sample_rate: int | None = None,
        segment_samples: int | None = None,
        normalize: Normalization | None = None,
        frontend: Frontend | None = None,
        pool: Pool | None = None,
    ):
        name = type(self).__name__
        if kind not in ("bn", "series", "parallel") or depth not in (18, 34):
            raise ConfigError(
                f"{name} has adapters bn, series or parallel and a depth of 18 or 34, got '{kind}' "
                f"and {depth}."
            )
        if width < 1:
            raise ConfigError(f"{name} needs a positive width, got {width}.")
        if not set(task_stages) <= {1, 2, 3, 4}:
            raise ConfigError(
                f"{name} has stages 1 to 4; task_stages holds "
                f"{sorted(set(task_stages) - {1, 2, 3, 4})}."
            )
        frontend = fitting_frontend(name, self.dims, frontend)
        output, widths = task_outputs(8 * width, tasks, out_dim, num_splits)
        rate = resolved_rate(sample_rate, frontend)
        super().__init__(
            AdapterTrunk(
                kind,
                self.dims,
                depth,
                frontend.channels if frontend else 1,
                width,
                task_stages,
                len(tasks),
            ),
            width=8 * width,
            dims=widths,
            sample_rate=rate,
            segment_samples=segment_samples or 5 * rate,
            min_samples=self.dims.min_samples,
            frontend=frontend,
            normalize=normalize,
            pool=pool,
            output=output,
        )

    def _maps(self, features: Tensor, names: tuple[str | None, ...]) -> list[Tensor]:
        return self.trunk(features, [self.tasks.index(name) for name in names])


class AdapterResNet1d(_AdapterResNet):
    """Adapter ResNet on waveforms; not possible in the original.

    Arguments as in `AdapterResNet2d` and `ResNet1d`.
    """

    dims = ONE


class AdapterResNet2d(_AdapterResNet):
    """Adapter ResNet on spectrograms (MT-Bn, MT-Series, MT-Parallel).

    Parameters at depth 18 with three channels: 11,524,904 (bn), 14,308,648 (series), 13,949,736
    (parallel).

    Args:
        kind: ``bn``, ``series`` or ``parallel``; see `TaskConv`.
        depth: 18 or 34.
        out_dim: total width of the last linear layers; None omits them.
        num_splits: 2 gives each task a linear layer of half that width, 1 gives both tasks the same
            layer of full width.
        tasks: names of the tasks, in the order of the concatenated embedding.
        task_stages: stages with adapters per task; the stem and other stages are shared. A shared
            stage after a task-specific stage runs once per task.
        width, sample_rate, segment_samples, normalize, frontend, pool: see `ResNet2d`.
    """

    dims = TWO

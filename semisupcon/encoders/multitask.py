"""Multi-task ResNets with shared and task-specific parameters.

The encoders are those of MT-SLVR (Heggan et al. 2023, section 2). In `SplitResNet1d` and
`SplitResNet2d`, the tasks share all layers except the last linear layer. `AdapterResNet1d` and
`AdapterResNet2d` add batch norms and small convolutions per task to shared convolutions, like the
residual adapters of Rebuffi et al. (2018). Shared layers run once for all tasks, so shared batch
norms process each view once.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from semisupcon.encoders.adapters import AdapterTrunk, Kind
from semisupcon.encoders.base import Encoder
from semisupcon.encoders.pooling import Pool
from semisupcon.encoders.resnet import (
    ONE,
    TWO,
    Dimensions,
    fitting_frontend,
    resnet_trunk,
    resolved_rate,
)
from semisupcon.errors import ConfigError
from semisupcon.frontends import Frontend, Normalization

TASKS = ("contrastive", "predictive")


def task_outputs(
    channels: int, tasks: Sequence[str], out_dim: int | None, num_splits: int
) -> tuple[nn.Module | None, dict[str, int]]:
    """Return the last linear layer, shared or one per task, and the embedding width per task."""
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

    It has 11,683,240 parameters at depth 18.

    Args:
        depth: 18, 34, 50, 101 or 152.
        out_dim: width of the whole embedding, divided equally among the tasks.
        tasks: names of the tasks.
        width, sample_rate, segment_samples, normalize, frontend, pool: see `ResNet1d`.
    """

    dims = ONE


class SplitResNet2d(_SplitResNet):
    """ResNet on spectrograms with one linear layer per task (MT-Split).

    It has 11,689,512 parameters at depth 18 with three input channels.

    Args:
        depth, out_dim, tasks: see `SplitResNet1d`.
        width, sample_rate, segment_samples, normalize, frontend, pool: see `ResNet2d`.
    """

    dims = TWO


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
    """Adapter ResNet on waveforms. The code of MT-SLVR supports only spectrograms.

    The arguments are described in `AdapterResNet2d` and `ResNet1d`.
    """

    dims = ONE


class AdapterResNet2d(_AdapterResNet):
    """Adapter ResNet on spectrograms (MT-Bn, MT-Series, MT-Parallel).

    Numbers of parameters at depth 18 with three input channels: 11,524,904 (bn), 14,308,648
    (series), 13,949,736 (parallel).

    Args:
        kind: ``bn``, ``series`` or ``parallel``; see `semisupcon.encoders.adapters.TaskConv`.
        depth: 18 or 34.
        out_dim: width of all last linear layers together; None omits these layers.
        num_splits: number of last linear layers. With 2, each task has a layer of half the width.
            With 1, both tasks share a layer of the full width.
        tasks: names of the tasks, in the order of the concatenated embedding.
        task_stages: stages with adapters for each task; the stem and the other stages are shared. A
            shared stage after a task-specific stage runs once per task.
        width, sample_rate, segment_samples, normalize, frontend, pool: see `ResNet2d`.
    """

    dims = TWO

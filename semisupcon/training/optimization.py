"""Parameter groups of optimizers, and learning-rate schedules.

The learning rate of `WarmupCosine` and `OscillatingCosine` depends on the step only, so that a
resumed run continues exactly.
"""

import logging
import math
from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as L
from pytorch_lightning.cli import ReduceLROnPlateau
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from semisupcon.errors import ConfigError

log = logging.getLogger(__name__)
NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def parameter_groups(
    model: nn.Module,
    trainable: Iterable[tuple[str, nn.Parameter]],
    decay_norm_and_bias: bool = True,
) -> list[dict]:
    """Divide parameters into groups for an optimizer.

    Args:
        model: model with the normalisation layers.
        trainable: names and parameters to optimize.
        decay_norm_and_bias: whether all parameters form one group. If False, biases and the
            parameters of normalisation layers form a second group without weight decay. timm's LARS
            does not adapt the learning rate of such a group, as in the paper (You et al. 2017) and
            in SimCLR.
    """
    trainable = list(trainable)
    if decay_norm_and_bias:
        return [{"params": [p for _, p in trainable]}]
    in_norms = {
        id(p) for m in model.modules() if isinstance(m, NORMS) for p in m.parameters(recurse=False)
    }
    # Compare the start of the name, because recurrent layers have names such as bias_ih_l0.
    spared = {
        n for n, p in trainable if id(p) in in_norms or n.rpartition(".")[2].startswith("bias")
    }
    groups: list[dict[str, Any]] = [
        {"params": [p for n, p in trainable if n not in spared]},
        {"params": [p for n, p in trainable if n in spared], "weight_decay": 0.0},
    ]
    return [g for g in groups if g["params"]]


def optimizer_of(module: Any) -> Optimizer:
    """Build the configured optimizer for the trainable parameters of an `Objective`."""
    trainable = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    return module.make_optimizer(parameter_groups(module, trainable, module.decay_norm_and_bias))


def schedule_of(make: Callable[..., Any], optimizer: Optimizer, trainer: L.Trainer) -> Any:
    """Build the configured schedule. A missing ``total_steps`` becomes the length of the run.

    Args:
        make: function that builds the schedule for an optimizer.
        optimizer: optimizer whose learning rate the schedule sets.
        trainer: trainer that knows the length of the run.

    Raises:
        ConfigError: if the schedule needs the length of the run, and the run has none.
    """
    try:
        scheduler = make(optimizer)
    except (TypeError, ValueError) as error:
        if isinstance(error, ConfigError) or "total_steps" not in str(error):
            raise
        scheduler = make(optimizer, total_steps=_run_length(trainer))
    if getattr(scheduler, "total_steps", 0) is None:
        scheduler.total_steps = _run_length(trainer)
        if isinstance(scheduler, WarmupCosine) and scheduler.warmup_steps >= scheduler.total_steps:
            log.warning(
                "The warm-up of %d steps is not shorter than the run (%d steps): the learning rate "
                "does not reach its peak. See --model.scheduler.warmup_steps.",
                scheduler.warmup_steps,
                scheduler.total_steps,
            )
    return scheduler


def _run_length(trainer: L.Trainer) -> int:
    steps = trainer.estimated_stepping_batches
    if not math.isfinite(steps):
        raise ConfigError(
            "The schedule needs the length of the run: give --trainer.max_steps or "
            "--trainer.max_epochs"
        )
    return int(steps)


def stepped(scheduler: Any) -> dict[str, Any]:
    """Return a ``lr_scheduler`` dictionary for Lightning, with the schedule and its interval."""
    if isinstance(scheduler, ReduceLROnPlateau):
        return {"scheduler": scheduler, "interval": "epoch", "monitor": scheduler.monitor}
    return {"scheduler": scheduler, "interval": "step"}


class _Closed(LRScheduler):
    """Schedule whose learning rate depends on the step only.

    The attributes named in ``settings`` are not stored in checkpoints, so a resumed run uses the
    configured values, for example another length.
    """

    settings: tuple[str, ...] = ()

    def state_dict(self) -> dict:
        return {
            name: value for name, value in super().state_dict().items() if name not in self.settings
        }

    def load_state_dict(self, state_dict: dict) -> None:
        super().load_state_dict(
            {name: value for name, value in state_dict.items() if name not in self.settings}
        )

    def factor(self, step: int) -> float:
        raise TypeError(f"{type(self).__name__} defines no factor(step)")

    def get_lr(self) -> list[float | Tensor]:
        return [base * self.factor(self.last_epoch) for base in self.base_lrs]


class WarmupCosine(_Closed):
    """Linear warm-up from zero, then half a cosine down to ``final_factor`` at the end of the run.

    Args:
        optimizer: optimizer; its learning rate is the peak.
        warmup_steps: steps of the warm-up.
        total_steps: steps of the run; None for the length given by the trainer.
        final_factor: final learning rate divided by the peak.
        last_epoch: last finished step.

    Raises:
        ConfigError: for a negative warm-up, or one that is not shorter than ``total_steps``.
    """

    settings = ("warmup_steps", "total_steps", "final_factor")

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: int = 0,
        total_steps: int | None = None,
        final_factor: float = 0.0,
        last_epoch: int = -1,
    ):
        if warmup_steps < 0 or (total_steps is not None and total_steps <= warmup_steps):
            raise ConfigError(
                "WarmupCosine needs 0 <= warmup_steps < total_steps, got "
                f"{warmup_steps} and {total_steps}."
            )
        self.warmup_steps, self.total_steps, self.final_factor = (
            warmup_steps,
            total_steps,
            final_factor,
        )
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return the learning rate at a step (from 0), divided by the peak.

        It is 1/warmup_steps at the first warm-up step, not 0.
        """
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        if self.total_steps is None:
            return 1.0
        progress = min(
            1.0, (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
        )
        return self.final_factor + (1 - self.final_factor) * (1 + math.cos(math.pi * progress)) / 2


class OscillatingCosine(_Closed):
    """Cosine that falls and rises repeatedly, as in the published code of MT-SLVR.

    MT-SLVR gives the length of its cosine in epochs but steps it per batch. The learning rate is
    the peak at step 0, zero at ``half_period`` and the peak again at ``2 * half_period``. MT-SLVR
    has a half period of 1000 steps and thus 25 cycles in a run. Use this schedule to reproduce
    published runs only; for new runs, `WarmupCosine` is the better choice.

    Args:
        optimizer: optimizer; its learning rate is the peak.
        half_period: steps from the peak to zero.
        last_epoch: last finished step.

    Raises:
        ConfigError: for a half period below one step.
    """

    settings = ("half_period",)

    def __init__(self, optimizer: Optimizer, half_period: int = 1000, last_epoch: int = -1):
        if half_period < 1:
            raise ConfigError(
                f"OscillatingCosine needs a half period of at least 1 step, got {half_period}."
            )
        self.half_period = half_period
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return the learning rate at a step (from 0), divided by the peak."""
        return (1 + math.cos(math.pi * step / self.half_period)) / 2

"""Parameter groups and learning-rate schedules.

Schedules are functions of the step, so that a resumed run continues exactly.
"""

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

NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def parameter_groups(
    model: nn.Module,
    trainable: Iterable[tuple[str, nn.Parameter]],
    decay_norm_and_bias: bool = True,
) -> list[dict]:
    """Groups for an optimizer: one, or two, the second without weight decay (biases and parameters
    of normalisation layers).

    LARS in timm does not adapt a group without weight decay, as in its paper (You et al. 2017) and
    in SimCLR.
    """
    trainable = list(trainable)
    if decay_norm_and_bias:
        return [{"params": [p for _, p in trainable]}]
    in_norms = {
        id(p) for m in model.modules() if isinstance(m, NORMS) for p in m.parameters(recurse=False)
    }
    # Recurrent layers have names such as bias_ih_l0.
    spared = {
        n for n, p in trainable if id(p) in in_norms or n.rpartition(".")[2].startswith("bias")
    }
    groups: list[dict[str, Any]] = [
        {"params": [p for n, p in trainable if n not in spared]},
        {"params": [p for n, p in trainable if n in spared], "weight_decay": 0.0},
    ]
    return [g for g in groups if g["params"]]


def optimizer_of(module: Any) -> Optimizer:
    """The configured optimizer for the trainable parameters of an `Objective`."""
    trainable = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    return module.make_optimizer(parameter_groups(module, trainable, module.decay_norm_and_bias))


def schedule_of(make: Callable[..., Any], optimizer: Optimizer, trainer: L.Trainer) -> Any:
    """The configured schedule, with the length of the run if it needs it.

    Args:
        make: function that builds the schedule for an optimizer.
        optimizer: optimizer of the schedule.
        trainer: gives the length of the run.

    Raises:
        ConfigError: if the schedule needs the length of the run, and the run has none.
    """
    try:
        scheduler = make(optimizer)
    except (TypeError, ValueError) as error:
        if "total_steps" not in str(error):
            raise
        scheduler = make(optimizer, total_steps=_run_length(trainer))
    if getattr(scheduler, "total_steps", 0) is None:
        scheduler.total_steps = _run_length(trainer)
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
    """Return Lightning's ``lr_scheduler`` dictionary: the schedule, and when it is stepped."""
    if isinstance(scheduler, ReduceLROnPlateau):
        return {"scheduler": scheduler, "interval": "epoch", "monitor": scheduler.monitor}
    return {"scheduler": scheduler, "interval": "step"}


class _Closed(LRScheduler):
    """A schedule that is a function of the step only.

    Its ``settings`` are not part of its state, so a resumed run uses the configured ones (for
    example another length).
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
        optimizer: its learning rates are the peak.
        warmup_steps: steps of the warm-up.
        total_steps: steps of the run; None for the length given by the trainer.
        final_factor: final learning rate divided by the peak.
        last_epoch: last finished step.

    Raises:
        ConfigError: for a negative length.
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
        if warmup_steps < 0 or (total_steps is not None and total_steps < 0):
            raise ConfigError(
                f"WarmupCosine needs non-negative lengths, got {warmup_steps} and {total_steps} "
                "steps."
            )
        self.warmup_steps, self.total_steps, self.final_factor = (
            warmup_steps,
            total_steps,
            final_factor,
        )
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Factor of the peak at a step, from 0.

        The first warm-up step has 1/warmup_steps instead of 0.
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
    """MT-SLVR's actual schedule: a cosine with ``T_max`` in epochs, stepped per batch, so that it
    falls and rises repeatedly.

    The learning rate is the peak at step 0, zero at ``half_period`` and the peak again at twice
    that (MT-SLVR: 1000, so 25 cycles in a run). Use it to repeat published runs; `WarmupCosine` is
    the better choice.

    Args:
        optimizer: its learning rates are the peak.
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
        """Factor of the peak at a step, from 0."""
        return (1 + math.cos(math.pi * step / self.half_period)) / 2

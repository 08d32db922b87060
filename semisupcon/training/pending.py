"""Pending work when a checkpoint is saved: an optimizer step, a validation, a row of metrics.

With ``accumulate_grad_batches``, a validation can occur between two optimizer steps. A checkpoint
saved there has the accumulated gradients and the pending state of the criterion
(`Criterion.pending`), so that a resumed run makes the same next step, bit for bit.
"""

from typing import TYPE_CHECKING, Any, cast

from torch import nn

from semisupcon.distributed import gathered, world_size

if TYPE_CHECKING:
    from semisupcon.objectives.base import Criterion


def within_accumulation(trainer: Any) -> bool:
    """Whether accumulated gradients wait for the next optimizer step."""
    return trainer.accumulate_grad_batches > 1 and trainer.fit_loop.epoch_loop._should_accumulate()


def validation_follows(trainer: Any) -> bool:
    """At the end of a batch: whether Lightning validates before the next batch."""
    loop = trainer.fit_loop
    return bool(loop.epoch_loop._should_check_val_fx(loop._data_fetcher))


def row_of_step(trainer: Any) -> dict[str, Any]:
    """At the end of a batch: the metrics row that Lightning logs next (step, epoch, values); empty
    if it logs nothing.
    """
    connector = trainer._logger_connector
    return _row(trainer) if connector.should_update_logs else {}


def row_of_validation(trainer: Any) -> dict[str, Any]:
    """At the end of a validation: its metrics row (step, epoch, values)."""
    return _row(trainer)


def _row(trainer: Any) -> dict[str, Any]:
    values = {
        name: float(value) for name, value in trainer._logger_connector.metrics["log"].items()
    }
    step = trainer.fit_loop.epoch_loop._batches_that_stepped
    return {"step": step, **values, "epoch": trainer.current_epoch} if values else {}


def pending_of(module: Any) -> dict[str, Any] | None:
    """Gradients ``[W, ...]`` of all W ranks by parameter name, and the criterion's pending state;
    None at an optimizer step. Every rank must call it.
    """
    if not within_accumulation(module.trainer):
        return None
    gradients = {n: gathered(p.grad) for n, p in module.named_parameters() if p.grad is not None}
    return {"gradients": gradients, "criterion": module.criterion.pending()}


def restore_pending(module: nn.Module, state: dict[str, Any] | None, rank: int) -> None:
    """Restore the gradients: each rank its own, or the mean over ranks if the number of ranks has
    changed.
    """
    if not state:
        return
    for name, parameter in module.named_parameters():
        if (stored := state["gradients"].get(name)) is not None:
            own = stored[rank] if len(stored) == world_size() else stored.mean(dim=0)
            parameter.grad = own.to(parameter.device, parameter.dtype)
    cast("Criterion", module.criterion).restore_pending(state["criterion"])

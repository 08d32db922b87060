"""Work of a run that is not complete when a checkpoint is saved.

With ``accumulate_grad_batches``, a validation can occur between two optimizer steps. A checkpoint
that is saved in this validation stores the accumulated gradients and the pending state of the
criterion (`Criterion.pending`), so that a resumed run makes the same next step, bit for bit.
"""

from typing import TYPE_CHECKING, Any, cast

from torch import nn

from semisupcon.distributed import gathered, world_size

if TYPE_CHECKING:
    from semisupcon.objectives.base import Criterion


def within_accumulation(trainer: Any) -> bool:
    """Return whether the trainer has accumulated gradients without an optimizer step yet."""
    return trainer.accumulate_grad_batches > 1 and trainer.fit_loop.epoch_loop._should_accumulate()


def validation_follows(trainer: Any) -> bool:
    """Return whether Lightning validates before the next batch.

    Call it at the end of a batch.
    """
    loop = trainer.fit_loop
    return bool(loop.epoch_loop._should_check_val_fx(loop._data_fetcher))


def row_of_step(trainer: Any) -> dict[str, Any]:
    """Return the row of metrics (step, epoch, values) that Lightning logs at the end of a batch.

    The row is empty if Lightning logs nothing after this batch.
    """
    connector = trainer._logger_connector
    return _row(trainer) if connector.should_update_logs else {}


def row_of_validation(trainer: Any) -> dict[str, Any]:
    """Return the row of metrics (step, epoch, values) at the end of a validation."""
    return _row(trainer)


def _row(trainer: Any) -> dict[str, Any]:
    values = {
        name: float(value) for name, value in trainer._logger_connector.metrics["log"].items()
    }
    step = trainer.fit_loop.epoch_loop._batches_that_stepped
    return {"step": step, **values, "epoch": trainer.current_epoch} if values else {}


def pending_of(module: Any) -> dict[str, Any] | None:
    """Return the accumulated gradients of all ranks and the pending state of the criterion.

    Every rank must call this function.

    Returns:
        ``{"gradients": ..., "criterion": ...}``, where the gradients are ``[W, ...]`` for W ranks,
        by parameter name. None directly after an optimizer step.
    """
    if not within_accumulation(module.trainer):
        return None
    gradients = {n: gathered(p.grad) for n, p in module.named_parameters() if p.grad is not None}
    return {"gradients": gradients, "criterion": module.criterion.pending()}


def restore_pending(module: nn.Module, state: dict[str, Any] | None, rank: int) -> None:
    """Restore accumulated gradients and the pending state of the criterion from a checkpoint.

    Each rank gets its gradients, or their mean over ranks if the number of ranks has changed.

    Args:
        module: `Objective` of the run.
        state: result of `pending_of`; None changes nothing.
        rank: rank of this process.
    """
    if not state:
        return
    for name, parameter in module.named_parameters():
        if (stored := state["gradients"].get(name)) is not None:
            own = stored[rank] if len(stored) == world_size() else stored.mean(dim=0)
            parameter.grad = own.to(parameter.device, parameter.dtype)
    cast("Criterion", module.criterion).restore_pending(state["criterion"])

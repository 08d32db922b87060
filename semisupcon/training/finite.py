"""Stop a run when its loss is not finite, or skip the batch.

On a CPU, every loss is checked at once. On a GPU or with several ranks, a check synchronises the
devices. Therefore losses are collected there and checked every ``log_every_n_steps`` steps and
before each save. No checkpoint contains weights that were updated with a loss that is not finite.
"""

import logging
from typing import Any

import torch
from torch import Tensor, nn

from semisupcon.errors import UserError

NAMED = 5  # maximum number of clips in a message
log = logging.getLogger(__name__)


class NotFiniteError(UserError):
    """Error: the loss or the weights have NaN or infinite values."""


class Finite:
    """Check that the losses of an `Objective` are finite.

    Args:
        mode: "stop" ends the run at a loss that is not finite. "skip" skips the optimizer step; it
            checks every loss, which synchronises the devices at each step, and keeps a copy of the
            buffers.
    """

    def __init__(self, mode: str = "stop"):
        self.mode, self.skipped = mode, 0
        self._recent: list[tuple[int, int, Tensor, Tensor]] = []
        self._before: dict[str, Tensor] | None = None

    @property
    def skips(self) -> bool:
        """Whether batches with a loss that is not finite are skipped."""
        return self.mode == "skip"

    def before(self, module: Any) -> None:
        """Copy the buffers of a module (batch-norm statistics, queues) in mode "skip".

        Call it before each forward pass. The copy is made once per optimizer step.
        """
        if self.skips and self._before is None:
            self._before = {name: buffer.clone() for name, buffer in module.named_buffers()}

    def after(self, module: Any, loss: Tensor, batch: Any) -> None:
        """Record whether the loss of a batch is finite, and check it if a check is due.

        Call it after each forward pass.

        Raises:
            NotFiniteError: in mode "stop", with step, batch and clips.
        """
        trainer = module.trainer
        number = trainer.fit_loop.epoch_loop.total_batch_idx
        self._recent.append(
            (trainer.global_step, number, batch["clip"], ~loss.detach().isfinite().all())
        )
        at_once = trainer.world_size == 1 and loss.device.type == "cpu"
        if not self.skips and (
            at_once or (trainer.global_step + 1) % trainer.log_every_n_steps == 0
        ):
            self.check(module)

    def check(self, module: Any) -> None:
        """Check the losses since the last check. Every rank must call this method.

        Raises:
            NotFiniteError: for the first loss that is not finite, with step, batch and clips.
        """
        recent, self._recent = self._recent, []
        if not recent:
            return
        flags = _over_ranks(module, torch.stack([flag for *_, flag in recent])).tolist()
        if not any(flags):
            return
        step, number, clips, _ = recent[flags.index(True)]
        raise NotFiniteError(
            f"The loss of batch {number} (step {step}) is not finite. The last good checkpoint is "
            "kept.\n"
            f"Clips of the batch: {_names(module, clips)}\n"
            "Check these clips, lower --model.optimizer.lr, or skip such batches with "
            "--model.on_nan skip."
        )

    def take_back(self, module: Any) -> bool:
        """Return whether the optimizer step must be skipped, in mode "skip".

        If so, the buffers are restored to their values before the batches of this step.
        """
        recent, self._recent = self._recent, []
        before, self._before = self._before, None
        if not any(
            flags := _over_ranks(module, torch.stack([flag for *_, flag in recent])).tolist()
        ):
            return False
        assert before is not None  # `before` sets it in this mode
        for name, buffer in module.named_buffers():
            buffer.copy_(before[name])
        module.criterion.restore_pending({})
        self.skipped += 1
        step, number, clips, _ = recent[flags.index(True)]
        log.warning(
            "Skipped batch %d (step %d): its loss is not finite. Clips: %s",
            number,
            step,
            _names(module, clips),
        )
        return True


def check_weights(module: nn.Module) -> None:
    """Check that weights and batch-norm statistics are finite, before they are saved.

    Raises:
        NotFiniteError: for the first tensor that is not finite.
    """
    tensors = [
        *module.named_parameters(),
        *((n, b) for n, b in module.named_buffers() if n.endswith(("running_mean", "running_var"))),
    ]
    flags = torch.stack([tensor.detach().isfinite().all() for _, tensor in tensors])
    if not flags.all():
        name = tensors[int((~flags).nonzero()[0])][0]
        raise NotFiniteError(
            f"{name} has values that are not finite, so nothing was saved. The last good "
            "checkpoint is kept.\n"
            "Causes are clips with extreme values (`semisupcon data check` finds them) or a high "
            "learning rate."
        )


def _over_ranks(module: Any, flags: Tensor) -> Tensor:
    if module.trainer.world_size == 1:
        return flags
    return module.trainer.strategy.reduce(flags.float(), reduce_op="max") > 0


def _names(module: Any, clips: Tensor) -> str:
    """Return the names of the first clips of a batch, from the table of the data module."""
    drawn = getattr(getattr(module.trainer, "datamodule", None), "drawn", None)
    names = (
        dict(zip(drawn.table["clip"], drawn.table["name"], strict=True))
        if drawn is not None
        else {}
    )
    told = [str(names.get(clip, clip)) for clip in clips[:NAMED].tolist()]
    return ", ".join(told) + (f" and {len(clips) - NAMED} more" if len(clips) > NAMED else "")

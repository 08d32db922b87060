"""Handling of a process (rank) that dies: the main process saves the last step and reports it, and
all processes end.

Lightning's observer kills all processes, including the main one, some seconds after one has died.
The observer here gives the main process time to save. A step that is interrupted in the forward or
backward pass has changed only buffers (batch-norm statistics, queues), which are restored from a
copy. A step that is interrupted in the optimizer step is not saved; the last checkpoint stays.
"""

import os
import re
import signal
import sys
import threading
import time
from typing import Any

import pytorch_lightning as L
import torch

from semisupcon.training.keeping import KeepCheckpoints
from semisupcon.training.processes import job

LOOK, GRACE, PATIENCE = 0.2, 60.0, 15.0  # seconds: between checks, for saving, for ending
_LOST = re.compile(
    r"connection (was )?(closed|reset)|broken pipe|remote process exited|nccl|gloo|socket|peer",
    re.IGNORECASE,
)


def end_with_parent() -> None:
    """In a process that Lightning launched: end when the main process has ended, even while waiting
    for it.
    """
    if (
        int(os.environ.get("LOCAL_RANK") or 0) == 0
        or "TORCHELASTIC_RUN_ID" in os.environ
        or job() is not None
    ):
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        time.sleep(PATIENCE)  # A broken connection may end the process earlier, with a message.
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watch-parent").start()


class WatchRanks(L.Callback):
    """Watches the processes that Lightning launched for further devices; torchrun and SLURM watch
    theirs.

    Args:
        checkpoints: callback that saves checkpoints.
    """

    def __init__(self, checkpoints: KeepCheckpoints):
        self.checkpoints = checkpoints
        self.died: str | None = None
        self._buffers: dict[str, torch.Tensor] | None = None
        self._stepping = self._ended = False

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        processes = getattr(trainer.strategy.launcher, "procs", None)
        if not processes:
            return
        for thread in threading.enumerate():
            if thread.name == "child-process-observer":
                observer: Any = thread  # a private class
                observer._run = lambda: True
        threading.Thread(
            target=self._watch, args=(processes,), daemon=True, name="watch-ranks"
        ).start()

    def _watch(self, processes: list[Any]) -> None:
        while not self._ended:
            for rank, process in enumerate(processes, 1):
                if process.poll():
                    self.died = f"Process {process.pid} (rank {rank}) {_how(process.returncode)}."
                    self._end(processes)
                    return
            time.sleep(LOOK)

    def _end(self, processes: list[Any]) -> None:
        for process in processes:
            if process.poll() is None:
                process.kill()  # It may wait forever for the dead process.
        until = time.monotonic() + GRACE
        while time.monotonic() < until:
            time.sleep(LOOK)
        # The main thread hangs in a collective operation, which Python cannot interrupt.
        print(f"error: {self.sentence()}", file=sys.stderr, flush=True)
        os._exit(1)

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, *_: Any) -> None:
        if trainer.world_size > 1 and trainer.is_global_zero:
            self._stepping = False
            self._buffers = {
                name: buffer.detach().clone() for name, buffer in module.named_buffers()
            }

    def on_before_optimizer_step(self, *_: Any) -> None:
        self._stepping = True

    def on_train_batch_end(self, *_: Any) -> None:
        self._buffers, self._stepping = None, False

    def on_exception(
        self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException
    ) -> None:
        if trainer.world_size == 1 or not trainer.is_global_zero or trainer.state.fn != "fit":
            return
        between = getattr(trainer.train_dataloader, "failed", False)
        if not (between or lost_connection(exception)) or self._stepping or trainer.validating:
            return
        for name, buffer in module.named_buffers():
            if self._buffers is not None and name in self._buffers:
                buffer.copy_(self._buffers[name])
        self.checkpoints.save_last_step(trainer)

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self._ended = True

    def sentence(self, wait: float = 5.0) -> str:
        """Error message after the loss of a process; waits at most ``wait`` seconds for its exit
        status.
        """
        until = time.monotonic() + wait
        while self.died is None and time.monotonic() < until:
            time.sleep(LOOK / 10)
        told = self.died or "A process of the run has ended; its connection is lost."
        return f"{told}\nAll other processes end. Continue with --resume_from_checkpoint {self.checkpoints.folder}."


def lost_connection(error: BaseException) -> bool:
    """Whether a torch exception means that another process has ended."""
    return isinstance(error, RuntimeError) and _LOST.search(str(error)) is not None


def _how(code: int) -> str:
    if code > 0:
        return f"has ended with exit status {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (
        ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
    )

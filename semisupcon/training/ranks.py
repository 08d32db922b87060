"""End a run in which one process (rank) has died.

The main process saves the last step and prints an error, and all processes end. Lightning has an
observer that kills all processes, including the main one, some seconds after one has died. This
module replaces it by an observer that gives the main process time to save.

A death during the forward or backward pass has changed only buffers (batch-norm statistics,
queues); they are restored from a copy before the state is saved. After a death during the optimizer
step, nothing is saved, and the last checkpoint remains.
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

# Seconds between two checks, for saving after a death, and for ending.
LOOK, GRACE, PATIENCE = 0.2, 60.0, 15.0
_LOST = re.compile(
    r"connection (was )?(closed|reset)|broken pipe|remote process exited|nccl|gloo|socket|peer",
    re.IGNORECASE,
)


def end_with_parent() -> None:
    """Start a thread that ends this process soon after the main process of the run has ended.

    Without it, a process that waits for the main process would wait forever. The thread is started
    only in processes that Lightning has launched.
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
        time.sleep(PATIENCE)  # Let a connection error end the process first, with a message.
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="watch-parent").start()


class WatchRanks(L.Callback):
    """Callback that watches the processes that Lightning launched for further devices.

    Processes of torchrun and SLURM are watched by torchrun and SLURM.

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
                observer: Any = thread  # instance of a private class of Lightning
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
                process.kill()  # It may be waiting for the dead process.
        until = time.monotonic() + GRACE
        while time.monotonic() < until:
            time.sleep(LOOK)
        # The main thread still waits in a collective operation, which Python cannot interrupt.
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
        """Return the error message after the death of a process.

        Waits at most ``wait`` seconds for the exit status of the process.
        """
        until = time.monotonic() + wait
        while self.died is None and time.monotonic() < until:
            time.sleep(LOOK / 10)
        told = self.died or "A process of the run has ended; its connection is lost."
        return f"{told}\nAll other processes end. Continue with --resume_from_checkpoint {self.checkpoints.folder}."


def lost_connection(error: BaseException) -> bool:
    """Return whether an exception of torch means that another process has ended."""
    return isinstance(error, RuntimeError) and _LOST.search(str(error)) is not None


def _how(code: int) -> str:
    if code > 0:
        return f"has ended with exit status {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (
        ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
    )

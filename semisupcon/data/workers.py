"""Worker processes of the loader, with clear errors if a worker dies or hangs.

When a worker dies, torch raises an error from a signal handler, which may interrupt the training
process at any point. This loader detects a dead worker when the next batch is requested, so that
the run can be saved in its state after the last step. The run then ends with an error message, and
no process remains.
"""

import atexit
import inspect
import logging
import pickle
import signal
import threading
import time
from contextlib import ExitStack
from typing import Any
from weakref import WeakSet, ref

from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling as torch_signals
from torch.utils.data.dataloader import _BaseDataLoaderIter, _MultiProcessingDataLoaderIter

from semisupcon.audio.quiet import without_decoder_notes
from semisupcon.batch import Batch
from semisupcon.errors import AudioError, UserError

LOOK = 1.0  # seconds between two checks of the workers
WARN_AFTER, GIVE_UP_AFTER = 60.0, 600.0  # seconds without a batch
log = logging.getLogger(__name__)
_for_life = ExitStack()  # contexts that a worker leaves when it exits
_running: WeakSet = WeakSet()  # iterators of all loaders of this process


class WorkerError(UserError):
    """A worker process has died or does not respond."""


def quiet_worker(_: int) -> None:
    """Ignore SIGINT, SIGTERM and SIGHUP in a worker, and suppress decoder messages.

    The main process receives these signals and stops the workers.
    """
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _for_life.enter_context(without_decoder_notes())


class _Workers(_MultiProcessingDataLoaderIter):
    _asked: float | None = None  # time of the request for the next batch, while waiting
    _kill, _hung = False, ""

    def __init__(self, loader: "Processes"):
        self._run: WeakSet = WeakSet() if loader.run is None else loader.run
        before = (
            _without_torch(signal.getsignal(signal.SIGCHLD)) if hasattr(signal, "SIGCHLD") else None
        )
        try:
            super().__init__(loader)
        finally:
            if before is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGCHLD, before)
        self._run.add(self)
        _running.add(self)
        threading.Thread(
            target=_watch, args=(ref(self),), daemon=True, name="watch-workers"
        ).start()

    def __next__(self) -> Batch:
        # Also check the validation workers. Between two training steps, the run can still be saved.
        for workers in list(self._run):
            if workers is self or not workers._kill:
                workers._check()
        self._asked = time.monotonic()
        try:
            return super().__next__()
        except AudioError as error:
            # The message of an error from a worker contains a traceback; keep only its text.
            raise AudioError(str(error).rpartition(f"{AudioError.__name__}: ")[2].strip()) from None
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
            # A dying worker leaves incomplete data in the pipe, possibly before its process has
            # ended.
            until = time.monotonic() + LOOK
            while time.monotonic() < until:
                self._check(of_all=True)
                time.sleep(0.01)
            raise
        finally:
            self._asked = None

    def _try_get_data(self, timeout: float = LOOK) -> tuple[bool, Any]:
        return super()._try_get_data(timeout)

    def _check(self, of_all: bool = False) -> None:
        if self._shutdown:
            return
        for status, worker in zip(self._workers_status, self._workers, strict=True):
            if (status or (of_all and worker.exitcode)) and not worker.is_alive():
                self._kill = True  # Other workers may wait for a lock of the dead one.
                raise WorkerError(self._hung or _ended(worker)) from None

    def _look(self, asked: float, warned: bool) -> bool:
        """Log a warning if no batch arrives for long, and later kill the workers.

        Returns whether a warning was logged.
        """
        waited = time.monotonic() - asked
        if waited < WARN_AFTER:
            return False
        told = f"No batch for {waited:.0f} s: loader worker {self._awaited()} does not respond"
        if not warned:
            log.warning("%s. The run ends after %.0f s.", told, GIVE_UP_AFTER)
        if waited >= GIVE_UP_AFTER:
            self._hung = (
                f"{told}.\nA stalled disk or network can cause this. Check it, and resume the run."
            )
            for worker in self._workers:
                worker.kill()
        return True

    def _awaited(self) -> int | None:
        """Return the process id of the worker that reads the next batch."""
        task = self._task_info.get(self._rcvd_idx)
        return self._workers[task[0]].pid if task else self._workers[0].pid

    def _shutdown_workers(self) -> None:
        # Torch waits some seconds for each worker, and a hanging worker ignores SIGTERM.
        workers = getattr(self, "_workers", ())
        for worker in workers if self._kill else ():
            worker.kill()
        super()._shutdown_workers()
        for worker in workers:
            if worker.is_alive():
                worker.kill()


def _without_torch(handler: Any) -> Any:
    """Return a SIGCHLD handler, or the previous handler if it is torch's handler.

    Torch's handler remains installed after the use of a plain `DataLoader`, and raises errors
    during a training step.
    """
    if getattr(handler, "__module__", None) != torch_signals.__name__:
        return handler
    return inspect.getclosurevars(handler).nonlocals.get("previous_handler") or signal.SIG_DFL


def _ended(worker: Any) -> str:
    code, told = worker.exitcode, f"Loader worker {worker.pid} (a process that reads audio)"
    if code is None or code >= 0:
        return f"{told} has ended with exit status {code}."
    name = signal.Signals(-code).name
    causes = {
        "SIGKILL": "The kernel kills processes when memory runs out: reduce --data.num_workers."
    }
    cause = causes.get(
        name, "A library that reads audio has crashed: `semisupcon data check` finds the file."
    )
    return f"{told} was killed by {name}.\n{cause}"


def _watch(workers: ref) -> None:
    """Check workers in a separate thread, as the thread that requests batches may be blocked."""
    warned = False
    while (watched := workers()) is not None and not watched._shutdown:
        asked = watched._asked
        warned = watched._look(asked, warned) if asked is not None else False
        del watched
        time.sleep(LOOK)


class Processes(DataLoader):
    """DataLoader that ends its worker processes before the interpreter exits.

    Workers ignore the signals that end the main process, see `quiet_worker`.

    Attributes:
        run: iterators of all loaders of the run. Each loader reports dead workers of all these
            loaders. None reports only workers of this loader.
    """

    run: WeakSet | None = None

    def _get_iterator(self) -> _BaseDataLoaderIter:
        self.check_worker_number_rationality()
        return _Workers(self)


@atexit.register
def _end_workers() -> None:
    for iterator in list(_running):
        iterator._shutdown_workers()

"""Worker processes of the loader: one that dies or hangs ends the run with a sentence, at the end of a step, and leaves no process behind.

torch raises from a signal handler when a worker dies, in the middle of whatever the training process does. Here the death is found when the next
batch is asked for (at once, or within a second where the training process waits), so that the run can be saved as the last step left it.
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

LOOK = 1.0  # seconds between two looks at workers that are waited for
WARN_AFTER, GIVE_UP_AFTER = 60.0, 600.0  # seconds without a batch
log = logging.getLogger(__name__)
_for_life = ExitStack()  # of a worker
_running: WeakSet = WeakSet()  # iterators of this process


class WorkerError(UserError):
    """A process that reads audio has died, or does not answer."""


def quiet_worker(_: int) -> None:
    """Workers outlive the signals that end a run, as the process that trains decides when they stop; and they decode without notes."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    _for_life.enter_context(without_decoder_notes())


class _Workers(_MultiProcessingDataLoaderIter):
    _asked: float | None = None  # when the batch was asked for that has not come
    _kill, _hung = False, ""

    def __init__(self, loader: "Processes"):
        self._run: WeakSet = WeakSet() if loader.run is None else loader.run
        before = _without_torch(signal.getsignal(signal.SIGCHLD)) if hasattr(signal, "SIGCHLD") else None
        try:
            super().__init__(loader)
        finally:
            if before is not None and threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGCHLD, before)
        self._run.add(self)
        _running.add(self)
        threading.Thread(target=_watch, args=(ref(self),), daemon=True, name="watch-workers").start()

    def __next__(self) -> Batch:
        for workers in list(self._run):  # Those of validation too, while there is a step to save.
            if workers is self or not workers._kill:
                workers._check()
        self._asked = time.monotonic()
        try:
            return super().__next__()
        except AudioError as error:
            # From a worker it comes with that worker's traceback in its text.
            raise AudioError(str(error).rpartition(f"{AudioError.__name__}: ")[2].strip()) from None
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
            # What is half sent by a worker that dies cannot be read; the kernel may still be about to end it.
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
                self._kill = True  # It may have died with a lock that the others wait for.
                raise WorkerError(self._hung or _ended(worker)) from None

    def _look(self, asked: float, warned: bool) -> bool:
        """Warn of a batch that does not come, then kill the workers; whether there was a warning."""
        waited = time.monotonic() - asked
        if waited < WARN_AFTER:
            return False
        told = f"No batch has come for {waited:.0f} s: loader worker {self._awaited()} does not answer"
        if not warned:
            log.warning("%s. The run ends after %.0f s.", told, GIVE_UP_AFTER)
        if waited >= GIVE_UP_AFTER:
            self._hung = f"{told}.\nA disk or network that hangs does that. Look at it, and resume the run."
            for worker in self._workers:
                worker.kill()
        return True

    def _awaited(self) -> int | None:
        """The process whose batch is the next one."""
        task = self._task_info.get(self._rcvd_idx)
        return self._workers[task[0]].pid if task else self._workers[0].pid

    def _shutdown_workers(self) -> None:
        # torch waits some seconds for each worker; one that hangs would not listen to SIGTERM.
        workers = getattr(self, "_workers", ())
        for worker in workers if self._kill else ():
            worker.kill()
        super()._shutdown_workers()
        for worker in workers:
            if worker.is_alive():
                worker.kill()


def _without_torch(handler: Any) -> Any:
    """A handler of SIGCHLD; in place of torch's, which stays after a plain `DataLoader` and raises within a step, the one before it."""
    if getattr(handler, "__module__", None) != torch_signals.__name__:
        return handler
    return inspect.getclosurevars(handler).nonlocals.get("previous_handler") or signal.SIG_DFL


def _ended(worker: Any) -> str:
    code, told = worker.exitcode, f"Loader worker {worker.pid} (a process that reads audio)"
    if code is None or code >= 0:
        return f"{told} has ended with exit status {code}."
    name = signal.Signals(-code).name
    causes = {"SIGKILL": "The kernel does that when memory runs out: fewer --data.num_workers need less."}
    cause = causes.get(name, "A library that reads audio has crashed: `python -m semisupcon data check` finds the file.")
    return f"{told} was killed by {name}.\n{cause}"


def _watch(workers: ref) -> None:
    """A thread: the one that asks for a batch may be stuck in reading from a worker."""
    warned = False
    while (watched := workers()) is not None and not watched._shutdown:
        asked = watched._asked
        warned = watched._look(asked, warned) if asked is not None else False
        del watched
        time.sleep(LOOK)


class Processes(DataLoader):
    """A loader whose workers are ended before the interpreter: they ignore its signals, see `quiet_worker`.

    Attributes:
        run: iterators of all loaders of the run. Each of them reports a dead worker of any. None: those of this loader alone.
    """

    run: WeakSet | None = None

    def _get_iterator(self) -> _BaseDataLoaderIter:
        self.check_worker_number_rationality()
        return _Workers(self)


@atexit.register
def _end_workers() -> None:
    for iterator in list(_running):
        iterator._shutdown_workers()

"""Run units of work in all cores, with a progress bar."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from tqdm import tqdm

from semisupcon.errors import UserError


class Bar(NamedTuple):
    """A progress bar.

    Attributes:
        text: description.
        total: number of all units, with those that an earlier call has done.
        unit: name of a unit.
    """

    text: str
    total: int
    unit: str


def _nothing() -> None:
    pass


def run(
    work: Callable[..., None],
    todo: list[tuple],
    workers: int,
    bar: Bar,
    begin: Callable[..., None] = _nothing,
    given: tuple = (),
) -> None:
    """Do units of work.

    Args:
        work: function of one unit.
        todo: arguments of the units.
        workers: number of processes; 1 for this process.
        bar: progress bar on stderr.
        begin: function that each process calls first, with the arguments ``given``.

    Raises:
        UserError: if a process was killed, for example for its memory.
    """
    if not todo:
        return
    done = bar.total - len(todo)
    with tqdm(desc=bar.text, total=bar.total, initial=done, unit=f" {bar.unit}") as progress:
        if workers == 1 or len(todo) == 1:
            begin(*given)
            for arguments in todo:
                work(*arguments)
                progress.update()
            return
        pool = ProcessPoolExecutor(
            min(workers, len(todo)),
            multiprocessing.get_context("spawn"),
            _in_worker,
            (begin, given),
        )
        try:
            for future in as_completed([pool.submit(work, *arguments) for arguments in todo]):
                future.result()
                progress.update()
        except BrokenProcessPool:
            raise UserError(
                "A process of the build was killed, perhaps because memory ran out.\n"
                "The same command continues the build; --workers 1 needs least memory."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _in_worker(begin: Callable[..., None], given: tuple) -> None:
    """Begin a process. Ctrl-C is left to the main process, which ends this one after its unit.

    If the main process is killed, this one ends too.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin(*given)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)

"""Run the cells of a study and write their rows to its CSV file.

Several cells can run at the same time. Cells that are already in the file are not run again.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.evidence.cell import COLUMNS, run_cell
from benchmarks.evidence.study import Cell
from semisupcon.files import write_text

STOPPED = (130, 143)  # exit status of pretraining after SIGINT and SIGTERM


def done(file: Path) -> set[tuple[str, int]]:
    """Return the settings and seeds whose rows are in a CSV file."""
    rows = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=COLUMNS)
    return set(zip(rows["setting"], rows["seed"].astype(int), strict=True))


def put(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add the rows of a cell to a CSV file. The file is replaced, so that no cell is incomplete."""
    text = (
        pd.DataFrame(rows)
        .reindex(columns=COLUMNS)
        .to_csv(index=False, header=not file.exists(), float_format="%.6g")
    )
    write_text(file, (file.read_text() if file.exists() else "") + text)


def run(
    todo: Sequence[Cell],
    file: Path,
    jobs: int = 1,
    work: Callable[[Cell], list[dict[str, Any]]] = run_cell,
) -> int:
    """Run the cells that are not in the CSV file, and return the number of failed cells.

    A failed cell is reported, and the other cells are still run.

    Args:
        todo: cells of the study.
        file: CSV file of the study.
        jobs: number of cells that run at the same time.
        work: function that runs a cell and returns its rows.

    Raises:
        SystemExit: if SIGINT or SIGTERM has stopped a run. The study then stops too.
    """
    there = done(file)
    todo = [cell for cell in todo if (cell.setting.name, cell.seed) not in there]
    began, failed = time.perf_counter(), 0
    for count, (cell, rows, problem) in enumerate(results(todo, jobs, work), 1):
        if isinstance(problem, SystemExit) and problem.code in STOPPED:
            raise problem
        left = (time.perf_counter() - began) / count * (len(todo) - count) / 60
        if problem is None:
            put(file, rows)
        failed += problem is not None
        said = f"{rows[0]['seconds']} s" if problem is None else f"FAILED: {problem!r}"
        print(
            f"{cell.study} {count}/{len(todo)} {cell.setting.name}, seed {cell.seed}: {said}; "
            f"about {left:.0f} min left",
            flush=True,
        )
    return failed


def results(
    todo: Sequence[Cell], jobs: int, work: Callable
) -> Iterator[tuple[Cell, list[dict[str, Any]], BaseException | None]]:
    """Yield each cell when it finishes, with its rows and its exception, if any."""
    if jobs == 1:
        torch.set_num_threads(1)
        for cell in todo:
            try:
                yield cell, work(cell), None
            except (Exception, SystemExit) as problem:
                yield cell, [], problem
        return
    os.environ["OMP_NUM_THREADS"] = "1"  # read by each spawned process at its start
    folder = todo[0].folder if todo else Path()
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=quiet, initargs=(folder,)
    ) as pool:
        waiting = {pool.submit(work, cell): cell for cell in todo}
        try:
            for future in as_completed(waiting):
                problem = future.exception()
                yield waiting[future], [] if problem else future.result(), problem
        finally:  # If the study is stopped, do not start further cells.
            pool.shutdown(cancel_futures=True)


def quiet(folder: Path) -> None:
    """Initialise a worker process: one thread, and output to a log file in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / f"worker-{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log, stream.fileno())
    torch.set_num_threads(1)

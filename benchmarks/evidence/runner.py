"""Run the cells of a study, some at a time, and keep the rows of each in the study's CSV: what is
there is not run again."""

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

STOPPED = (130, 143)  # what pretraining exits with after SIGINT and SIGTERM


def done(file: Path) -> set[tuple[str, int]]:
    """Settings and seeds whose rows are in a CSV."""
    rows = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=COLUMNS)
    return set(zip(rows["setting"], rows["seed"].astype(int), strict=True))


def put(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to a CSV, which is replaced whole: no cell is ever there by half."""
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
    """Run the cells that the CSV does not hold; returns how many failed. They are told of, and the
    others are run nevertheless.

    Raises:
        SystemExit: when a run was stopped by SIGINT or SIGTERM, for then it is the study that shall
            stop.
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
    """Cells as they finish, with their rows, or with what went wrong."""
    if jobs == 1:
        torch.set_num_threads(1)
        for cell in todo:
            try:
                yield cell, work(cell), None
            except (Exception, SystemExit) as problem:
                yield cell, [], problem
        return
    os.environ["OMP_NUM_THREADS"] = "1"  # the spawned processes read it when they start
    folder = todo[0].folder if todo else Path()
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=quiet, initargs=(folder,)
    ) as pool:
        waiting = {pool.submit(work, cell): cell for cell in todo}
        try:
            for future in as_completed(waiting):
                problem = future.exception()
                yield waiting[future], [] if problem else future.result(), problem
        finally:  # of a study that is stopped, what has not begun shall not
            pool.shutdown(cancel_futures=True)


def quiet(folder: Path) -> None:
    """Of a worker: one thread, and a log in place of the terminal."""
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / f"worker-{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log, stream.fileno())
    torch.set_num_threads(1)

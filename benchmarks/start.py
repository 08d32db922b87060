"""Measure how long a run needs between the scan of its files and its first batch.

``python -m benchmarks.start [--clips 1000000] [--classes 50] [--check]`` makes a table of clips as
`semisupcon.data.sources.gather` returns it, in a process of its own, and times the steps that
follow: the draw of validation clips and labels, the clips, the fingerprint of the run, and the
first batch of the sampler. Nothing is decoded; the files do not exist. The memory is the peak of
the process, table and targets included, minus its size after the imports.
"""

import argparse
import ctypes
import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow

from benchmarks.bars import Bar, all_met
from benchmarks.memory import reset_peak, status
from semisupcon.data.clips import Clips
from semisupcon.data.draws import divide
from semisupcon.data.loader import fingerprint_of
from semisupcon.data.sampler import MixedBatchSampler
from semisupcon.datasets.base import LabelledClips
from semisupcon.random import permutation

SECONDS, GB = 2.0, 0.6


def table_of(count: int, classes: int, labelled: float) -> LabelledClips:
    """Make a table of clips without files: a share is labelled, a tenth of the tags is set."""
    draw = np.random.default_rng(0)
    numbers = np.arange(count)
    texts = pd.Series(numbers).astype(str).str.zfill(8)  # not as a list, which leaves memory behind
    names = texts.str.slice(0, 5) + "/artist - album - " + texts + ".mp3"
    has_label = draw.random(count) < labelled
    targets = (draw.random((count, classes), dtype=np.float32) < 0.1).astype(np.float32)
    targets[~has_label] = np.nan
    table = pd.DataFrame(
        {
            "path": "/data/collection of recordings/" + names,
            "name": names,
            "clip": draw.permutation(numbers) << 20,
            "group": pd.Series(np.full(count, np.nan), dtype=object),
            "split": "train",
            "in_pool": True,
            "labelled": has_label,
            "frames": draw.integers(20_000, 700_000, count),
            "sample_rate": 22_050,
            "listed": has_label,
        }
    )
    names_of = tuple(f"tag {i}" for i in range(classes))
    return LabelledClips(table, targets, names_of, kind="multilabel", root="/data", name="tags")


def measure(count: int, classes: int, labelled: float) -> dict[str, float]:
    """Time the steps in this process; returns seconds by step, and the memory in GB."""
    small = table_of(100, classes, labelled)
    steps(small)  # imports and first uses
    before = status("VmRSS")
    given = [table_of(count, classes, labelled)]
    # Give memory back that was only needed to make the table.
    pyarrow.default_memory_pool().release_unused()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    reset_peak()
    table = status("VmRSS") - before
    found = steps(given.pop())
    peak = status("VmHWM") - before
    return found | {"table": table * 1024**2 / 1e9, "gb": peak * 1024**2 / 1e9}


def steps(given: LabelledClips) -> dict[str, float]:
    """Time the steps that follow the scan, in seconds."""
    seconds: dict[str, float] = {}

    def timed(name: str, function: Callable[[], Any]) -> Any:
        begin = time.perf_counter()
        result = function()
        seconds[name] = time.perf_counter() - begin
        return result

    drawn = timed("divide", partial(divide, given))
    del given
    timed("clips", lambda: Clips(drawn, 22_050, 59_049))
    timed("fingerprint", lambda: fingerprint_of((96, 0.5, 123), drawn.table))

    def first_batch() -> np.ndarray:
        rows = (drawn.rows("train", source=s) for s in ("labelled", "unlabelled"))
        return MixedBatchSampler(*rows, drawn.table["clip"].to_numpy(), 96).batch(0)

    timed("first batch", first_batch)
    seconds["sum"] = sum(seconds.values())
    timed("permutation alone", lambda: permutation(len(drawn), 0, "order"))
    return seconds


def main(args: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--labelled", type=float, default=0.5, help="share of labelled clips")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is missed")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(args)
    if options.case is not None:
        print(json.dumps(measure(options.case, options.classes, options.labelled)))
        return 0
    print(
        "| clips | divide | clips | fingerprint | first batch | sum | permutation | table | peak |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    bars = []
    for count in options.clips:
        command = [sys.executable, "-m", "benchmarks.start", "--case", str(count)]
        command += ["--classes", str(options.classes), "--labelled", str(options.labelled)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        memory = f"{found.pop('table'):.2f} GB | {(most := found.pop('gb')):.2f} GB"
        times = " | ".join(f"{value:.2f} s" for value in found.values())
        print(f"| {count:,} | {times} | {memory} |", flush=True)
        bars = [
            Bar("start_seconds", found["sum"], SECONDS, "<="),
            Bar("start_gb", most, GB, "<="),
        ]
    return int(not all_met(bars) and options.check)


if __name__ == "__main__":
    sys.exit(main())

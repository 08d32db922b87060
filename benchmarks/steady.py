"""Check that open files and memory do not grow during long commands.

The commands are a training run of 2,000 steps (with a loader worker, a validation every 100 steps
and a save every 50 steps) and ``semisupcon embed`` for 5,000 files. Each command runs in a forked
process. The open file descriptors and the resident memory of this process and its children are
sampled at regular intervals. The first two fifths of the samples are not used, because libraries
and caches allocate memory in this time. Run ``python -m benchmarks.steady --check --figure
media/steady.png``.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.bars import Bar, all_met
from benchmarks.forked import import_commands, make_clips, start, training

JUDGED = 0.6  # share of the samples, at the end, in which growth is measured
PAGE = os.sysconf("SC_PAGE_SIZE")
FDS_MOST, MEGABYTES_MOST = (
    5.0,
    10.0,
)  # the number of descriptors of batches in transit varies


class Sample(NamedTuple):
    """Sample of a process and its children.

    Attributes:
        seconds: seconds since the start.
        descriptors: number of open file descriptors.
        megabytes: resident memory in MB.
    """

    seconds: float
    descriptors: int
    megabytes: float


def family(pid: int) -> list[int]:
    """Return the IDs of a process and its children."""
    tasks = Path(f"/proc/{pid}/task")
    children = [
        int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()
    ]
    return [pid, *children]


def look(pid: int, began: float) -> Sample | None:
    """Take a sample of a process; None if the process has ended."""
    try:
        own = [Path(f"/proc/{member}") for member in family(pid)]
        descriptors = sum(len(os.listdir(place / "fd")) for place in own)
        pages = sum(int((place / "statm").read_text().split()[1]) for place in own)
    except OSError:
        return None
    if not pages:  # The process has just ended.
        return None
    return Sample(time.monotonic() - began, descriptors, pages * PAGE / 1e6)


def watch(args: list[str], log: Path, every: float) -> list[Sample]:
    """Run a command to its end, and return samples taken every ``every`` seconds."""
    pid, began, samples = start(args, log), time.monotonic(), []
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            break
        if (sample := look(pid, began)) is not None:
            samples.append(sample)
        time.sleep(every)
    if status:
        raise SystemExit(
            f"{' '.join(args[:2])} ended with {status}; it said: {log.read_text()[-3000:]}"
        )
    return samples


def growth(samples: Sequence[Sample], share: float = JUDGED) -> tuple[float, float]:
    """Return the growth of descriptors and of memory (MB) in the last samples.

    The growth is the difference of the end and the start of a fitted line.

    Args:
        samples: samples of a command.
        share: share of the samples, at the end, to use.
    """
    judged = samples[
        round(len(samples) * (1 - share)) : max(len(samples) - 2, 0)
    ]  # without the last samples, when the process ends
    if len(judged) < 5:
        return float("nan"), float("nan")
    seconds = np.array([sample.seconds for sample in judged])

    def over(values: list[float]) -> float:
        return float(np.polyfit(seconds, values, 1)[0] * (seconds[-1] - seconds[0]))

    return over([s.descriptors for s in judged]), over([s.megabytes for s in judged])


def draw(curves: dict[str, list[Sample]], file: Path) -> None:
    """Draw memory and open files of all commands against the share of their duration."""
    from semisupcon.plots import draw_lines, save_figure

    lines, points = {}, 50
    for name, samples in curves.items():
        picked = [samples[i] for i in np.linspace(0, len(samples) - 1, points).astype(int)]
        lines[f"{name}: memory, MB"] = [sample.megabytes for sample in picked]
        lines[f"{name}: open files"] = [float(sample.descriptors) for sample in picked]
    ticks = [str(round(100 * i / (points - 1))) for i in range(points)]
    save_figure(
        draw_lines(ticks, lines, "Memory and open files", "share of the run, %", "MB, or number"),
        file,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--every", type=float, default=0.5, help="seconds between two samples")
    parser.add_argument("--figure", type=Path, help="where to draw the curves")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    import_commands()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SEMISUPCON_CACHE"] = str(folder / "cache")
        log, runs = folder / "log.txt", folder / "runs"
        data, many = (
            make_clips(folder / "clips"),
            make_clips(folder / "many", -(-options.files // 6)),
        )
        more = {"trainer__val_check_interval": 100, "save_every": 50, "data__num_workers": 1}
        steps = training(data, runs, run_name="a", trainer__max_steps=options.steps, **more)
        embed = ["embed", str(many), f"--checkpoint={runs / 'a'}", f"--out={folder / 'e.npy'}"]
        curves = {
            f"{options.steps:,} steps": watch(steps, log, options.every),
            f"{options.files:,} files": watch(embed, log, options.every / 5),
        }
    results = []
    for name, samples in curves.items():
        descriptors, megabytes = growth(samples)
        most = max(sample.megabytes for sample in samples)
        print(
            f"{name}: {samples[-1].seconds:.0f} s, {len(samples)} samples, at most {most:.0f} MB, "
            f"{max(s.descriptors for s in samples)} open files"
        )
        word = name.split()[1]
        results += [
            Bar(f"open_files_grown_{word}", descriptors, FDS_MOST, "<="),
            Bar(f"megabytes_grown_{word}", megabytes, MEGABYTES_MOST, "<="),
        ]
    if options.figure:
        draw(curves, options.figure)
    met = all_met(results)
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())

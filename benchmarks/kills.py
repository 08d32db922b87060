"""Kill commands at random times, and check that they can continue with the same result.

The commands are pretraining (plain, with weight averaging, with gradient accumulation, and on two
ranks, of which one is killed), pack, stream, embed, a probe suite, and export. Each command first
runs without being killed. Then it is started, killed with SIGKILL at a random time, and started
again in the same folder, until the planned number of kills is reached. Training runs are started
again with ``--resume_from_checkpoint last``.

After each kill, all files must be loadable. At the end, the results must equal those of the first
run: weights, optimizer state and metrics.csv bit for bit, other files byte for byte, and results of
probes in all numbers. Run ``python -m benchmarks.kills --check``.
"""

import argparse
import csv
import hashlib
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.bars import Bar, all_met
from benchmarks.forked import (
    ROOT,
    ended,
    import_commands,
    left_running,
    make_clips,
    start,
    training,
)
from semisupcon import load_encoder
from semisupcon.checkpoints import read_checkpoint
from semisupcon.data.packed.checks import HEADER
from semisupcon.data.packed.reading import Packed
from semisupcon.probing.scores.results import Results
from semisupcon.training.run_checkpoints import newest_checkpoint

LIMIT = 600.0  # time limit of a command in seconds
STEPS = 12
SHARES = {  # share of each command in the number of kills
    **{"pretrain": 0.3, "averaging": 0.15, "accumulation": 0.15, "ranks": 0.1},
    **{"pack": 0.08, "stream": 0.06, "embed": 0.06, "probe": 0.06, "export": 0.04},
}


@dataclass(frozen=True)
class Job:
    """A command that is killed. All functions take the output folder of the command.

    Attributes:
        first: function that returns the arguments of the first start.
        again: function that returns the arguments after a kill; empty if the command has finished.
        faults: function that describes all faults in the folder after a kill.
        outcome: function that returns the result of a finished command.
        ranks: number of processes.
    """

    first: Callable[[Path], list[str]]
    again: Callable[[Path], list[str]]
    faults: Callable[[Path], list[str]]
    outcome: Callable[[Path], object]
    ranks: int = 1


def jobs(data: Path, packed: Path, model: Path) -> dict[str, Job]:
    """Return all commands by name.

    Args:
        data: folder of clips.
        packed: packed data set of these clips.
        model: folder of an exported encoder.
    """
    ema = {"overlay": ROOT / "config" / "overlays" / "ema.yaml", "trainer__callbacks__decay": 0.9}
    accumulation = {"trainer__accumulate_grad_batches": 2}
    two = {"trainer__devices": 2, "data__batch_size": 4}
    digits = ["--tasks", "fsdd_digit", f"--data_dirs.fsdd_digit={data}"]
    return {
        "pretrain": _training(data),
        "averaging": _training(data, **ema),
        "accumulation": _training(data, **accumulation),
        "ranks": _training(data, ranks=2, **two),
        "pack": _same(
            lambda out: [
                "pack",
                "--data.sl_task",
                "fsdd_digit",
                f"--data.data_dir={data}",
                "--data.target_sample_rate=8000",
                f"--out={out / 'set'}",
            ],
            lambda out: [] if not (out / "set" / HEADER).exists() else _tried(Packed, out / "set"),
            lambda out: _bytes(out / "set", "*.pcm", "*.npy"),
        ),
        "stream": _same(
            # A complete stream is not written again.
            lambda out: (
                [] if (out / "set" / HEADER).exists() else ["stream", str(packed), str(out / "set")]
            ),
            lambda out: [],
            lambda out: _bytes(out / "set", "*.bin", "*.npy", HEADER),
        ),
        "embed": _same(
            lambda out: ["embed", str(data), f"--checkpoint={model}", f"--out={out / 'e.npy'}"],
            lambda out: _tried(np.load, out / "e.npy") if (out / "e.npy").exists() else [],
            lambda out: _bytes(out, "e.npy", "e.csv"),
        ),
        "probe": _same(
            lambda out: [
                "probe",
                *digits,
                f"--checkpoints=m={model}",
                "--methods=linear,knn",
                "--seeds=[0,1]",
                "--resamples=50",
                *("--projection=none", f"--out={out / 'p'}", f"--cache_dir={out / 'cache'}"),
            ],
            lambda out: _tried(Results, out / "p" / "results.csv"),
            lambda out: _rows(out / "p" / "results.csv", "seconds"),
        ),
        # A kill can come when files are there already; the command then asks for --overwrite.
        "export": _same(
            lambda out: ["export", str(model), f"--out={out / 'm'}", "--overwrite"],
            lambda out: (
                _tried(load_encoder, out / "m") if (out / "m" / "config.json").exists() else []
            ),
            lambda out: _bytes(out / "m", "model.safetensors"),
        ),
    }


def _training(data: Path, ranks: int = 1, **more: object) -> Job:
    def arguments(out: Path, **how: object) -> list[str]:
        return training(data, out, trainer__max_steps=STEPS, save_every=2, **more, **how)

    def first(out: Path) -> list[str]:
        return arguments(out, run_name="a")

    def again(out: Path) -> list[str]:
        return (
            arguments(out, resume_from_checkpoint="last")
            if any(out.glob("a/last.ckpt"))
            else first(out)
        )

    return Job(first, again, _faults_of_run, _outcome_of_run, ranks)


def _same(command: Callable[[Path], list[str]], faults: Callable, outcome: Callable) -> Job:
    return Job(command, command, faults, outcome)


def _faults_of_run(out: Path) -> list[str]:
    found = [fault for path in out.glob("a/*.ckpt") for fault in _tried(load_encoder, path)]
    if any(out.glob("a/last.ckpt")):
        found += _tried(newest_checkpoint, out)
    return found


def _outcome_of_run(out: Path) -> object:
    last, best = (read_checkpoint(out / "a" / f"{name}.ckpt") for name in ("last", "best"))
    kept = [
        {k: content[k] for k in ("state_dict", "optimizer_states", "global_step")}
        for content in (last, best)
    ]
    return [*kept, _rows(out / "a" / "metrics.csv", "clips_per_second")]


def _rows(file: Path, apart: str) -> list[list[tuple[str, str]]]:
    """Read the rows of a CSV file as sorted cells, without empty cells.

    The column ``apart``, which depends on the speed of the machine, is left out.
    """
    with file.open(newline="") as lines:
        return [
            sorted((k, v) for k, v in row.items() if k != apart and v)
            for row in csv.DictReader(lines)
        ]


def _bytes(folder: Path, *patterns: str) -> dict[str, str]:
    files = sorted(path for pattern in patterns for path in folder.glob(pattern))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _tried(load: Callable, path: Path) -> list[str]:
    try:
        load(path)
    except Exception as error:
        return [f"{path.name}: {type(error).__name__}: {error}"]
    return []


def same(a: object, b: object) -> bool:
    """Return whether two results are equal bit for bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    return a == b


def begin(job: Job, args: list[str], log: Path) -> list[int]:
    """Start the processes of a command, one per rank as torchrun does, and return their IDs."""
    if job.ranks == 1:
        return [start(args, log)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "WORLD_SIZE": str(job.ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": f"k{port}",
    }
    own = {"LOCAL_WORLD_SIZE": str(job.ranks), "GROUP_RANK": "0", "TORCHELASTIC_RESTART_COUNT": "0"}
    return [
        start(args, log, {**shared, **own, "RANK": str(r), "LOCAL_RANK": str(r)})
        for r in range(job.ranks)
    ]


def finish(job: Job, args: list[str], log: Path) -> float:
    """Run a command to its end and return its time in seconds."""
    began = time.perf_counter()
    statuses = [ended(pid, LIMIT) for pid in begin(job, args, log)]
    if any(statuses):
        raise SystemExit(
            f"{' '.join(args[:3])} ended with {statuses}; it said: {log.read_text()[-3000:]}"
        )
    return time.perf_counter() - began


def kill(
    job: Job, args: list[str], log: Path, delay: float, victim: int
) -> tuple[bool, float, bool]:
    """Start a command and kill one of its processes.

    Args:
        job: the command.
        args: arguments of the command.
        log: file for the output.
        delay: time until the kill, in seconds.
        victim: index of the process to kill.

    Returns:
        Whether the process was still running, the seconds until all other ranks had ended, and
        whether other processes were left running.
    """
    pids = begin(job, args, log)
    status = ended(pids[victim], delay)
    if status is None:
        os.kill(pids[victim], signal.SIGKILL)
        ended(pids[victim], 10)
    began = time.perf_counter()
    for pid in pids:
        if pid == pids[victim] or ended(pid, 0.5) is not None:
            continue
        os.kill(pid, signal.SIGTERM)  # torchrun sends SIGTERM, and SIGKILL after 30 s.
        if ended(pid, 30) is None:
            os.kill(pid, signal.SIGKILL)
            ended(pid, 10)
    seconds = time.perf_counter() - began
    return status is None, seconds, sum(map(left_running, pids)) > 0


def try_job(
    name: str, job: Job, kills: int, draw: random.Random, folder: Path
) -> tuple[int, int, int, bool, float]:
    """Kill a command many times, and compare its result with that of a run without kills.

    Args:
        name: name of the command.
        job: the command.
        kills: number of kills.
        draw: random generator for the times.
        folder: folder for all output.

    Returns:
        Number of kills of running processes, number of folders that could not be loaded, number of
        kills after which processes were left running, whether the results are equal, and the
        longest time until the other ranks had ended, in seconds.
    """
    log, whole, killed = folder / "log.txt", folder / "whole", folder / "killed"
    for out in (whole, killed):
        out.mkdir(parents=True)
    seconds = finish(job, job.first(whole), log)
    expected, args = job.outcome(whole), job.first(killed)
    hits, unloadable, stayed, equal, longest = 0, 0, 0, True, 0.0
    while hits < kills:
        delay, victim = draw.uniform(0, 1.05 * seconds), draw.randrange(job.ranks)
        hit, others, stays = kill(job, args, log, delay, victim)
        hits, stayed, longest = hits + hit, stayed + stays, max(longest, others)
        faults = job.faults(killed)
        unloadable += bool(faults)
        for fault in faults:
            print(f"  {name}, {delay:.2f} s: {fault}", flush=True)
        args = job.again(killed)
        if not (hit and args):  # The command has finished.
            equal &= same(job.outcome(killed), expected)
            shutil.rmtree(killed)
            killed.mkdir()
            args = job.first(killed)
    if args:
        finish(job, args, log)
    equal &= same(job.outcome(killed), expected)
    print(
        f"{name:12} {seconds:6.2f} s undisturbed, {hits} kills, {unloadable} unloadable, equal: "
        f"{equal}",
        flush=True,
    )
    return hits, unloadable, stayed, equal, longest


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument(
        "--only", nargs="*", default=list(SHARES), choices=list(SHARES), help="these commands alone"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    import_commands()
    draw, began = random.Random(options.seed), time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SEMISUPCON_CACHE"] = str(folder / "cache")
        data = make_clips(folder / "clips")
        given = jobs(data, folder / "packed" / "set", folder / "model" / "m")
        # The inputs of stream, embed, probe and export.
        finish(given["pack"], given["pack"].first(folder / "packed"), folder / "log.txt")
        finish(given["pretrain"], given["pretrain"].first(folder / "model"), folder / "log.txt")
        run = Job(
            lambda out: ["export", str(folder / "model" / "a"), f"--out={out / 'm'}"],
            *[lambda out: []] * 3,
        )
        finish(run, run.first(folder / "model"), folder / "log.txt")
        total = sum(SHARES[job] for job in options.only)
        counts = {job: max(1, round(options.kills * SHARES[job] / total)) for job in options.only}
        found = [
            try_job(job, given[job], count, draw, folder / job) for job, count in counts.items()
        ]
    hits, unloadable, stayed, equal, longest = zip(*found, strict=True)
    print(f"{sum(hits)} kills in {(time.perf_counter() - began) / 60:.1f} minutes")
    results = [
        Bar("kills", sum(hits), options.kills * 0.9),
        Bar("unloadable_folders", sum(unloadable), 0, "<="),
        Bar("left_running", sum(stayed), 0, "<="),
        Bar("commands_equal_to_undisturbed", sum(equal), len(equal)),
        Bar("seconds_until_other_ranks_ended", max(longest), 45, "<="),
    ]
    met = all_met(results)
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())

"""Test the end of a training run in which a process dies or hangs.

In the first four cases, a small run has two loader workers, of which one is killed (SIGKILL, as the
out-of-memory killer of the kernel does), raises an exception, crashes (SIGSEGV), or hangs (is
stopped). The time limits for a hanging worker are 3 and 6 s instead of 60 and 600 s. In the other
two cases, the run has two ranks, of which the second or the first is killed.

For each case, the benchmark prints the error message, the seconds until the message and until the
end of all processes, and whether the run was saved at its last step. It also checks that no process
is left running. Run ``python -m benchmarks.workers --check``.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import soundfile
import torch

from benchmarks.bars import Bar, all_met
from benchmarks.forked import ended, import_commands, left_running, make_clips, training
from benchmarks.kills import Job, begin
from benchmarks.steady import family
from semisupcon.checkpoints import read_checkpoint
from semisupcon.data import workers
from semisupcon.training.runs import METRICS

CASES = {
    "killed": signal.SIGKILL,
    "crashed": signal.SIGSEGV,
    "hanging": signal.SIGSTOP,
    "raising": None,
    "rank 1": None,
    "rank 0": None,
}


def steps_of(run: Path) -> int:
    """Return the number of rows in metrics.csv; 0 without the file."""
    return len((run / METRICS).read_text().splitlines()) - 1 if (run / METRICS).exists() else 0


def until(true: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition is true, at most ``seconds``; return whether it is true."""
    limit = time.monotonic() + seconds
    while not true():
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True


def harm(case: str, pids: list[int], data: Path) -> int:
    """Kill, stop or disturb a process as the case requires.

    Args:
        case: name of the case.
        pids: IDs of the processes (ranks) of the run.
        data: folder of the clips.

    Returns:
        Index of the rank whose end is observed.
    """
    if case.startswith("rank"):
        victim = int(case[-1])
        os.kill(pids[victim], signal.SIGKILL)
        ended(pids[victim], 10)
        return 1 - victim
    if case == "raising":
        for file in (data / "recordings").iterdir():
            file.write_bytes(b"no audio any more")
        return 0
    # The last child is a worker of the training loader; earlier children belong to the validation.
    os.kill(family(pids[0])[-1], CASES[case])
    return 0


def try_case(case: str, folder: Path) -> tuple[float, float, bool, bool, bool, str]:
    """Run a case.

    Returns:
        Seconds until the error message and until the end of the run, whether the message is plain
        (without a traceback), whether the run was saved at its last step, whether no process is
        left running, and the message.
    """
    folder.mkdir()
    data, log = make_clips(folder / "clips"), folder / "log.txt"
    more = {"trainer__devices": 2} if case.startswith("rank") else {"data__num_workers": 2}
    limits = (workers.WARN_AFTER, workers.GIVE_UP_AFTER)
    workers.WARN_AFTER, workers.GIVE_UP_AFTER = 3.0, 6.0
    args = training(
        data,
        folder,
        run_name="a",
        trainer__max_steps=100_000,
        trainer__val_check_interval=100_000,
        save_every=0,
        **more,
    )
    none: Callable = lambda out: []  # noqa: E731
    pids = begin(Job(none, none, none, none, ranks=2 if case.startswith("rank") else 1), args, log)
    workers.WARN_AFTER, workers.GIVE_UP_AFTER = limits
    if not until(lambda: steps_of(folder / "a") >= 5, 300):
        raise SystemExit(f"The run did not begin; it said: {log.read_text()[-2000:]}")
    before, began = log.stat().st_size, time.monotonic()
    watched = harm(case, pids, data)
    said = until(lambda: b"error: " in log.read_bytes()[before:], 120)
    sentence = time.monotonic() - began
    status = ended(pids[watched], 60)
    seconds = time.monotonic() - began
    stayed = sum(map(left_running, pids)) > 0
    text = log.read_text(errors="replace")[before:]
    told = text[text.find("error: ") :].strip() if said else text[-500:]
    rows, last = steps_of(folder / "a"), folder / "a" / "last.ckpt"
    saved = last.exists() and abs(read_checkpoint(last)["global_step"] - rows) <= 1
    return (
        sentence,
        seconds,
        said and status == 2 and "Traceback" not in text,
        saved,
        not stayed,
        told,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return 1 if ``--check`` is given and a limit is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", nargs="*", default=list(CASES), choices=list(CASES))
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    import_commands()
    soundfile.available_formats()
    results = []
    with tempfile.TemporaryDirectory() as name:
        os.environ["SEMISUPCON_CACHE"] = str(Path(name) / "cache")
        for case in options.cases:
            sentence, seconds, plain, saved, clean, told = try_case(
                case, Path(name) / case.replace(" ", "")
            )
            print(
                f"{case:8} sentence after {sentence:.1f} s, end after {seconds:.1f} s, saved: "
                f"{saved}\n  {told}",
                flush=True,
            )
            results += [
                Bar(f"{case.replace(' ', '_')}_plain_and_nothing_left", int(plain and clean), 1),
                Bar(
                    f"{case.replace(' ', '_')}_saved", int(saved), int(case != "rank 0")
                ),  # A run without rank 0 cannot save.
                Bar(f"{case.replace(' ', '_')}_seconds", seconds, 30, "<="),
            ]
    met = all_met(results)
    return int(options.check and not met)


if __name__ == "__main__":
    sys.exit(main())

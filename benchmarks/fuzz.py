"""Fuzz the readers of all file formats with thousands of damaged files.

Valid files of each format are damaged at random: flipped bits, truncation, zeroed, moved and
repeated parts, extreme numbers. A forked process with a memory limit and a time limit reads them as
a command does. No file may crash the process, hang it, or cause a traceback. Files of other
programs must be read or refused with an error message. Files of semisupcon must be refused,
rebuilt, or give the content that was written.

Each case has a number, which is its seed: ``python -m benchmarks.fuzz --only wav --case 17`` shows
one case. Run ``python -m benchmarks.fuzz --check``; ``--quick`` tries 4 of 1,000 cases.
"""

import argparse
import contextlib
import json
import os
import random
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import torch

from benchmarks.bars import Bar, all_met
from benchmarks.fuzz_parts import Target
from benchmarks.fuzz_targets import TARGETS
from semisupcon.errors import UserError

MEMORY = 4 << 30  # limit of additional address space of the process, in bytes
QUICK = 0.004  # share of the cases with --quick
SECONDS = 20  # time limit of a case
SOUND = -1  # number of the case in which no file is damaged
GOOD = ("same", "read", "refused", "rebuilt")
BAD = ("changed", "traceback", "hang", "crash")
EXTREMES = (
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    bytes(4),
    b"\x80\x00\x00\x00",
    b"\xff" * 8,
    b"\x00\x00\x00\x00\x00\x00\x00\x80",
)
WORDS = (
    "",
    "-1",
    "0",
    "1e999",
    "nan",
    "99999999999999999999",
    "null",
    "[]",
    "{}",
    '"',
    "\0",
    "\ufeff",
    "../../x",
    "=1",
    "9" * 5000,
    "é",
    "true",
)


def damage(data: bytes, draw: random.Random, text: bool) -> bytes:
    """Return the content of a file with one to three random mutations.

    Args:
        data: content of the file.
        draw: random generator.
        text: whether the file is a text file.
    """
    before = data
    while data == before:
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            data = _word(data, draw) if text and draw.random() < 0.5 else _bytes(data, draw)
    return data


def _bytes(data: bytes, draw: random.Random) -> bytes:
    at, other = (draw.randrange(len(data) + 1) for _ in range(2))
    size = min(len(data), draw.choice((1, 1, 2, 4, 16, 64, 512, 4096)))
    end = at + size
    # In 30 % of the cases, damage the start or the end of the file, where headers are.
    if draw.random() < 0.3:
        at = draw.choice((draw.randrange(64), max(0, len(data) - 1 - draw.randrange(256))))
        end = at + size
    flipped = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        if flipped:
            flipped[
                min(len(flipped) - 1, at) if draw.random() < 0.5 else draw.randrange(len(flipped))
            ] ^= 1 << draw.randrange(8)
    extreme = draw.choice(EXTREMES)
    return draw.choice(
        (
            bytes(flipped),
            bytes(flipped),
            data[:at],
            data[at:] if at < 64 else data[: len(data) - draw.randrange(1, 64)],
            data[:at] + data[end:],
            data[:at] + bytes(len(data[at:end])) + data[end:],
            data[:at] + draw.randbytes(size) + data[end:],
            data[:at] + draw.randbytes(size) + data[at:],
            data[:at] + data[other : other + size] + data[end:],
            data[:at] + data[at:end] * 2 + data[end:],
            data[:at] + extreme + data[at + len(extreme) :],
            b"" if draw.random() < 0.2 else data + draw.randbytes(size),
        )
    )


def _word(data: bytes, draw: random.Random) -> bytes:
    """Replace a random number, word or line of a text."""
    pattern = draw.choice((rb"-?\d+(?:\.\d+)?", rb"\w+", rb"[^\n]*\n", rb"[,;\t:\"\[\]{}]"))
    if not (found := list(re.finditer(pattern, data))):
        return data
    match = draw.choice(found)
    new = draw.choice(
        (*(word.encode() for word in WORDS), draw.choice(found).group(), match.group() * 2)
    )
    return data[: match.start()] + new + data[match.end() :]


def run_case(
    target: Target, sound: Path, work: Path, expected: str | None, case: int
) -> tuple[str, str]:
    """Damage one file in a copy of valid files, and read the copy.

    Args:
        target: kind of files.
        sound: folder with valid files.
        work: folder for the copy.
        expected: digest of the content of the valid files; None for files of other programs.
        case: number of the case.

    Returns:
        Outcome (one of `GOOD` and `BAD`), and a description.
    """
    draw = random.Random(f"{target.name} {case}")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(sound, work)
    if case == SOUND:
        return _read(target, work, expected, "sound: ")
    if target.spoil is not None:
        return _read(target, work, expected, target.spoil(work, draw) + ": ")
    names = sorted(
        p.relative_to(work).as_posix()
        for p in work.rglob("*")
        if p.is_file() and re.search(target.files, p.relative_to(work).as_posix())
    )
    file = work / draw.choice(names)
    state = file.stat()
    content = file.read_bytes()
    file.write_bytes(
        damage(content, draw, file.suffix in (".json", ".csv", ".tsv", ".txt", ".yaml", ".key"))
    )
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # A disk error changes no times.
    return _read(target, work, expected, f"{file.relative_to(work)}: ")


def _read(target: Target, work: Path, expected: str | None, about: str) -> tuple[str, str]:
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        found = target.read(work)
    except UserError as error:
        lines = str(error).splitlines()
        return ("refused" if len(lines) <= 3 else "traceback"), about + lines[0]
    except SystemExit as error:  # Parsers refuse an option with status 2.
        return ("refused" if error.code == 2 else "traceback"), f"{about}exit {error.code}"
    except _Hang:
        return "hang", about + "no answer"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return (
            "traceback",
            f"{about}{type(error).__name__}: {error} ({place.filename}:{place.lineno})",
        )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if expected is None or found == "rebuilt":
        return ("read" if expected is None else "rebuilt"), about
    return ("same" if found == expected else "changed"), about


class _Hang(BaseException):
    pass


def _ring(*_):
    raise _Hang


class Worker:
    """Forked process that reads the files. If it dies, a new one is forked.

    Args:
        folder: folder with the valid files of each target.
        quiet: whether to suppress the output of the process.
    """

    def __init__(self, folder: Path, quiet: bool = True):
        self.folder, self.quiet, self.deaths = folder, quiet, 0
        self.start()

    def start(self) -> None:
        """Fork the process."""
        asked, answered = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(asked[1])
            os.close(answered[0])
            try:
                self._serve(os.fdopen(asked[0]), answered[1])
            finally:
                os._exit(0)
        os.close(asked[0])
        os.close(answered[1])
        self.asking, self.answers = os.fdopen(asked[1], "w"), os.fdopen(answered[0])

    def _serve(self, asked, answer: int) -> None:
        signal.signal(signal.SIGALRM, _ring)
        torch.set_num_threads(1)  # The threads of torch do not work after a fork.
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
        if self.quiet:
            for descriptor in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        expected: dict[str, str | None] = {}
        for line in asked:
            name, case = json.loads(line)
            target, sound, work = TARGETS[name], self.folder / "sound" / name, self.folder / "work"
            if name not in expected:
                expected[name] = None
                shutil.rmtree(work, ignore_errors=True)
                shutil.copytree(sound, work)
                found = target.read(work)
                expected[name] = found if target.ours else None
            outcome = run_case(target, sound, work, expected[name], case)
            os.write(answer, (json.dumps(outcome) + "\n").encode())

    def ask(self, name: str, case: int) -> tuple[str, str]:
        """Run a case in the process and return its outcome and description."""
        self.asking.write(json.dumps([name, case]) + "\n")
        self.asking.flush()
        ready, _, _ = select.select([self.answers], [], [], 3 * SECONDS)
        line = self.answers.readline() if ready else ""
        if line:
            return tuple(json.loads(line))
        os.kill(self.pid, signal.SIGKILL)
        status = os.waitpid(self.pid, 0)[1]
        self.close()
        self.deaths += 1
        self.start()
        return (
            ("crash", f"died of {os.waitstatus_to_exitcode(status)}")
            if ready
            else ("hang", "no answer, and no alarm")
        )

    def close(self) -> None:
        """End the process by closing its pipes."""
        for pipe in (self.asking, self.answers):
            with contextlib.suppress(OSError):
                pipe.close()


def fuzz(
    names: list[str], share: float, first: int = 0
) -> tuple[dict[str, Counter], list[str], int]:
    """Run the cases of targets.

    Args:
        names: names of the targets.
        share: share of the cases of each target to run.
        first: number of the first case.

    Returns:
        Number of each outcome by target, descriptions of bad outcomes, and number of times that the
        process died.
    """
    outcomes, bad = {}, []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEMISUPCON_CACHE"] = f"{folder}/cache"
        for name in names:
            TARGETS[name].make(Path(folder) / "sound" / name)
        worker = Worker(Path(folder))
        for name in names:
            if worker.ask(name, SOUND)[0] not in ("same", "read"):
                raise SystemExit(f"{name}: the sound files are not read.")
            begin, counts = time.perf_counter(), Counter()
            for case in range(first, first + max(1, round(share * TARGETS[name].cases))):
                outcome, said = worker.ask(name, case)
                counts[outcome] += 1
                if outcome in BAD:
                    bad.append(f"--only {name} --case {case}: {outcome}: {said[:400]}")
            outcomes[name] = counts
            told = ", ".join(f"{counts[kind]} {kind}" for kind in (*GOOD, *BAD) if counts[kind])
            print(
                f"{name}: {sum(counts.values())} cases in {time.perf_counter() - begin:.0f} s: "
                f"{told}",
                flush=True,
            )
        worker.close()
        os.waitpid(worker.pid, 0)
    return outcomes, bad, worker.deaths


def main(args: list[str] | None = None) -> int:
    """Run the cases; return 1 if ``--check`` is given and a case has a bad outcome."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help=f"a regular expression: which of {', '.join(TARGETS)}")
    parser.add_argument("--case", type=int, help="one case of them, with what is printed")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--share", type=float, default=1.0, help="of the cases")
    parser.add_argument("--quick", action="store_true", help="4 of 1,000 of each, at least one")
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args(args)
    names = [name for name in TARGETS if given.only is None or re.fullmatch(given.only, name)]
    begin = time.perf_counter()
    share, first = (
        (0.0, given.case)
        if given.case is not None
        else (QUICK if given.quick else given.share, given.first)
    )
    outcomes, bad, deaths = fuzz(names, share, first)
    print("\n".join(bad))
    seconds, total = (
        time.perf_counter() - begin,
        sum(sum(counts.values()) for counts in outcomes.values()),
    )
    print(f"{total} files in {seconds:.0f} s; the process that read them died {deaths} times")
    bars = [Bar("fuzz_files", total, 1), Bar("fuzz_hours", seconds / 3600, 3, "<=")]
    for kind in BAD:
        bars.append(Bar(f"fuzz_{kind}", sum(counts[kind] for counts in outcomes.values()), 0, "<="))
    return 0 if all_met(bars) or not given.check else 1


if __name__ == "__main__":
    sys.exit(main())

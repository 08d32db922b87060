"""Damaged files by the thousand: does any crash the process, hang it, end in a traceback, or is it
taken for what was written?

Sound files of every format are damaged at random (flipped bits, cut ends, zeroed, moved and
repeated parts, extreme numbers) and read as a command reads them, in one forked process under a
memory limit and an alarm, which is meant to stay alive. Each case has a number, which is its seed:
``python -m benchmarks.fuzz --only wav --case 17`` shows one. Files of other programs must be read
or refused in a sentence; files of ours must be refused, made again, or give the very content that
was written. Run ``python -m benchmarks.fuzz --check``; ``--quick`` tries 4 of 1,000 of each.
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

MEMORY = 4 << 30  # bytes of address space beyond what the process has at its start
QUICK = 0.004  # share of the cases that --quick tries
SECONDS = 20  # until a case counts as hanging
SOUND = -1  # the number of the case in which nothing is damaged
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
    """One to three mutations of a file's content; never the content itself."""
    before = data
    while data == before:
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            data = _word(data, draw) if text and draw.random() < 0.5 else _bytes(data, draw)
    return data


def _bytes(data: bytes, draw: random.Random) -> bytes:
    at, other = (draw.randrange(len(data) + 1) for _ in range(2))
    size = min(len(data), draw.choice((1, 1, 2, 4, 16, 64, 512, 4096)))
    end = at + size
    # Headers and directories lie at the ends.
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
    """A number, word or line of a text becomes another one."""
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
    """Damage one file of a copy, and read it: the outcome, and the last line of what was said."""
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
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))  # A broken disk changes no times.
    return _read(target, work, expected, f"{file.relative_to(work)}: ")


def _read(target: Target, work: Path, expected: str | None, about: str) -> tuple[str, str]:
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        found = target.read(work)
    except UserError as error:
        lines = str(error).splitlines()
        return ("refused" if len(lines) <= 3 else "traceback"), about + lines[0]
    except SystemExit as error:  # How parsers refuse an option.
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
    """The forked process that reads; it is forked again where it has died.

    Args:
        folder: with a sound set of files a target.
        quiet: whether what is printed while reading is dropped.
    """

    def __init__(self, folder: Path, quiet: bool = True):
        self.folder, self.quiet, self.deaths = folder, quiet, 0
        self.start()

    def start(self) -> None:
        """Fork."""
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
        torch.set_num_threads(1)  # Threads do not survive a fork.
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
        """The outcome of a case."""
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
        """Let it end."""
        for pipe in (self.asking, self.answers):
            with contextlib.suppress(OSError):
                pipe.close()


def fuzz(
    names: list[str], share: float, first: int = 0
) -> tuple[dict[str, Counter], list[str], int]:
    """Outcomes by target, the bad ones in words, and how often the worker died."""
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
    """Run it; returns 1 with ``--check`` when a file was not handled as it should."""
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

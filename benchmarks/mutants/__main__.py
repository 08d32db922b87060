"""Run a sample of mutants, and print how many the tests have caught in each folder of the package.

The results are stored in a file with one line per mutant. A second run tests only new mutants and
mutants that were not caught. Mutants that behave like the original code are listed with a reason in
``equivalent.txt`` and are not counted.
"""

import argparse
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bars import Bar, all_met
from benchmarks.mutants.cover import Cover, digest_of, file_of, measured, within
from benchmarks.mutants.sample import Mutant, sample
from benchmarks.mutants.selection import ALWAYS, FEW, Selection
from benchmarks.mutants.trial import Bench

ROOT = Path(__file__).resolve().parents[2]
EQUIVALENT = Path(__file__).with_name("equivalent.txt")


def parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    p.add_argument("--count", type=int, default=300, help="about how many mutants")
    p.add_argument("--seed", type=int, default=0, help="of the sample")
    p.add_argument("--least", type=int, default=8, help="mutants that every folder gives at least")
    p.add_argument(
        "--only",
        nargs="*",
        default=[],
        metavar="PATH",
        help="beginnings of paths, such as semisupcon/objectives",
    )
    p.add_argument(
        "--limit",
        type=float,
        default=200,
        help="seconds for the tests of a mutant; one that is not done by then counts as caught",
    )
    p.add_argument(
        "--spend",
        type=float,
        default=60,
        help="seconds of tests that execute the changed line and are tried, the quickest first",
    )
    p.add_argument(
        "--far",
        type=int,
        default=12,
        help="files of tests that import the module by way of others, tried where the near ones pass",
    )
    p.add_argument(
        "--share",
        default="0/1",
        metavar="I/N",
        help="test every N-th mutant, from number I on: two calls 0/2 and 1/2 use two cores",
    )
    p.add_argument(
        "--out", type=Path, default=ROOT / "build" / "mutants.jsonl", help="what was found"
    )
    p.add_argument(
        "--no_cover",
        action="store_true",
        help="choose tests by imports alone, without running all tests under coverage first",
    )
    p.add_argument(
        "--check", action="store_true", help="exit 1 when fewer than 95 %% are caught in a folder"
    )
    return p


def reasons() -> dict[str, str]:
    """Return the reason why each equivalent mutant behaves like the original, by key."""
    lines = EQUIVALENT.read_text().splitlines() if EQUIVALENT.exists() else []
    pairs = (line.rsplit(" # ", 1) for line in lines if line and not line.startswith("#"))
    return {key.strip(): why.strip() for key, why in pairs}


def candidates(
    mutant: Mutant, original: str, cover: Cover, selection: Selection, spend: float, far: int
) -> list[list[str]]:
    """Return groups of tests that could notice a mutant, in the order in which to run them.

    Tests that execute the changed line come first. Where coverage knows none (code that runs in other
    processes or at import), tests are chosen by imports: near ones, then far ones.

    Args:
        mutant: mutant to test.
        original: source of the file without the change.
        cover: the tests that execute each line.
        selection: finds the tests of a module by imports.
        spend: maximum number of seconds of a group of tests that execute the line.
        far: maximum number of far tests.
    """
    last = mutant.line + mutant.before.count("\n")
    running = cover.tests(mutant.path, original, mutant.line, last)
    near, further = selection.for_module(mutant.path)
    if not running:
        return [near, further[:far]]
    first = within([name for name in running if file_of(name) in near], cover.seconds, spend)
    rest = [name for name in within(running, cover.seconds, spend) if name not in first]
    # A default is evaluated at import, which is recorded for no test.
    rest += [file for file in ALWAYS if file not in (*first, *rest)]
    # Coverage does not see the lines that run in processes which tests start.
    apart = [file for file in further if selection.starts_processes(file)][:1]
    return [first, rest, apart]


def try_out(
    bench: Bench, mutant: Mutant, groups: list[list[str]], limit: float, wins: Counter
) -> dict[str, object]:
    """Test a mutant and return its result.

    First the tests run that have caught most mutants of the module so far, then groups of tests in
    turn, until a test fails.

    Args:
        bench: copy of the repository.
        mutant: mutant to test.
        groups: see `candidates`.
        limit: time limit in seconds for each group of tests.
        wins: number of mutants that each test has caught, by module and test.
    """
    found = {
        "key": mutant.key,
        "folder": mutant.folder,
        "path": mutant.path,
        "line": mutant.line,
        "operator": mutant.operator,
    }
    best = [test for (path, test), _ in wins.most_common() if path == mutant.path]
    begun = time.monotonic()
    for tests in (best[:FEW], *groups):
        if not tests:
            continue
        answer = bench.catches(mutant, tests, limit)
        if answer.outcome in ("failed", "timeout"):
            return found | {
                "caught": True,
                "by": answer.test or answer.outcome,
                "seconds": round(time.monotonic() - begun, 1),
            }
    return found | {"caught": False, "by": "", "seconds": round(time.monotonic() - begun, 1)}


def covered(bench: Bench, args: argparse.Namespace) -> Cover:
    """Return the tests that execute each line; empty with ``--no_cover``.

    An earlier measurement of the same sources is used again.
    """
    if args.no_cover:
        return Cover()
    file = args.out.with_name("mutants-cover.json")
    known = Cover.read(file)
    if known.digest == digest_of(bench.root):
        return known
    print("Running all tests under coverage.", flush=True)
    found = measured(bench, limit=2 * 3600)
    found.write(file)
    return found


def table(results: Sequence[dict], equivalent: dict[str, str]) -> list[tuple[str, int, int, int]]:
    """Return the numbers of all, equivalent and caught mutants per folder, and their sums."""
    same = Counter(r["folder"] for r in results if not r["caught"] and r["key"] in equivalent)
    tried, caught = (
        Counter(r["folder"] for r in results),
        Counter(r["folder"] for r in results if r["caught"]),
    )
    rows = [(folder, tried[folder], same[folder], caught[folder]) for folder in sorted(tried)]
    return (
        [*rows, ("all", *(sum(column) for column in zip(*(row[1:] for row in rows), strict=True)))]
        if rows
        else []
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the mutants; return 1 if ``--check`` is given and a limit is missed."""
    args = parser().parse_args(argv)
    equivalent = reasons()
    known = {}
    if args.out.exists():
        known = {r["key"]: r for r in map(json.loads, args.out.read_text().splitlines())}
    print("Drawing mutants.", flush=True)
    # With this handler, SIGTERM removes the copy of the repository and ends the tests.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    first, step = map(int, args.share.split("/"))
    mutants = list(sample(ROOT, args.count, args.seed, args.least, args.only))[first::step]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    bench, selection, results, wins = Bench(ROOT), Selection(ROOT), [], Counter()
    try:
        cover = covered(bench, args)
        for number, mutant in enumerate(mutants, 1):
            result = known.get(mutant.key)
            if result is None or not (result["caught"] or mutant.key in equivalent):
                original = (bench.root / mutant.path).read_text()
                groups = candidates(mutant, original, cover, selection, args.spend, args.far)
                result = try_out(bench, mutant, groups, args.limit, wins)
                with args.out.open("a") as file:
                    file.write(json.dumps(result) + "\n")
            results.append(result)
            if "::" in result["by"]:
                wins[result["path"], result["by"]] += 1
            said = (
                "caught"
                if result["caught"]
                else "equivalent"
                if mutant.key in equivalent
                else "SURVIVED"
            )
            print(
                f"{number}/{len(mutants)} {said} in {result['seconds']} s: {mutant.key} "
                f"{result['by']}",
                flush=True,
            )
    finally:
        bench.close()
    print("\n| folder | mutants | equivalent | caught | share |\n|---|---|---|---|---|")
    rows = table(results, equivalent)
    for folder, tried, same, caught in rows:
        print(f"| {folder} | {tried} | {same} | {caught} | {caught / max(tried - same, 1):.0%} |")
    bars = [
        Bar(f"caught_{folder}", caught / (tried - same), 0.95)
        for folder, tried, same, caught in rows
        if tried > same
    ]
    return int(not all_met(bars) and args.check)


if __name__ == "__main__":
    sys.exit(main())

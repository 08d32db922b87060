"""Find the tests that execute each line of the package: run all tests once under coverage.

A line that runs during the call of a test is recorded for this test. A line that runs while
fixtures are set up is recorded for the whole file of tests, because a fixture of a module or of a
session is set up once and used by several tests.
"""

import ast
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.mutants.sample import PACKAGE


class Recorder:
    """Plugin of pytest that records the lines of the package that each test executes.

    Args:
        root: folder of the repository.
        out: JSON file to write at the end.
    """

    def __init__(self, root: Path, out: Path):
        from coverage import Coverage

        self.root, self.out = root, out
        self.seconds: dict[str, float] = {}
        self.coverage = Coverage(
            data_file=None, source=[str(root / PACKAGE)], config_file=False, messages=False
        )
        self.coverage.start()

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        """Record the next lines for the file of the test, because its fixtures are set up."""
        self.coverage.switch_context(file_of(nodeid))

    def pytest_runtest_call(self, item: Any) -> None:
        """Record the next lines for the test."""
        self.coverage.switch_context(test_of(item.nodeid))

    def pytest_runtest_teardown(self, item: Any) -> None:
        """Record the next lines for the file of the test."""
        self.coverage.switch_context(file_of(item.nodeid))

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add the duration to the seconds of the test and of its file."""
        for name in (test_of(report.nodeid), file_of(report.nodeid)):
            self.seconds[name] = self.seconds.get(name, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        """Write the recorded lines and seconds to ``out``."""
        self.coverage.stop()
        data = self.coverage.get_data()
        lines = {}
        for file in data.measured_files():
            by_line = data.contexts_by_lineno(file)
            path = Path(file).resolve().relative_to(self.root.resolve()).as_posix()
            lines[path] = {str(n): sorted(set(of) - {""}) for n, of in sorted(by_line.items())}
        self.out.write_text(json.dumps({"seconds": self.seconds, "lines": lines}))


def test_of(nodeid: str) -> str:
    """Return the name of a test without its parameters."""
    return nodeid.partition("[")[0]


def file_of(nodeid: str) -> str:
    """Return the file of a test."""
    return nodeid.partition("::")[0]


@dataclass(frozen=True)
class Cover:
    """Tests that execute each line of the package.

    Attributes:
        lines: path -> line number, as text -> names of tests (``file::function``) and of files.
        seconds: name of a test or file -> seconds that it takes.
        digest: digest of the package and the tests at the time of the measurement.
    """

    lines: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    digest: str = ""

    @classmethod
    def read(cls, file: Path) -> "Cover":
        """Read a file that `write` has written; empty if there is none."""
        return cls(**json.loads(file.read_text())) if file.exists() else cls()

    def write(self, file: Path) -> None:
        """Write the file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        text = {"digest": self.digest, "seconds": self.seconds, "lines": self.lines}
        file.write_text(json.dumps(text))

    def tests(self, path: str, source: str, first: int, last: int) -> list[str]:
        """Return the tests and files that execute a statement, the fastest first.

        If no test executes these lines, the tests of the smallest statement around them are
        returned. For example, a default argument is evaluated at import; its tests are those that
        execute the function.

        Args:
            path: file of the package, relative to the repository.
            source: text of this file.
            first: first line of the statement.
            last: last line of the statement.
        """
        known = self.lines.get(path, {})
        for begin, end in statements_at(source, first, last):
            found = {name for n in range(begin, end + 1) for name in known.get(str(n), ())}
            if found:
                files = {name for name in found if "::" not in name}
                single = [name for name in found if "::" in name and file_of(name) not in files]
                return sorted(
                    [*files, *single], key=lambda name: (self.seconds.get(name, 0.0), name)
                )
        return []


def statements_at(source: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the first and last line of each statement around these lines, the innermost first."""
    yield first, last
    spans = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and node.lineno <= first <= last <= (node.end_lineno or 0)
    ]
    yield from sorted(spans, key=lambda span: span[1] - span[0])


def digest_of(root: Path) -> str:
    """Return a digest of the source files of the package and the tests."""
    digest = hashlib.blake2b(digest_size=16)
    for folder in (PACKAGE, "tests"):
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def within(names: Sequence[str], seconds: Mapping[str, float], most: float) -> list[str]:
    """Choose tests that together take at most ``most`` seconds; at least one is chosen.

    The files take turns, one test each, because tests of one file often find the same faults.

    Args:
        names: names of tests, the fastest first.
        seconds: name of a test -> seconds that it takes.
        most: limit of the sum of the seconds.
    """
    by_file: dict[str, list[str]] = {}
    for name in names:
        by_file.setdefault(file_of(name), []).append(name)
    chosen: list[str] = []
    spent = 0.0
    while by_file:
        for file in list(by_file):
            name = by_file[file].pop(0)
            if not by_file[file]:
                del by_file[file]
            took = seconds.get(name, 0.0)
            if chosen and spent + took > most:
                continue
            chosen.append(name)
            spent += took
    return chosen


def measured(bench: Any, limit: float) -> Cover:
    """Run all tests in the copy of a bench under coverage.

    This takes about 1.5 times as long as the tests alone.

    Args:
        bench: bench with the copy of the repository.
        limit: maximum seconds.

    Raises:
        RuntimeError: if pytest did not finish, or recorded nothing.
    """
    out, begun = bench.folder / "cover.json", time.monotonic()
    status = bench.run_all(lambda: Recorder(bench.root, out), limit)
    found = json.loads(out.read_text()) if out.exists() else {}
    # Status 1 means that some tests failed; the recorded lines can still be used.
    if status not in (0, 1) or not found.get("seconds"):
        raise RuntimeError(
            f"The tests under coverage ended with status {status}; see what pytest says."
        )
    print(f"Coverage measured in {time.monotonic() - begun:.0f} s.", flush=True)
    return Cover(digest=digest_of(bench.root), **found)

"""Run tests on mutants, in a copy of the repository.

Tests run in forked processes. The parent process has imported the libraries, but not the package. A
mutant is caught if a test fails that passes on the original code, if the tests cannot be collected,
or if a limit of time or memory is exceeded.
"""

import contextlib
import gc
import importlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.mutants.cover import test_of
from benchmarks.mutants.sample import PACKAGE, Mutant

# Libraries that are imported once, before the first fork.
LIBRARIES = (
    "torch",
    "torchaudio",
    "torchmetrics",
    "torchmetrics.functional",
    "pytorch_lightning",
    "pytorch_lightning.cli",
    "timm",
    "jsonargparse",
    "pandas",
    "pyarrow",
    "sklearn.linear_model",
    "sklearn.neighbors",
    "sklearn.metrics",
    "scipy.signal",
    "soundfile",
    "soxr",
    "safetensors.torch",
    "yaml",
    "matplotlib.figure",
    "hypothesis",
    "pytest",
)
COPIED = (
    PACKAGE,
    "tests",
    "config",
    "docs",
    "benchmarks",
    "media",
    "*.py",
    "*.md",
    "*.toml",
    "*.txt",
    "Makefile",
    "LICENSE",
    "CITATION.cff",
)
MEMORY = 12 << 30


@dataclass(frozen=True)
class Answer:
    """Result of a run of tests.

    Attributes:
        outcome: "passed", "failed", "timeout", or "empty" if no test was run.
        test: first test that has failed; empty if none.
        seconds: time of the run in seconds.
    """

    outcome: str
    test: str
    seconds: float


class FirstFailure:
    """Plugin of pytest that writes the name of the first failed test to a file."""

    def __init__(self, file: Path):
        self.file = file

    def pytest_runtest_logreport(self, report):
        if report.failed and not self.file.exists():
            self.file.write_text(report.nodeid)

    def pytest_collectreport(self, report):
        if report.failed and not self.file.exists():
            self.file.write_text(f"{report.nodeid} (collecting)")


class Bench:
    """Copy of the repository in which mutants are tested, one after the other.

    Args:
        root: folder of the repository, whose working tree is copied and never changed.
        folder: folder for the copy; None for a new temporary folder.
    """

    def __init__(self, root: Path, folder: Path | None = None):
        self.folder = folder or Path(tempfile.mkdtemp(prefix="mutants-"))
        self.root = self.folder / "repository"
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
        for pattern in COPIED:
            for path in root.glob(pattern):
                to = self.root / path.relative_to(root)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(
                    path, to, ignore=ignore, symlinks=True
                ) if path.is_dir() else shutil.copy2(path, to)
        if (shared := root.parent / "shared").exists():
            (self.folder / "shared").symlink_to(shared.resolve())
        self._passing: dict[str, bool] = {}
        for name in LIBRARIES:
            try:
                importlib.import_module(name)
            except ImportError:
                continue
        gc.freeze()

    def close(self) -> None:
        """Remove the copy."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def test(self, tests: Sequence[str], limit: float) -> Answer:
        """Run tests in a new process until the first failure, for at most ``limit`` seconds."""
        failed, begun = self.folder / "failed", time.monotonic()
        failed.unlink(missing_ok=True)
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            self._run(["-x", *tests], lambda: FirstFailure(failed))
        status = self._wait(child, begun + limit)
        seconds = time.monotonic() - begun
        self._tidy()
        name = failed.read_text() if failed.exists() else ""
        if status is None:
            return Answer("timeout", name, seconds)
        code = os.waitstatus_to_exitcode(status)
        # Status 4 means that a test does not exist, unless the collection of tests has failed.
        outcome = (
            "passed"
            if code == 0
            else "empty"
            if code == 5 or (code == 4 and not name)
            else "failed"
        )
        return Answer(outcome, name, seconds)

    def run_all(self, plugin: Callable[[], object], limit: float) -> int | None:
        """Run all tests in a new process, also after failures.

        Args:
            plugin: makes the plugin of pytest; called in the new process.
            limit: maximum seconds.

        Returns:
            Exit status of pytest; None after the limit.
        """
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            self._run([], plugin)
        status = self._wait(child, time.monotonic() + limit)
        self._tidy()
        return None if status is None else os.waitstatus_to_exitcode(status)

    def _tidy(self) -> None:
        for made in ("scratch", "cache", "temporary"):
            shutil.rmtree(self.folder / made, ignore_errors=True)

    def _wait(self, child: int, deadline: float) -> int | None:
        """Wait for a child process until a deadline, then kill it and all its processes.

        Returns its status, or None if it did not end in time.
        """
        status = None
        try:
            while status is None and time.monotonic() < deadline:
                ended, found = os.waitpid(child, os.WNOHANG)
                status = found if ended else None
                time.sleep(0.02)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            if status is None:
                os.waitpid(child, 0)
        return status

    def _run(self, words: Sequence[str], plugin: Callable[[], object]) -> None:
        """Run pytest on the copy in the child process. This method does not return."""
        try:
            os.setsid()
            quiet = os.open(os.devnull, os.O_WRONLY)
            for stream in (1, 2):
                os.dup2(quiet, stream)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            os.chdir(self.root)
            for name in [
                name for name in sys.modules if name.partition(".")[0] in ("benchmarks", PACKAGE)
            ]:
                del sys.modules[name]
            sys.path[:] = [str(self.root), *(p for p in sys.path if p not in ("", os.getcwd()))]
            sys.dont_write_bytecode = True
            os.environ |= {
                "PYTHONPATH": str(self.root),
                "PYTHONDONTWRITEBYTECODE": "1",
                "SEMISUPCON_CACHE": str(self.folder / "cache"),
                "TMPDIR": str(self.folder / "temporary"),
                "OMP_NUM_THREADS": "1",
            }
            tempfile.tempdir = None
            (self.folder / "temporary").mkdir()
            import pytest

            if "torch" in sys.modules:
                sys.modules["torch"].set_num_threads(1)
            sys.argv[:] = ["pytest"]
            options = [
                "-q",
                "--tb=no",
                "-p",
                "no:cacheprovider",
                f"--basetemp={self.folder / 'scratch'}",
            ]
            code = pytest.main([*options, *words], plugins=[plugin()])
            os._exit(int(code))
        except BaseException:
            os._exit(1)

    def catches(self, mutant: Mutant, tests: Sequence[str], limit: float) -> Answer:
        """Run tests on a mutant. Tests that also fail on the original code are left out."""
        file = self.root / mutant.path
        original, left_out = file.read_text(), []
        try:
            while True:
                file.write_text(mutant.source)
                answer = self.test([*tests, *left_out], limit)
                file.write_text(original)
                if (
                    answer.outcome != "failed"
                    or not answer.test
                    or self._passes(answer.test, limit)
                ):
                    return answer
                # All parameters of the test at once: one after the other would take long.
                left_out += ["--deselect", test_of(answer.test.removesuffix(" (collecting)"))]
        finally:
            file.write_text(original)

    def _passes(self, test: str, limit: float) -> bool:
        """Return whether a test passes on the original code."""
        if test not in self._passing:
            self._passing[test] = self.test(
                [test.removesuffix(" (collecting)")], limit
            ).outcome in ("passed", "empty")
        return self._passing[test]

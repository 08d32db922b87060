"""The driver of mutation testing on a package of two functions, one of them without a test."""

import json

import pytest

pytest.importorskip("mutmut", reason="needs mutmut, see requirements-dev.txt")

from benchmarks.mutants import __main__ as driver
from benchmarks.mutants import trial
from benchmarks.mutants.cover import measured, within
from benchmarks.mutants.sample import changes_of, mutant, sample, shares
from benchmarks.mutants.selection import Selection

CODE = '''"""Two functions."""

import logging

log = logging.getLogger(__name__)


def total(x: int | None = None):
    """Twice."""
    log.info("%d", 1 + 1)
    if x is ...:
        raise ValueError(f"{x + 1}")
    return x + x


def untested(x):
    return x - 5
'''
TESTS = {
    "test_thing.py": "from semisupcon.thing import total\n\ndef test_total():\n    assert total(3) == 6\n",
    "test_user.py": "from semisupcon.user import user\n\ndef test_user():\n    assert user() is not None\n",
    "test_other.py": "def test_other():\n    pass\n",
}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    root = tmp_path / "repository"
    (root / "semisupcon").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "semisupcon" / "__init__.py").write_text("")
    (root / "semisupcon" / "thing.py").write_text(CODE)
    (root / "semisupcon" / "user.py").write_text(
        "def user():\n    from semisupcon.thing import total\n\n    return total\n"
    )
    for name, text in TESTS.items():
        (root / "tests" / name).write_text(text)
    monkeypatch.setattr(driver, "ROOT", root)
    monkeypatch.setattr(driver, "EQUIVALENT", tmp_path / "equivalent.txt")
    monkeypatch.setattr(trial, "LIBRARIES", ())
    return root


def made(source: str) -> list[str]:
    module, by_line = changes_of(source)
    found = [
        mutant("semisupcon/a.py", source, module, change)
        for changes in by_line.values()
        for change in changes
    ]
    return [f.after.strip() for f in found if f is not None]


def test_mutants_are_of_what_the_code_does():
    assert set(made(CODE)) == {
        "log = None",
        "if x is not ...:",
        "return x - x",
        "return x + 5",
        "return x - 6",
    }


def test_a_share_of_every_folder_and_at_least_a_few():
    assert shares({"a": 900, "b": 90, "c": 3}, 100, 8) == {"a": 91, "b": 9, "c": 3}


def test_near_tests_import_the_module_and_far_ones_its_users(repository):
    assert Selection(repository).for_module("semisupcon/thing.py") == (
        ["tests/test_thing.py"],
        ["tests/test_user.py"],
    )


def test_the_sample_is_a_function_of_its_seed(repository):
    one, again, other = (
        [m.key for m in sample(repository, 2, seed, least=2)] for seed in (0, 0, 1)
    )
    assert one == again != other
    assert len({key.split(" | ")[1] for key in one}) == 2


SEEN = """import pytest
from semisupcon.thing import total, untested

@pytest.fixture(scope="module")
def made():
    return untested(7)

def test_made(made):
    assert made == 2

@pytest.mark.parametrize("x", [1, 2])
def test_total(x):
    assert total(x) == 2 * x
"""


def test_coverage_finds_the_tests_of_a_line(repository):
    (repository / "tests" / "test_seen.py").write_text(SEEN)
    bench = trial.Bench(repository)
    try:
        cover = measured(bench, 60)
    finally:
        bench.close()
    path, lines = "semisupcon/thing.py", CODE.splitlines()
    at = {text.strip(): number for number, text in enumerate(lines, 1)}

    def tests(text: str) -> set[str]:
        return set(cover.tests(path, CODE, at[text], at[text]))

    calls = {"tests/test_seen.py::test_total", "tests/test_thing.py::test_total"}
    assert tests("return x + x") == calls
    # Fixtures are set up for all tests of a file.
    assert tests("return x - 5") == {"tests/test_seen.py"}
    # A default argument is evaluated at import; the tests that call the function can notice it.
    assert tests("def total(x: int | None = None):") == calls
    assert tests("log = logging.getLogger(__name__)") == set()
    assert cover.seconds["tests/test_seen.py"] > 0


def test_tests_of_a_line_share_the_time():
    seconds = {"a::1": 1.0, "a::2": 2.0, "b::1": 3.0, "c": 50.0}
    names = ["a::1", "a::2", "b::1", "c"]
    assert within(names, seconds, 10) == ["a::1", "b::1", "a::2"]
    assert within(["c"], seconds, 10) == ["c"]


def test_two_mutants(repository, tmp_path, capsys):
    out = tmp_path / "found.jsonl"
    options = ["--count", "9", "--only", "semisupcon/thing.py", "--out", str(out), "--check"]
    assert driver.main(options) == 1
    found = {r["key"].split(" | ")[1]: r for r in map(json.loads, out.read_text().splitlines())}
    assert found["return x + x"]["by"] == "tests/test_thing.py::test_total"
    assert not found["return x - 5"]["caught"]
    assert (repository / "semisupcon" / "thing.py").read_text() == CODE
    said = capsys.readouterr().out
    assert "| . | 4 | 0 | 3 | 75% |" in said
    assert "RESULT caught_all 0.75 >=0.95" in said
    driver.EQUIVALENT.write_text(
        "".join(f"{r['key']} # nobody asks\n" for r in found.values() if not r["caught"])
    )
    assert driver.main(options) == 0
    assert "| . | 4 | 1 | 3 | 100% |" in capsys.readouterr().out
    assert len(out.read_text().splitlines()) == 4, "nothing is tried again"

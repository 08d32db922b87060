"""Module names of version 0.1 give the modules of the new names, with a warning."""

import ast
import importlib
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from semisupcon.old_names import OLD_MODULES, OldNames, accept_old_names

ROOT = Path(__file__).resolve().parents[1]
OLD = "The next release removes the old name"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Old names as in a new process: not imported yet, and no attribute of their package."""
    for old in OLD_MODULES:
        monkeypatch.delitem(sys.modules, old, raising=False)
    for old, new in OLD_MODULES.items():
        parent, _, child = old.rpartition(".")
        if (package := sys.modules.get(parent)) and vars(package).get(
            child, package
        ) is sys.modules.get(new):
            monkeypatch.delattr(package, child)


@pytest.mark.parametrize("old", OLD_MODULES)
def test_an_old_name_gives_the_module_of_the_new_name(old):
    new = OLD_MODULES[old]
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}\\."):
        module = importlib.import_module(old)
    assert module is importlib.import_module(new)
    assert module.__name__ == module.__spec__.name == new
    assert sys.modules[old] is sys.modules[new]


def test_new_names_are_files_and_old_names_are_not():
    def place(module):
        return ROOT / module.replace(".", "/")

    for old, new in OLD_MODULES.items():
        assert place(new).with_suffix(".py").is_file() or (place(new) / "__init__.py").is_file(), (
            new
        )
        assert not place(old).with_suffix(".py").exists(), old
        assert not (place(old) / "__init__.py").exists(), old
        assert new not in OLD_MODULES, new


def test_every_form_of_the_import_statement():
    with pytest.warns(DeprecationWarning, match=OLD):  # noqa: PT031
        import semisupcon.data.annotations.keys
        import semisupcon.optimization as optimization
        from semisupcon.data import annotations
        from semisupcon.data.annotations import Annotations
        from semisupcon.data.views import adjacent

    from semisupcon import datasets
    from semisupcon.data import crops
    from semisupcon.training import optimization as new_optimization

    assert annotations is datasets
    assert semisupcon.data.annotations.keys is datasets.keys
    assert Annotations is datasets.Annotations
    assert adjacent is crops.adjacent
    assert optimization is new_optimization


def test_the_warning_names_the_line_that_imports():
    with pytest.warns(DeprecationWarning, match=OLD) as caught:
        import semisupcon.data.annotations.gtzan  # noqa: F401
    assert {Path(w.filename) for w in caught} == {Path(__file__)}


def test_a_second_import_is_silent():
    with pytest.warns(DeprecationWarning, match=OLD):
        importlib.import_module("semisupcon.data.views")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.import_module("semisupcon.data.views")


def test_pickles_of_old_names_are_read():
    from semisupcon.batch import DataFacts

    now = pickle.dumps(DataFacts(), protocol=0)
    assert b"semisupcon.batch" in now
    with pytest.warns(DeprecationWarning, match=OLD):
        then = pickle.loads(now.replace(b"semisupcon.batch", b"semisupcon.data.batch"))  # noqa: S301
    assert type(then) is DataFacts


def test_modules_that_became_packages_export_their_names():
    from semisupcon.data.packed import Packed, reading
    from semisupcon.probing.report import write, write_report
    from semisupcon.probing.studies import Studies, run

    assert Packed is reading.Packed
    assert write_report is write.write_report
    assert Studies is run.Studies


def test_other_names_are_left_alone():
    assert OldNames().find_spec("semisupcon.datasets") is None
    assert OldNames().find_spec("json") is None
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("semisupcon.data.nothing")


def test_the_finder_is_installed_once():
    accept_old_names()
    assert sum(isinstance(finder, OldNames) for finder in sys.meta_path) == 1


def test_the_package_imports_no_old_name():
    """Neither in its own code nor in the tests and benchmarks, this file apart."""
    wrong = []
    for folder in ("semisupcon", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())) if path != Path(__file__) else ():
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
                wrong += [
                    f"{path.relative_to(ROOT)} imports {name}"
                    for name in names
                    if name in OLD_MODULES
                ]
    assert not wrong, "\n".join(wrong)


def test_in_a_new_process():
    code = """
import sys, warnings
import semisupcon
assert not any(name.split(".")[0] in ("torch", "numpy") for name in sys.modules)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from semisupcon.data.annotations.keys import key_similarity
assert {str(w.message).split()[0] for w in caught if w.category is DeprecationWarning} >= {"semisupcon.data.annotations.keys"}
from semisupcon.datasets.keys import key_similarity as new
assert key_similarity is new
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr

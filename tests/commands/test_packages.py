"""In an installation with less than a command needs, the command names what is missing."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from semisupcon.__main__ import COMMANDS, main
from semisupcon.commands.packages import NEEDS, PIP, missing_package

ROOT = Path(__file__).resolve().parents[2]
# What the packages of a command bring along themselves.
BRINGS = {
    "pandas": ("pyarrow",),
    "pytorch_lightning": (
        "lightning_fabric",
        "lightning_utilities",
        "torchmetrics",
        "tqdm",
        "yaml",
    ),
    "sklearn": ("scipy",),
}
WITHOUT = """
import sys
from importlib.machinery import PathFinder

class Without:
    def find_spec(name, *more):
        return None if name.split(".")[0] in {blocked!r} else PathFinder.find_spec(name, *more)

    def find_distributions(context):
        return [d for d in PathFinder.find_distributions(context) if d.metadata["Name"].lower() not in {distributions!r}]

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
from semisupcon.__main__ import main

sys.exit(main({words!r}))
"""


def run(words, blocked, folder=ROOT):
    """A command in a process in which some packages are not installed."""
    distributions = {re.match(r"[\w-]+", PIP[name].strip("'"))[0].lower() for name in blocked}
    code = WITHOUT.format(blocked=set(blocked), distributions=distributions, words=words)
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1", "HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


LACKING = {
    "pretrain": ["--config", "x.yaml"],
    "probe": ["--tasks", "csv", "--checkpoints", "random"],
    "data": ["list"],
    "pack": ["--out", "x"],
    "stream": ["a", "b"],
}


@pytest.mark.parametrize("command", LACKING)
def test_a_command_names_all_that_is_missing_in_a_minimal_installation(tmp_path, command):
    done = run([command, *LACKING[command]], PIP, tmp_path)
    assert done.returncode == 2
    first, second = done.stderr.strip().splitlines()
    assert first.startswith(f"error: The command {command} needs packages that are not installed: ")
    assert second.startswith("pip install ")
    assert all(PIP[name] in second for name in NEEDS[command])


def test_hear_names_what_it_draws_with(tmp_path):
    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(8000)), 8000)
    done = run(["hear", "a.wav", "--aug_list", "gain"], PIP, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "pip install matplotlib" in done.stderr


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("probe", "pack", "data", "stream")]


@pytest.mark.parametrize("command", ["pretrain", *SLOW])
def test_nothing_else_is_missing_once_they_are_installed(tmp_path, command):
    present = {
        *NEEDS[command],
        *(other for name in NEEDS[command] for other in BRINGS.get(name, ())),
    }
    done = run(
        [command, *(["list"] if command == "data" else ["--help"])], PIP.keys() - present, tmp_path
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["embed", "--help"],
        pytest.param(["export", "nowhere", "--out", "x"], marks=pytest.mark.slow),
        pytest.param(["import", "clmr", "nowhere", "--out", "x"], marks=pytest.mark.slow),
    ],
)
def test_the_other_commands_need_no_more_than_a_minimal_installation(tmp_path, words):
    done = run(words, PIP, tmp_path)
    assert done.returncode == (0 if "--help" in words else 2)
    assert "No checkpoint at nowhere" in done.stderr or "--help" in words


def test_a_missing_module_that_pip_does_not_install_keeps_its_traceback(monkeypatch):
    monkeypatch.setitem(COMMANDS, "embed", ("semisupcon.commands.nothing", ""))
    with pytest.raises(ModuleNotFoundError, match=r"semisupcon\.commands\.nothing"):
        main(["embed"])
    assert missing_package("embed", ModuleNotFoundError("x", name="my_module")) is None


def test_packages_are_named_as_pip_does(monkeypatch):
    found = missing_package("embed", ModuleNotFoundError("x", name="sklearn.linear_model"))
    assert (
        str(found)
        == "The command embed needs packages that are not installed: sklearn.\npip install scikit-learn"
    )
    assert {name for names in NEEDS.values() for name in names} <= PIP.keys()
    for name in NEEDS["pretrain"]:
        importlib.import_module(name)

"""Every file and every command of docs/extending.md runs, in one process, as the page gives
them."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semisupcon.__main__ import main

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```python\n# (\S+\.py)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
BLOCKS = re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in re.sub(r"\\\n\s*", "", block).splitlines()]
START = ["python", "-m", "semisupcon"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the files of the page, which is the current folder and on the Python path."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


def test_the_page_has_a_file_and_a_command_for_every_part():
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[2:]
    parts = {section.splitlines()[0].split(" ", 1)[1] for section in sections}
    assert parts == {
        "encoder",
        "data set",
        "augmentation",
        "target",
        "objective",
        "probe method",
        "logger",
    }
    assert all("```python\n# mine/" in section and "```bash\n" in section for section in sections)
    assert all(line.startswith(" ".join(START)) for line in COMMANDS)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_command_runs(project, capfd):
    runpy.run_path("make_sounds.py")
    for line in COMMANDS:
        words = shlex.split(line)[len(START) :]
        assert main(words) == 0, f"{line}\n{''.join(capfd.readouterr())}"
    assert np.load("sounds.npy").shape == (30, 32)
    assert [line.split()[0] for line in Path("steps.txt").read_text().splitlines()] == ["0", "1"]
    assert "accuracy" in Path("lines.txt").read_text()
    results = pd.read_csv("runs/probe/results.csv")
    assert {"linear", "centroids"} <= set(results["method"])
    assert set(pd.read_csv("runs/probe_projection/results.csv")["method"]) == {"centroids"}

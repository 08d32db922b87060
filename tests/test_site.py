"""The documentation site is built, strictly: no link or reference is broken."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_it_is_built(tmp_path):
    if find_spec("mkdocs") is None:
        pytest.skip("needs the packages of requirements-docs.txt: make docs")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Criterion" in (tmp_path / "site" / "api" / "objectives" / "index.html").read_text(
        encoding="utf-8"
    )

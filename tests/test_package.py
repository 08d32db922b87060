"""The wheel: what is in it, and that its commands run in an empty folder without the clone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from semisupcon.recipes import recipes_folder

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout, and the folder it was unpacked in."""
    pytest.importorskip("hatchling", reason="builds the wheel")
    out = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(out)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (file,) = out.glob("*.whl")
    zipfile.ZipFile(file).extractall(out / "unpacked")
    return zipfile.ZipFile(file), out / "unpacked"


def test_contents(wheel):
    archive, _ = wheel
    names = set(archive.namelist())
    recipes = {
        f"semisupcon/config/{path.relative_to(recipes_folder())}"
        for path in recipes_folder().rglob("*.yaml")
    }
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "semisupcon").rglob("*.py")}
    assert (
        recipes | modules | {"semisupcon/py.typed", "semisupcon/commands/pretrain_options.json"}
        <= names
    )
    entry = next(name for name in names if name.endswith("entry_points.txt"))
    assert "semisupcon = semisupcon.__main__:main" in archive.read(entry).decode()
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "config/"))]


def test_commands_run_from_the_wheel_in_an_empty_folder(wheel, tmp_path):
    start = "import sys, semisupcon.__main__ as m; print(m.__file__); sys.exit(m.main())"

    def command(*words):
        environment = os.environ | {
            "PYTHONPATH": str(wheel[1]),
            "OMP_NUM_THREADS": "1",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        }
        done = subprocess.run(
            [sys.executable, "-c", start, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[0] == str(wheel[1] / "semisupcon" / "__main__.py")
        return done.stdout

    small = [
        "--trainer.max_steps",
        "2",
        "--trainer.limit_val_batches",
        "1",
        "--data.batch_size",
        "4",
    ]
    command(
        "pretrain",
        "--config",
        "pretrain_ssl",
        "--config",
        "small/pretrain_ssl",
        "--run_name",
        "a",
        *small,
    )
    command("embed", "runs/a", "--help")
    assert (tmp_path / "runs/a/last.ckpt").is_file()

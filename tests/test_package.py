"""The wheel: what is in it, and that its commands run in an empty folder without the clone."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from packaging.requirements import Requirement

from semisupcon.recipes import recipes_folder

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Imported name -> distribution, where they differ.
DISTRIBUTIONS = {
    "faiss": "faiss-cpu",
    "huggingface_hub": "huggingface-hub",
    "mir_eval": "mir-eval",
    "pytorch_lightning": "pytorch-lightning",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "yaml": "pyyaml",
}
PART_OF_TORCH = {"triton"}
# Lightning's TensorBoardLogger imports it.
NOT_IMPORTED = {"tensorboard"}


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
    page = {f"semisupcon/retrieval/map/page.{kind}" for kind in ("html", "css", "js")}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "semisupcon").rglob("*.py")}
    assert (
        recipes
        | modules
        | page
        | {"semisupcon/py.typed", "semisupcon/commands/parsing/pretrain_options.json"}
        <= names
    )
    entry = next(name for name in names if name.endswith("entry_points.txt"))
    assert "semisupcon = semisupcon.__main__:main" in archive.read(entry).decode()
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "config/"))]


def test_commands_run_from_the_wheel_in_an_empty_folder(wheel, tmp_path):
    start = (
        "import json, sys, semisupcon.__main__ as m; print(m.__file__); "
        "sys.exit(any([m.main(words) for words in json.loads(sys.argv[1])]))"
    )

    def commands(*lines):
        environment = os.environ | {
            "PYTHONPATH": str(wheel[1]),
            "OMP_NUM_THREADS": "1",
            "XDG_CACHE_HOME": str(tmp_path / "cache"),
        }
        done = subprocess.run(
            [sys.executable, "-c", start, json.dumps(lines)],
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
    train = [
        "pretrain",
        "--config",
        "pretrain_ssl",
        "--config",
        "small/pretrain_ssl",
        "--run_name",
        "a",
        "--data.data_dir",
        "clips",
        *small,
    ]
    for label in ("low", "high"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for number in range(12):
            noise = 0.1 * np.random.default_rng(number).standard_normal(22050)
            soundfile.write(tmp_path / "clips" / label / f"{number}.wav", noise, 22050)
    embed = ["embed", "clips/low/0.wav", "--checkpoint", "runs/a", "--out", "a.npy"]
    probe = ["--tasks", "[class_folders]", "--data_dirs.class_folders=clips", "--methods", "[knn]"]
    commands(train, embed, ["probe", *probe, "--checkpoints", "[runs/a]", "--out", "report"])
    assert np.load(tmp_path / "a.npy").shape[0] == 1
    assert "accuracy" in (tmp_path / "report" / "results.csv").read_text()


def requirements(lines):
    """Requirements by normalized name."""
    found = [Requirement(line) for line in lines]
    return {re.sub(r"[-_.]+", "-", one.name).lower(): one for one in found}


def imported():
    """Distributions that the package imports, each with one file that does. The folders of public
    baselines and of adapters are left out: their packages are installed by hand, as docs and messages
    say."""
    found = {}
    for file in sorted((ROOT / "semisupcon").rglob("*.py")):
        if {"baselines", "adapters"} & set(file.parts):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                node.body = []
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in {name.partition(".")[0] for name in names}:
                if name not in {*sys.stdlib_module_names, *PART_OF_TORCH, "semisupcon"}:
                    found[DISTRIBUTIONS.get(name, name)] = file.name
    return found


def test_the_dependencies_are_those_of_the_imports():
    extras = PROJECT["optional-dependencies"]
    needed = requirements([*PROJECT["dependencies"], *extras["train"]])
    declared = needed | requirements(line for lines in extras.values() for line in lines)
    found = imported()
    missing = {name: file for name, file in found.items() if name not in declared}
    assert not missing, f"imported, and not in pyproject.toml: {missing}"
    assert needed.keys() - found.keys() == NOT_IMPORTED


def test_the_tested_versions_satisfy_the_dependencies():
    extras = PROJECT["optional-dependencies"]
    lines = [
        line
        for name in ("requirements.txt", "requirements-dev.txt")
        for line in (ROOT / name).read_text().splitlines()
        if line and not line.startswith("#")
    ]
    pinned = requirements(lines)
    for name, one in requirements([*PROJECT["dependencies"], *extras["train"]]).items():
        (version,) = (pin.version for pin in pinned[name].specifier)
        assert one.specifier.contains(version), f"{one} and {pinned[name]}"


def test_versions_agree():
    import semisupcon

    written = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {semisupcon.__version__}\n" in written
    assert f"\n## {semisupcon.__version__} " in (ROOT / "CHANGELOG.md").read_text()

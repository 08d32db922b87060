"""The tasks of rendered scores through the command line, on a table of a few clips."""

import numpy as np
import pytest
import soundfile
from tiny_sets import scores

from semisupcon.__main__ import main
from semisupcon.datasets import load_annotations
from semisupcon.datasets.scores import FAMILIES, GENRES

TASKS = ("scores_tags", "scores_key", "scores_density", "scores_genre")


@pytest.fixture
def folder(tmp_path):
    """The tiny set, with a second of noise in each clip."""
    scores(tmp_path)
    rng = np.random.default_rng(0)
    for file in (tmp_path / "audio").iterdir():
        soundfile.write(file, rng.standard_normal(22050) / 10, 22050)
    return tmp_path


@pytest.mark.parametrize("task", TASKS)
def test_the_command_checks_a_set(task, folder, capsys):
    assert main(["data", "check", task, "--data_dir", str(folder)]) == 0
    text = capsys.readouterr().out
    assert "Missing: 0 of 7" in text


@pytest.mark.parametrize("task", TASKS)
def test_a_set_that_is_absent_or_unfinished_names_the_command_of_the_builder(
    task, tmp_path, capsys
):
    for message in ("Build it in a clone", "Continue it"):
        assert main(["data", "check", task, "--data_dir", str(tmp_path)]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert f"python -m benchmarks.scores build --out {tmp_path}" in error
        assert len(error.strip().splitlines()) <= 3
        (tmp_path / "build.json").touch()


def test_the_labels_of_each_task(folder):
    tags, key, density, genre = (load_annotations(task, folder) for task in TASKS)
    assert np.flatnonzero(tags.targets[0]).tolist() == [1, FAMILIES.index("drums")]
    assert tags.targets[1].tolist() == [0] * 17  # no family has four notes
    assert key.classes[key.targets[0].argmax()] == "Eb minor"
    assert np.isnan(key.targets[2]).all()  # no key that score and analyses agree on
    assert density.targets[:, 0].tolist() == [-2.5, -1.5, 0.5, 1.5, 2.5, 3.5, 4.5]
    known = [not np.isnan(row).any() for row in genre.targets]
    assert known == [True, False, True, False, True, False, True]
    assert genre.classes == GENRES
    assert set(tags.table["group"]) == {f"tune {i}" for i in range(7)}

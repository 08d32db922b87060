"""Recipes and protocols are found by name, from any working directory, by every command that takes
``--config``."""

from pathlib import Path

import pytest

from semisupcon.__main__ import main
from semisupcon.errors import ConfigError
from semisupcon.recipes import PROBING, find_config, recipe_names, recipes_folder


def test_every_recipe_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folders in (("pretraining",), ("overlays",), PROBING):
        names = recipe_names(folders)
        assert names
        for name in names:
            assert find_config(name, folders) == recipes_folder() / folders[0] / f"{name}.yaml"


@pytest.mark.parametrize(
    "given", ["clmr", "clmr.yaml", "pretraining/clmr", "config/pretraining/clmr.yaml"]
)
def test_ways_to_name_a_recipe(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    assert find_config(given) == recipes_folder() / "pretraining" / "clmr.yaml"


def test_a_file_of_the_user_wins_and_a_folder_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("clmr").write_text("")
    assert find_config("clmr") == Path("clmr")
    Path("cola").mkdir()
    assert find_config("cola") == recipes_folder() / "pretraining" / "cola.yaml"


def test_a_misspelt_recipe(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="Did you mean 'pretrain_ssl'"):
        find_config("pretrian_ssl")
    for command in (
        ["pretrain"],
        ["pack", "--out", "x"],
        ["hear", "x.wav", "--out", "y"],
        ["probe", "--tasks", "a", "--checkpoints", "b"],
    ):
        try:
            status = main([*command, "--config", "nothing_like_it"])
        except SystemExit as error:
            status = error.code
        said = capsys.readouterr().err
        assert status == 2
        assert said.startswith(
            "error: --config nothing_like_it is neither a file nor the name of a recipe."
        )
        assert len(said.strip().splitlines()) <= 3
    assert not list(tmp_path.iterdir())

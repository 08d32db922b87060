"""The benchmark of published batch sizes, on a CPU: a recipe of every kind of batch makes a row."""

import pytest
import torch

from benchmarks import published_steps


@pytest.mark.slow  # `benchmarks.gpu` measures a recipe by it in `make test`
def test_a_row_a_recipe(capsys):
    recipes = ["pretrain_smsl", "cpc"]
    few = ["--repeats", "1", "--batch_size", "4"]
    assert published_steps.main(["--device", "cpu", "--small", *few, "--only", *recipes]) == 0
    lines = [
        line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")
    ][2:]
    assert [line[0].removeprefix("| ") for line in lines] == recipes
    plan, augmentation, step, training, share = range(3, 8)
    assert all(float(line[step]) > 0 for line in lines)
    assert float(lines[0][plan]) > 0
    assert float(lines[0][augmentation]) > 0
    assert lines[1][plan] == lines[1][augmentation] == "", "no augmentation, no time"
    assert all(float(line[training]) > 0 for line in lines)
    assert 0 <= float(lines[0][share].rstrip("%")) < 100
    assert lines[1][share] == "0%"


def test_a_batch_is_labelled_as_the_recipe_has_it(tmp_path):
    cli = published_steps.build("pretrain_smsl", True, tmp_path)
    batch = published_steps.noise_batch(cli, "cpu")
    assert batch["audio"].shape == (32, 2, 1, 22050)
    assert batch["targets"].isnan().any(1).tolist() == [False] * 16 + [True] * 16
    assert torch.equal(batch["key"][:, 1], batch["key"][:, 0] + 1)

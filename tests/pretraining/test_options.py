"""Options that go ill with a recipe are answered in a sentence before any clip is read; those that
go well with it, work."""

import pytest
import torch

from semisupcon.checkpoints import read_checkpoint
from semisupcon.commands.pretrain import main
from tests.pretraining.runs import small

MISTAKES = [
    ("cpc", ["--data.target_length", "0.02"], "12 frames ahead"),
    ("cpc", ["--data.short_clips", "zero"], "data.short_clips circular"),
    ("simsiam", ["--data.views", "3"], "compares at most 2 views of a clip"),
    ("cola", ["--data.views", "3"], "compares at most 2 views of a clip"),
    ("mtslvr/split_simsiam", ["--data.views", "3"], "compares at most 2 views of a clip"),
    (
        "supervised",
        ["--data.fully_supervised", "false", "--data.supervised_data_p", "0"],
        "no training clip keeps one",
    ),
    ("clmr", ["--model.criterion.projector", "LinearHead"], "LinearHead needs out_dim"),
    ("clmr", ["--model.criterion.projector.widths", "[]"], "at least the width"),
    (
        "cola",
        ["--model.criterion.similarity", "Cosine", "--model.criterion.similarity.temperature", "0"],
        "temperature must be positive",
    ),
    ("cola", ["--model.encoder.frontend.f_max", "9000"], "f_max <= sample_rate / 2"),
]


@pytest.mark.parametrize(("recipe", "options", "expected"), MISTAKES)
def test_a_mistake_is_one_sentence(clips, tmp_path, capsys, recipe, options, expected):
    assert main(small(recipe, clips, tmp_path, "--trainer.max_steps", "1", *options)) == 2
    said = capsys.readouterr().err
    said = said[said.index("error:") :].strip()
    assert expected in said
    assert len(said.splitlines()) <= 3


def test_tags_are_supervised_by_the_recipe_too(clips, tmp_path):
    """The best checkpoint is chosen by the loss, which all kinds of labels have."""
    more = (
        "--data.sl_task",
        "synthetic_tags",
        "--data.data_dir",
        "null",
        "--run_name",
        "tags",
        "--trainer.max_steps",
        "2",
    )
    assert main(small("supervised", clips, tmp_path, *more)) == 0
    assert (tmp_path / "tags" / "best.ckpt").is_file()


def test_a_rate_is_reduced_on_a_plateau(clips, tmp_path):
    plateau = "{class_path: pytorch_lightning.cli.ReduceLROnPlateau, init_args: {monitor: val_loss, factor: 0.1, patience: 0, threshold: 1e9}}"
    more = (
        "--model.scheduler",
        plateau,
        "--trainer.val_check_interval",
        "1.0",
        "--trainer.check_val_every_n_epoch",
        "1",
    )
    assert (
        main(
            small(
                "supervised", clips, tmp_path, *more, "--run_name", "a", "--trainer.max_steps", "9"
            )
        )
        == 0
    )
    rate = read_checkpoint(tmp_path / "a" / "last.ckpt")["optimizer_states"][0]["param_groups"][0][
        "lr"
    ]
    assert rate < 0.2 * 3e-3


def test_a_warm_up_beyond_the_run_is_told(clips, tmp_path, caplog):
    given = ("--model.scheduler", "WarmupCosine", "--model.scheduler.warmup_steps", "5")
    assert main(small("clmr", clips, tmp_path, *given, "--trainer.max_steps", "1")) == 0
    assert "warm-up of 5 steps is not shorter than the run (1 steps)" in caplog.text
    wrong = ("--model.scheduler.total_steps", "5", "--trainer.max_steps", "1")
    assert main(small("clmr", clips, tmp_path, *given, *wrong)) == 2


def test_a_run_resumed_with_more_steps_goes_by_the_longer_schedule(clips, tmp_path):
    more = ("--model.scheduler", "WarmupCosine", "--run_name", "a")
    assert main(small("clmr", clips, tmp_path, *more, "--trainer.max_steps", "2")) == 0
    before = read_checkpoint(tmp_path / "a" / "last.ckpt")["state_dict"]
    longer = (
        "--model.scheduler",
        "WarmupCosine",
        "--resume_from_checkpoint",
        "last",
        "--trainer.max_steps",
        "4",
    )
    assert main(small("clmr", clips, tmp_path, *longer)) == 0
    saved = read_checkpoint(tmp_path / "a" / "last.ckpt")
    assert saved["global_step"] == 4
    weights = [name for name in before if name.endswith("weight")]
    assert all(not torch.equal(before[name], saved["state_dict"][name]) for name in weights), (
        "the rate was zero"
    )

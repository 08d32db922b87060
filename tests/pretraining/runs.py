"""How the tests of this folder train: the recipes themselves, on a tiny encoder and a tiny folder,
in-process."""

import csv
import os
from pathlib import Path

import pytorch_lightning as L
import torch
from torch import nn

from semisupcon.commands.pretrain import main
from semisupcon.encoders import SampleCNNSmall
from semisupcon.frontends import DatasetStatistics
from tests.marks import mostly_slow

ROOT = Path(__file__).resolve().parents[2]
TINY = {
    "model.encoder": "SampleCNNSmall",
    "model.encoder.widths": "[8, 8, 16]",
    "model.encoder.stem": 9,
    "model.encoder.sample_rate": 8000,
    "data.target_sample_rate": 8000,
    "data.target_length": 0.2,
    "data.batch_size": 8,
    "data.num_workers": 0,
    "data.val_split": 0.2,
    "data.aug_list": "[gain, polarity_inversion, add_colored_noise]",
    "trainer.accelerator": "cpu",
    "trainer.max_epochs": -1,
    "trainer.log_every_n_steps": 1,
    "trainer.enable_progress_bar": "false",
    "trainer.enable_model_summary": "false",
    "draw_every": 0,
}


def pretrain(data: Path, runs: Path, *more: str, recipe: str = "pretrain_smsl") -> int:
    """Run a recipe with the tiny encoder; returns the exit status."""
    task = () if recipe == "pretrain_ssl" else ("--data.sl_task", "fsdd_digit")
    config = str(ROOT / "config" / "pretraining" / f"{recipe}.yaml")
    tiny = [part for name, value in TINY.items() for part in (f"--{name}", str(value))]
    return main(
        [
            "--config",
            config,
            *tiny,
            *task,
            "--data.data_dir",
            str(data),
            "--ckpt_path",
            str(runs),
            *more,
        ]
    )


RECIPES = sorted(
    p.relative_to(ROOT / "config" / "pretraining").with_suffix("").as_posix()
    for p in (ROOT / "config" / "pretraining").rglob("*.yaml")
)
# `cola_convnext` has the objective of `cola`.
EACH_OBJECTIVE = [name for name in RECIPES if "/" not in name and name != "cola_convnext"] + [
    "mtslvr/predictive",
    "mtslvr/split_simclr",
    "mtslvr/bn_simsiam",
]
# The other recipes, which combine the same parts, are tried in `make test-slow`.
SOME_RECIPES = mostly_slow(RECIPES, EACH_OBJECTIVE)
# Steps of a contrastive, a momentum, a two-format and a multi-task objective.
EACH_KIND = ("pretrain_smsl", "moco", "mfcl", "mtslvr/split_simclr")
QUICK = {
    "data.batch_size": 4,
    "data.num_workers": 0,
    "trainer.log_every_n_steps": 1,
    "trainer.enable_progress_bar": "false",
    "trainer.enable_model_summary": "false",
    "trainer.val_check_interval": 2,
    "draw_every": 0,
}


def small(recipe: str, clips: Path, runs: Path, *more: str) -> list[str]:
    """The arguments of a recipe with its overlay, on a folder of clips by class."""
    configs = [
        ROOT / "config" / "pretraining" / f"{recipe}.yaml",
        ROOT / "config" / "overlays" / "small" / f"{recipe}.yaml",
    ]
    arguments = [part for config in configs for part in ("--config", str(config))]
    arguments += [part for name, value in QUICK.items() for part in (f"--{name}", str(value))]
    if recipe in ("supervised", "pretrain_sl", "pretrain_smsl"):
        arguments += ["--data.sl_task", "class_folders"]
    return [*arguments, "--data.data_dir", str(clips), "--ckpt_path", str(runs), *more]


def rows(run: Path) -> list[dict[str, str]]:
    """metrics.csv of a run, without what a clock says."""
    with (run / "metrics.csv").open(newline="") as file:
        return [
            {k: v for k, v in row.items() if k != "clips_per_second"}
            for row in csv.DictReader(file)
        ]


class WithoutBatchNorm(SampleCNNSmall):
    """Each clip's embedding is its own, so that ranks equal one process; batch statistics would be
    those of each rank."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.normalize = DatasetStatistics()  # of the training clips of all ranks
        for block in self.trunk:
            block[1] = nn.Identity()


class StopAfter(L.Callback):
    """Sends this process a signal when a step is done, as a scheduler of a cluster would."""

    def __init__(self, step: int, number: int):
        self.step, self.number = step, number

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.number)


def stopping(step: int, number: int) -> tuple[str, ...]:
    """Options of a run that gets the signal after a step."""
    return (
        "--trainer.callbacks+",
        __name__ + ".StopAfter",
        "--trainer.callbacks.step",
        str(step),
        "--trainer.callbacks.number",
        str(number),
    )


def assert_same(a: object, b: object, path: str = "") -> None:
    """Equal tensors, bit for bit, and equal plain values, all the way down."""
    assert type(a) is type(b), path
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_same(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{path}/{i}")
    else:
        assert a == b, path

"""How the tests of this folder train: the recipes themselves, on a tiny encoder and a tiny folder, in-process."""

import csv
from pathlib import Path

from semisupcon.cli import main

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
    return main(["--config", config, *tiny, *task, "--data.data_dir", str(data), "--ckpt_path", str(runs), *more])


def rows(run: Path) -> list[dict[str, str]]:
    """metrics.csv of a run, without what a clock says."""
    with (run / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "clips_per_second"} for row in csv.DictReader(file)]

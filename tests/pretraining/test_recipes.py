"""Every YAML of ``config/pretraining`` runs with its overlay: fit, stop, resume bit for bit, embed."""

import signal

import numpy as np
import pytest
import soundfile
import torch

from semisupcon import load_encoder
from semisupcon.checkpoints import read_checkpoint
from semisupcon.cli import main
from tests.pretraining.runs import ROOT, assert_same, rows, stopping

RECIPES = sorted(
    p.relative_to(ROOT / "config" / "pretraining").with_suffix("").as_posix() for p in (ROOT / "config" / "pretraining").rglob("*.yaml")
)
QUICK = {
    "data.batch_size": 4,
    "data.num_workers": 0,
    "trainer.log_every_n_steps": 1,
    "trainer.enable_progress_bar": "false",
    "trainer.enable_model_summary": "false",
    "trainer.val_check_interval": 2,
    "draw_every": 0,
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Twelve clips of 3 s of noisy tones, in folders by class."""
    root = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for i in range(12):
        folder = root / f"class{i % 3}"
        folder.mkdir(exist_ok=True)
        tone = np.sin(2 * np.pi * 220 * (1 + i % 3) * np.arange(66150) / 22050)
        soundfile.write(folder / f"{i}.wav", 0.3 * tone + 0.1 * rng.standard_normal(66150), 22050)
    return root


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_trains_stops_resumes_and_embeds(clips, tmp_path, recipe):
    overlay = ROOT / "config" / "overlays" / "small" / f"{recipe}.yaml"
    args = ["--config", str(ROOT / "config" / "pretraining" / f"{recipe}.yaml"), "--config", str(overlay)]
    args += [part for name, value in QUICK.items() for part in (f"--{name}", str(value))]
    args += ["--data.data_dir", str(clips), "--ckpt_path", str(tmp_path), "--trainer.max_steps", "3"]
    if recipe in ("supervised", "pretrain_sl", "pretrain_smsl"):
        args += ["--data.sl_task", "class_folders"]
    assert main([*args, "--run_name", "stopped", *stopping(2, signal.SIGTERM)]) == 143
    assert main([*args, "--resume_from_checkpoint", "last"]) == 0
    assert main([*args, "--run_name", "whole"]) == 0
    stopped, whole = (read_checkpoint(tmp_path / name / "last.ckpt") for name in ("stopped", "whole"))
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert_same(stopped[part], whole[part], part)
    assert rows(tmp_path / "stopped") == rows(tmp_path / "whole")
    encoder = load_encoder(tmp_path / "whole")
    embedding = encoder(torch.randn(2, 1, encoder.segment_samples))
    assert embedding.shape == (2, encoder.embedding_dim)
    assert embedding.isfinite().all()


def test_every_recipe_has_an_overlay_and_the_other_way_round():
    overlays = ROOT / "config" / "overlays" / "small"
    assert sorted(p.relative_to(overlays).with_suffix("").as_posix() for p in overlays.rglob("*.yaml")) == RECIPES

"""Every YAML of ``config/pretraining`` runs with its overlay: fit, stop, resume bit for bit,
embed."""

import signal

import pytest
import torch

from semisupcon import load_encoder
from semisupcon.checkpoints import read_checkpoint
from semisupcon.commands.pretrain import main
from tests.marks import mostly_slow
from tests.pretraining.runs import (
    EACH_KIND,
    RECIPES,
    ROOT,
    assert_same,
    rows,
    small,
    stopping,
)


@pytest.mark.parametrize("recipe", mostly_slow(RECIPES, EACH_KIND))
def test_a_recipe_trains_stops_resumes_and_embeds(clips, tmp_path, recipe):
    args = small(recipe, clips, tmp_path, "--trainer.max_steps", "3")
    assert main([*args, "--run_name", "stopped", *stopping(2, signal.SIGTERM)]) == 143
    assert main([*args, "--resume_from_checkpoint", "last"]) == 0
    assert main([*args, "--run_name", "whole"]) == 0
    stopped, whole = (
        read_checkpoint(tmp_path / name / "last.ckpt") for name in ("stopped", "whole")
    )
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert_same(stopped[part], whole[part], part)
    assert rows(tmp_path / "stopped") == rows(tmp_path / "whole")
    encoder = load_encoder(tmp_path / "whole")
    embedding = encoder(torch.randn(2, 1, encoder.segment_samples))
    assert embedding.shape == (2, encoder.embedding_dim)
    assert embedding.isfinite().all()


def test_every_recipe_has_an_overlay_and_the_other_way_round():
    overlays = ROOT / "config" / "overlays" / "small"
    assert (
        sorted(p.relative_to(overlays).with_suffix("").as_posix() for p in overlays.rglob("*.yaml"))
        == RECIPES
    )

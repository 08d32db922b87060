"""A run that is too large for a machine without a GPU says so before its first step."""

import pytest
import torch

from semisupcon.batch import DataFacts
from semisupcon.commands.parsing.options import small_overlay
from semisupcon.encoders import SampleCNNSmall
from semisupcon.objectives import COLA, MTSLVR, MoCo, SemiSupCon, Supervised
from semisupcon.training import estimate as module
from semisupcon.training.objective import Objective
from tests.pretraining.runs import ROOT, pretrain

FACTS = DataFacts(("a", "b"), "multiclass", ("gain", "delay"), (("gain_db",), ("ms", "volume")))


def objective(criterion):
    torch.manual_seed(0)
    made = Objective(
        SampleCNNSmall(widths=[8, 8, 16], stem=9, sample_rate=8000, segment_samples=4000), criterion
    )
    made.facts = FACTS
    made.criterion.prepare(FACTS)
    return made


@pytest.mark.parametrize("criterion", [SemiSupCon, COLA, MTSLVR, MoCo, Supervised])
def test_an_estimate_leaves_the_model_as_it_was(criterion):
    made = objective(criterion())
    before = {k: v.clone() for k, v in made.state_dict().items()}
    generator = torch.get_rng_state()
    seconds, size = module.estimate(made, 32, 2, 4000)
    assert seconds > 0
    assert size > 4 * sum(p.numel() * 4 for p in made.parameters())
    assert all(torch.equal(v, before[k]) for k, v in made.state_dict().items())
    assert all(p.grad is None for p in made.parameters())
    assert torch.equal(generator, torch.get_rng_state())


def test_memory_grows_with_the_batch():
    made = objective(SemiSupCon())
    sizes = [
        module.estimate(made, clips, 2, 4000)[1] - module.estimate(made, 4, 2, 4000)[1]
        for clips in (20, 36)
    ]
    assert sizes[1] == pytest.approx(2 * sizes[0], rel=0.05)


def test_a_large_run_without_a_gpu_is_told(digits, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "LARGE_STEP", 0)
    monkeypatch.setattr(module, "SLOW", 0.0)
    with caplog.at_level("WARNING"):
        assert pretrain(digits, tmp_path, "--trainer.max_steps", "2") == 0
    assert "No GPU is used: a step takes about" in caplog.text
    assert (
        f"add --config {ROOT / 'config' / 'overlays' / 'small' / 'pretrain_smsl.yaml'}"
        in caplog.text
    )


def test_the_overlay_of_a_recipe():
    recipe = ROOT / "config" / "pretraining" / "mtslvr" / "parallel_simclr.yaml"
    overlay = ROOT / "config" / "overlays" / "small" / "mtslvr" / "parallel_simclr.yaml"
    assert small_overlay([recipe]) == str(overlay)
    assert small_overlay([recipe, overlay]) is None
    assert small_overlay(["x.yaml"]) is None
    assert small_overlay(None) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(28, "28 s"), (500, "8 minutes"), (30_000, "8 hours"), (5_600_000, "65 days")],
)
def test_times_in_words(seconds, text):
    assert module._in_words(seconds) == text

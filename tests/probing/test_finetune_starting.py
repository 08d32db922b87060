"""What fine-tuning starts from and trains, through the command: weights of any file, frozen parts,
a warm-up of the head."""

import json

import pytest
import torch

from semisupcon.checkpoints import export_encoder, load_encoder
from semisupcon.commands.probe import main
from semisupcon.encoders import SampleCNNSmall
from semisupcon.probing.methods.base import FineTuning, Settings
from semisupcon.probing.methods.by_name import FineTune
from semisupcon.probing.scores.results import identity_of
from tests.probing.conftest import tiny_encoder


@pytest.fixture
def tune(tones, exported, cache, tmp_path):
    def run(*more, checkpoints=None, out="out"):
        where = [
            f"--data_dirs.csv={tones}",
            f"--checkpoints={checkpoints or exported}",
            f"--out={tmp_path / out}",
            f"--cache_dir={cache}",
        ]
        quick = [
            "--finetune.max_epochs=1",
            "--finetune.batch_size=16",
            "--resamples=20",
            "--projection=none",
        ]
        return main(["--tasks=csv", "--methods=finetune", *quick, *where, *more])

    return run


def tuned(tmp_path, out="out"):
    return {
        folder.name.split("-")[1]: load_encoder(folder).state_dict()
        for folder in (tmp_path / out / "finetuned").iterdir()
    }


def test_the_encoder_starts_from_the_weights_of_another_file(tune, tmp_path, exported, caplog):
    other = export_encoder(tiny_encoder(seed=5), tmp_path / "other")
    options = ("--finetune.init_from", str(other), "--finetune.lr=1e-30")
    with caplog.at_level("INFO"):
        assert tune(*options, checkpoints=f"[{exported},random]") == 0
    assert "Started from" in caplog.text
    ours = {k: v for k, v in load_encoder(other).state_dict().items() if k.endswith("weight")}
    assert all(torch.equal(tuned(tmp_path)["tiny"][k], v) for k, v in ours.items())
    assert any(not torch.equal(tuned(tmp_path)["random"][k], v) for k, v in ours.items())


def test_other_weights_are_other_results_and_the_usual_ones_stay(tmp_path):
    """A result is computed anew for other weights to start from; one without these options has the
    identity it always had."""
    usual = "FineTuning(lr=0.001, encoder_rate=0.1, decay=0.8, weight_decay=1e-06, batch_size=32, max_epochs=50, patience=10)"
    assert str(FineTune().options(Settings(), FineTuning())) == usual
    one, other = (export_encoder(tiny_encoder(seed), tmp_path / str(seed)) for seed in (0, 5))
    asked = [
        FineTuning(init_from=str(one)),
        FineTuning(init_from=str(other)),
        FineTuning(freeze=["encoder.trunk.0"]),
        FineTuning(),
    ]
    assert len({identity_of(FineTune().options(Settings(), options)) for options in asked}) == len(
        asked
    )


def test_frozen_parts_and_a_warm_up_of_the_head(tune, tmp_path, exported):
    before = load_encoder(exported).state_dict()
    assert tune("--finetune.freeze=[encoder.trunk.0]", "--finetune.lr=0.01", out="frozen") == 0
    after = tuned(tmp_path, "frozen")["tiny"]
    moved = [k for k in before if not torch.equal(before[k], after[k])]
    assert any(k.startswith("trunk.1.") for k in moved)
    assert not any(k.startswith("trunk.0.") for k in moved)  # Batch-norm statistics too.
    # Patience does not count these epochs: the encoder is trained in the last one.
    warm = ("--finetune.head_epochs=3", "--finetune.patience=1", "--finetune.max_epochs=4")
    assert (
        tune(*warm, "--finetune.lr=0.01", "--finetune.freeze=[encoder.frontend]", out="warm") == 0
    )
    (curve,) = (tmp_path / "warm" / "curves").iterdir()
    assert len(json.loads(curve.read_text())) == 4


MISTAKES = {
    "--finetune.init_from /nowhere": "No checkpoint at /nowhere",
    "--finetune.init_from panns:/nowhere": "No checkpoint at /nowhere",
    "--finetune.init_from timm": "--finetune.init_from timm needs an encoder from timm",
    "--finetune.init_from {wide}": "--finetune.init_strict false",
    "--finetune.init_from {wide} --finetune.init_parts [encoder.trnk]": "--finetune.init_parts names encoder.trnk",
    "--finetune.init_strict false": "need --finetune.init_from",
    "--finetune.freeze [encoder.trunk.77]": "--finetune.freeze names encoder.trunk.77",
    "--finetune.head_epochs 1": "less than --finetune.max_epochs 1",
}


@pytest.mark.parametrize("typed", MISTAKES)
def test_mistakes_are_told_before_anything_is_embedded(tune, tmp_path, capsys, cache, typed):
    wide = export_encoder(
        SampleCNNSmall(widths=[8, 32], stem=20, sample_rate=8000, segment_samples=2000),
        tmp_path / "wide",
    )
    assert tune(*typed.format(wide=wide).split()) == 2
    said = capsys.readouterr().err
    assert MISTAKES[typed] in said
    assert len(said.strip().splitlines()) <= 3
    assert not any(cache.iterdir())
    assert not (tmp_path / "out").exists()

"""Fine-tuning: every layer at its own rate, best weights kept, the probed encoder untouched."""

import csv
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from semisupcon.commands.probe import main
from semisupcon.kinds import KINDS
from semisupcon.probing.embeddings.embedder import Embedder
from semisupcon.probing.embeddings.encoders import load_subject, random_twin
from semisupcon.probing.embeddings.tasks import load_task
from semisupcon.probing.methods.base import FineTuning
from semisupcon.probing.methods.clip_loaders import Passes
from semisupcon.probing.methods.finetune import finetune
from semisupcon.probing.methods.head import predict
from semisupcon.probing.methods.starting import parameter_groups
from tests.probing.conftest import tiny_encoder


def test_rates_fall_from_the_last_block_to_the_first_and_cover_every_parameter_once():
    encoder = tiny_encoder()
    groups = parameter_groups(encoder, FineTuning(lr=1.0, encoder_rate=0.1, decay=0.5))
    rates = [g["lr"] for g in groups]
    assert rates[-1] == pytest.approx(0.1)
    assert all(b == pytest.approx(2 * a) for a, b in pairwise(rates))
    ids = [id(p) for g in groups for p in g["params"]]
    assert sorted(ids) == sorted(id(p) for p in encoder.parameters())


def test_passes_visit_every_clip_once_with_new_crops():
    passes = Passes(tuple("abcdefg"), batch_size=3, seed=0)
    first, second = list(passes), list(passes)
    assert [len(b) for b in first] == [3, 4]
    rows = [sorted(int(r) for b in p for r, _ in b) for p in (first, second)]
    assert rows == [list(range(7))] * 2
    assert not {int(k) for b in first for _, k in b} & {int(k) for b in second for _, k in b}


def test_training_improves_on_the_start_and_leaves_the_subject_alone(tones, exported, cache):
    embedder, task = Embedder(cache), load_task("csv", tones)
    subject = embedder.calibrate(random_twin(load_subject(str(exported)), seed=0), task, seed=0)
    before = {k: v.clone() for k, v in subject.encoder.state_dict().items()}
    features = embedder.features(subject, task)
    outcome = finetune(
        subject, features, embedder, FineTuning(max_epochs=6, batch_size=16, lr=3e-3)
    )
    losses = [epoch["val_loss"] for epoch in outcome.curve]
    assert min(losses) < losses[0]
    assert outcome.scores.shape == (18, 3)
    assert (outcome.scores.argmax(1) == features.test.targets.argmax(1)).mean() > 0.6
    assert all(torch.equal(v, subject.encoder.state_dict()[k]) for k, v in before.items())
    assert any(not torch.equal(v, outcome.encoder.state_dict()[k]) for k, v in before.items())


def test_through_the_script_the_tuned_encoder_and_head_are_kept(tones, exported, cache, tmp_path):
    where = [
        f"--data_dirs.csv={tones}",
        f"--checkpoints=[{exported},random]",
        f"--out={tmp_path}",
        f"--cache_dir={cache}",
    ]
    status = main(
        ["--tasks=csv", "--methods=finetune", "--finetune.max_epochs=1", "--resamples=20", *where]
    )
    assert status == 0
    rows = {
        r["checkpoint"]: r
        for r in csv.DictReader((tmp_path / "results.csv").open())
        if r["metric"] == "accuracy"
    }
    assert set(rows) == {"tiny", "random"}
    assert (tmp_path / rows["tiny"]["head"]).is_file()
    assert len(list((tmp_path / "finetuned").iterdir())) == 2


def test_the_best_epoch_is_restored_and_the_test_clips_are_scored(tones, exported, cache, tmp_path):
    """Validation labels that are wrong on purpose: the loss on them rises, so that the best epoch
    is not the last."""
    lines = [line.split(",") for line in (tones / "labels.csv").read_text().splitlines()]
    moved = [i for i, line in enumerate(lines) if line[1] == "val"][
        :5
    ]  # validation and test of unequal size
    for i in moved:
        lines[i][1] = "train"
    (tmp_path / "labels.csv").write_text("\n".join(map(",".join, lines)) + "\n")
    task = load_task("csv", tones, {"file": str(tmp_path / "labels.csv")})
    targets = task.targets.copy()
    targets[task.rows("val")] = np.roll(targets[task.rows("val")], 1, axis=1)
    task, embedder = replace(task, targets=targets), Embedder(cache)
    subject = load_subject(str(exported))
    options = FineTuning(max_epochs=8, batch_size=16, lr=1e-2, patience=3)
    outcome = finetune(subject, embedder.features(subject, task), embedder, options)
    losses = [epoch["val_loss"] for epoch in outcome.curve]
    best = int(np.argmin(losses))
    assert best < len(losses) - 1
    assert losses[-1] > 1.1 * losses[best]
    assert len(losses) == best + 1 + options.patience
    assert outcome.detail == f"epoch {best + 1}"
    # What is returned is the encoder and head of that epoch, embedded and scored anew.
    tuned = embedder.features(replace(subject, encoder=outcome.encoder, name="tuned"), task)
    with torch.no_grad():
        outputs = outcome.head(torch.from_numpy(tuned.val.chunks.mean()))
    assert KINDS["multiclass"].loss(
        outputs, torch.from_numpy(tuned.val.targets)
    ).item() == pytest.approx(losses[best], rel=1e-4)
    assert outcome.scores.shape == (18, 3)
    np.testing.assert_allclose(outcome.scores, predict(outcome.head, tuned.test.chunks), atol=1e-5)

"""What predicts (the next frames, what was done to a clip, what it is) equals its equation, written
out here without the project's losses."""

import math

import numpy as np
import pytest
import torch
from worlds import FACTS, PARAMETERS, TinyEncoder, example, info_nce, labels, losses_of, make_batch

from semisupcon.heads import LinearHead
from semisupcon.objectives.base import Encode
from semisupcon.objectives.supervised import Supervised
from semisupcon.random import integers, uniform

# -- predictive coding
# ----------------------------------------------------------------------------------------------


def test_cpc():
    losses, encoder, criterion, batch = losses_of("CPC")
    z = encoder.frames(batch["audio"][:, 0]).transpose(1, 2)
    state, _ = criterion.context(z)
    clips, frames, _ = z.shape
    per_step = []
    for k, predict in enumerate(criterion.predictors, start=1):
        terms = []
        for n in range(clips):
            for t in range(frames - k):
                scores = torch.einsum("ntd,d->nt", z, predict(state[n, t])).flatten().tolist()
                terms.append(info_nce(scores, n * frames + t + k))
        per_step.append(sum(terms) / len(terms))
    assert losses["loss"].item() == pytest.approx(sum(per_step) / len(per_step), rel=1e-9)
    assert losses["negatives"] == clips * frames - 1


def test_cpc_on_embeddings():
    losses, encoder, criterion, batch = losses_of("CPC on embeddings")
    sequences, keys = encoder(batch["audio"][:, 0]), batch["key"][:, 0]
    state, _ = criterion.context(sequences[:, :, None])
    pool, width = sequences.flatten(), sequences.shape[1]
    starts = integers(keys, "window", 0, width - criterion.window - criterion.steps)
    draws = (
        uniform(keys, "negatives", criterion.window * criterion.negatives).double() * len(pool)
    ).long()
    terms = []
    for n in range(len(sequences)):
        for place in range(criterion.window):
            wrong = pool[draws[n, place * criterion.negatives : (place + 1) * criterion.negatives]]
            t = starts[n] + place
            for k, guess in enumerate(criterion.predict(state[n, t]), start=1):
                scores = (guess * torch.cat([sequences[n, t + k : t + k + 1], wrong])).tolist()
                terms.append(info_nce(scores, 0))
    assert losses["loss"].item() == pytest.approx(sum(terms) / len(terms), rel=1e-9)


# -- what was done, and what it is
# ----------------------------------------------------------------------------------


def test_augmentation_prediction():
    losses, encoder, criterion, batch = losses_of("augmentation prediction")
    rows = torch.cat([encoder(x) for x in batch["audio"].unbind(1)])
    logits = criterion.predictor(rows).sigmoid()
    truth = batch["applied"].transpose(0, 1).flatten(0, 1).double()
    expected = -(truth * logits.log() + (1 - truth) * (1 - logits).log()).mean()
    torch.testing.assert_close(losses["operator_loss"], expected)

    predictions, errors, column = criterion.regressor(rows), [], 0
    values = batch["parameters"].transpose(0, 1).flatten(0, 1).double()
    for operator, names in enumerate(PARAMETERS):
        for position in range(len(names)):
            value = values[:, operator, position]
            known = ~value.isnan()
            standardised = (value[known] - value[known].mean()) / value[known].std(correction=0)
            errors.append((predictions[known, column] - standardised) ** 2)
            column += 1
    torch.testing.assert_close(losses["parameter_loss"], torch.cat(errors).mean())
    torch.testing.assert_close(losses["loss"], expected + torch.cat(errors).mean())


def test_parameter_scales_are_those_of_all_that_was_seen():
    encoder, criterion, batch = example("augmentation prediction")
    other = batch | {"parameters": 3 * batch["parameters"] - 20}
    for part in (batch, other):
        criterion.losses(part, Encode(encoder))
    values = torch.cat([batch["parameters"], other["parameters"]]).flatten(0, 1)
    loudness = values[:, 0, 0][~values[:, 0, 0].isnan()].double()
    torch.testing.assert_close(criterion.mean[0], loudness.mean())
    torch.testing.assert_close((criterion.squares / criterion.count)[0], loudness.var(correction=0))
    criterion.eval()
    before = criterion.mean.clone()
    criterion.losses(batch, Encode(encoder))
    assert torch.equal(criterion.mean, before)


def test_nothing_was_done_to_a_batch_without_augmentation():
    encoder, criterion, batch = example("augmentation prediction")
    plain = {k: v for k, v in batch.items() if k not in ("applied", "parameters")}
    losses = criterion.losses(plain, Encode(encoder))
    logits = criterion.predictor(torch.cat([encoder(x) for x in batch["audio"].unbind(1)]))
    torch.testing.assert_close(losses["loss"], torch.nn.functional.softplus(logits).mean())
    assert losses["parameter_loss"] == 0


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
def test_supervised(kind):
    torch.manual_seed(0)
    encoder, criterion = TinyEncoder(), Supervised(LinearHead(), views=2)
    criterion.connect(encoder)
    criterion.prepare(FACTS[kind])
    targets = labels(kind, 6)
    batch = make_batch(6, 2, targets=targets)
    losses = criterion.losses(batch, Encode(encoder))
    terms, right = [], []
    for clip in range(6):
        if clip % 3 == 2:
            continue  # unlabelled
        for view in range(2):
            outputs, y = (
                criterion.head(encoder(batch["audio"][clip, view, None]))[0].tolist(),
                targets[clip].tolist(),
            )
            if kind == "multiclass":
                terms.append(info_nce(outputs, y.index(1)))
                right.append(outputs.index(max(outputs)) == y.index(1))
            elif kind == "multilabel":
                terms.append(
                    sum(
                        math.log1p(math.exp(-o if t else o))
                        for o, t in zip(outputs, y, strict=True)
                    )
                    / 3
                )
            else:
                values = FACTS[kind].train_targets
                mean, scale = values.mean(0), np.where(values.std(0) > 0, values.std(0), 1)
                terms.append(
                    sum(
                        (o - (t - m) / s) ** 2
                        for o, t, m, s in zip(outputs, y, mean, scale, strict=True)
                    )
                    / 3
                )
    assert losses["loss"].item() == pytest.approx(sum(terms) / len(terms), rel=1e-5)
    if kind == "multiclass":
        assert losses["accuracy"].item() == pytest.approx(sum(right) / len(right))


@pytest.mark.parametrize("name", ["supervised classes", "SemiSupCon, tags"])
def test_a_batch_without_labels_still_has_a_gradient(name):
    encoder, criterion, batch = example(name)
    batch["targets"].fill_(float("nan"))
    criterion.losses(batch, Encode(encoder))["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())

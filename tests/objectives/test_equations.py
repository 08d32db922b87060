"""Every criterion equals its paper's equation, written out here without the project's losses, and
the published numbers where there are any."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from worlds import SAMPLES, Given, TinyEncoder, info_nce, losses_of, make_batch

from semisupcon.encoders import SampleCNNSmall
from semisupcon.heads import ProjectionHead
from semisupcon.losses import negative_cosine
from semisupcon.objectives.base import Encode
from semisupcon.objectives.byol import BYOL
from semisupcon.objectives.cola import COLA, Bilinear, Cosine
from semisupcon.objectives.moco import MoCo
from semisupcon.objectives.simclr import SimCLR
from semisupcon.objectives.simsiam import SimSiam
from semisupcon.random import clip_key, normal, uniform

GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name):
    return {k: torch.from_numpy(v) for k, v in np.load(GOLDEN / f"{name}.npz").items()}


def nt_xent(z1, z2, temperature):
    """Chen et al. 2020, eq. 1, for each view of each clip."""
    z = normalize(torch.cat([z1, z2]), dim=-1)
    n, similarity = len(z1), (z @ z.T / temperature).tolist()
    total = 0.0
    for i, row in enumerate(similarity):
        others = [j for j in range(2 * n) if j != i]
        total += info_nce([row[j] for j in others], others.index((i + n) % (2 * n)))
    return total / (2 * n)


# -- contrastive
# ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["a", "b", "clmr"])
def test_simclr_meets_the_originals(case):
    numbers = golden("ntxent")
    z1, z2 = (numbers[f"{case}/{k}"].requires_grad_() for k in ("z1", "z2"))
    criterion = SimCLR(Given(z1.shape[1]), numbers[f"{case}/temperature"].item())
    losses = criterion.losses_of(torch.stack([z1, z2], dim=1), make_batch(len(z1), 2))
    assert losses["loss"].item() == pytest.approx(numbers[f"{case}/loss"].item(), rel=1e-6)
    assert losses["negatives"] == 2 * len(z1) - 2
    losses["loss"].backward()
    for view, name in ((z1, "grad_z1"), (z2, "grad_z2")):
        if f"{case}/{name}" in numbers:
            expected = numbers[f"{case}/{name}"]
            assert (view.grad - expected).norm() / expected.norm() < 1e-6


def test_simclr():
    losses, encoder, criterion, batch = losses_of("SimCLR")
    z1, z2 = (criterion.projector(encoder(x)) for x in batch["audio"].unbind(1))
    assert losses["loss"].item() == pytest.approx(nt_xent(z1, z2, 0.5), rel=1e-9)


def test_mfcl_compares_formats_in_random_assignment():
    losses, encoder, _, batch = losses_of("MFCL", clips=12)
    heard = uniform(clip_key(batch["key"][:, 0]), "format")[:, 0] < 0.5
    assert 0 < heard.sum() < 12
    wave, spectrogram = [], []
    for clip, first in enumerate(heard.tolist()):
        views = batch["audio"][clip, [0, 1] if first else [1, 0], None]
        wave.append(encoder.trunk["waveform"](views[0]))
        spectrogram.append(encoder.trunk["spectrogram"](views[1]))
    assert losses["loss"].item() == pytest.approx(
        nt_xent(torch.cat(wave), torch.cat(spectrogram), 0.1), rel=1e-9
    )


def test_mfcl_masks_spectrograms_in_training_only():
    losses, encoder, criterion, batch = losses_of("MFCL, masked")
    criterion.eval()
    plain = criterion.losses(batch, Encode(encoder))["loss"]
    criterion.spec_augment = None
    assert torch.equal(criterion.losses(batch, Encode(encoder))["loss"], plain)
    assert losses["loss"] != plain


def test_mfcl_ignores_padding():
    losses, encoder, criterion, batch = losses_of("MFCL")
    batch["length"] = torch.tensor([[32, 16], [16, 32], [24, 24]] * 2)
    padded = torch.arange(SAMPLES) >= batch["length"][:, :, None, None]
    silent, loud = (
        batch | {"audio": batch["audio"].masked_fill(padded, fill)} for fill in (0, 100)
    )
    first, second = (criterion.losses(b, Encode(encoder))["loss"] for b in (silent, loud))
    assert torch.equal(first, second)
    assert first != losses["loss"]


def test_cola_meets_the_paper():
    numbers = golden("cola")
    anchor, positive = numbers["anchor"].double(), numbers["positive"].double()
    bilinear = COLA(Given(512), Bilinear(512))
    bilinear.similarity.weight.data = numbers["weight"].double()
    losses = bilinear.losses_of(anchor, positive)
    assert losses["loss"].item() == pytest.approx(numbers["bilinear_loss"].item(), rel=1e-6)
    assert losses["top1"].item() == pytest.approx(numbers["bilinear_accuracy"].item())
    cosine = COLA(Given(512), Cosine(numbers["cosine_temperature"].item()))
    assert cosine.losses_of(anchor, positive)["loss"].item() == pytest.approx(
        numbers["cosine_loss"].item(), rel=1e-6
    )


def test_cola_has_as_many_parameters_as_published():
    """Linear layer, LayerNorm and W, from EfficientNet-B0's 1280 channels."""
    criterion = COLA()
    criterion.connect(TinyEncoder(1280))
    assert sum(p.numel() for p in criterion.parameters()) == 919_040


def test_cola_by_one_direction_and_by_both():
    torch.manual_seed(0)
    anchors, positives = torch.randn(2, 5, 4, dtype=torch.float64)
    for similarity in (Bilinear(4, 0.7).double(), Cosine(0.3)):
        if isinstance(similarity, Bilinear):
            scores = torch.einsum("id,de,je->ij", anchors, similarity.weight, positives).tolist()
        else:
            scores = (normalize(anchors, dim=-1) @ normalize(positives, dim=-1).T / 0.3).tolist()
        there = sum(info_nce(row, i) for i, row in enumerate(scores)) / 5
        back = (
            sum(info_nce(list(column), i) for i, column in enumerate(zip(*scores, strict=True))) / 5
        )
        for symmetric, expected in ((False, there), (True, (there + back) / 2)):
            losses = COLA(Given(4), similarity, symmetric=symmetric).losses_of(anchors, positives)
            assert losses["loss"].item() == pytest.approx(expected, rel=1e-9)


def test_cola_knowing_nothing_costs_the_logarithm_of_the_batch():
    losses = COLA(Given(4), Bilinear(4, 0.0)).losses_of(torch.randn(7, 4), torch.randn(7, 4))
    assert losses["loss"].item() == pytest.approx(math.log(7))
    assert losses["negatives"] == 6


def test_cola_treats_the_positive_alone_and_only_in_training():
    _, encoder, criterion, batch = losses_of("COLA")
    seen = []
    encoder.trunk.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    criterion.losses(batch, Encode(encoder))
    criterion.eval()
    criterion.losses(batch, Encode(encoder))
    trained, evaluated = (x.unflatten(0, (6, 2)) for x in seen)
    assert torch.equal(trained[:, 0], evaluated[:, 0])
    noise = normal(batch["key"][:, 1], "noise", SAMPLES)[:, None]
    clean = batch["audio"][:, 1]
    noisy = encoder.frontend(clean + 0.1 * clean.norm(dim=-1, keepdim=True) * noise.double())
    assert torch.equal(trained[:, 1], criterion.spec_augment(noisy, batch["key"][:, 1]))
    assert torch.equal(evaluated[:, 1], encoder.frontend(batch["audio"][:, 1]))


# -- without negatives
# ----------------------------------------------------------------------------------------------


def test_simsiam_meets_the_original():
    numbers = golden("simsiam")
    p, z = numbers["p"].requires_grad_(), numbers["z"].requires_grad_()
    criterion = SimSiam(Given(2048), Given(2048))
    assert negative_cosine(p, z).mean().item() == pytest.approx(
        numbers["loss"].item(), rel=1e-6, abs=1e-8
    )
    # With the identity for heads both directions are the same pair.
    losses = criterion.losses_of(torch.stack([p, z], dim=1), make_batch(len(p), 2))
    assert losses["loss"].item() == pytest.approx(numbers["loss"].item(), rel=1e-5, abs=1e-7)


def test_simsiam():
    losses, encoder, criterion, batch = losses_of("SimSiam")
    z = [criterion.projector(encoder(x)) for x in batch["audio"].unbind(1)]
    p = [criterion.predictor(x) for x in z]
    expected = (
        -sum(
            (normalize(p[i], dim=1) * normalize(z[1 - i].detach(), dim=1)).sum(1).mean()
            for i in (0, 1)
        )
        / 2
    )
    torch.testing.assert_close(losses["loss"], expected)
    parameters = list(encoder.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(losses["loss"], parameters),
        torch.autograd.grad(expected, parameters),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


def test_byol():
    losses, encoder, criterion, batch = losses_of("BYOL")
    expected = 0
    for i in (0, 1):
        p = normalize(
            criterion.predictor(criterion.projector(encoder(batch["audio"][:, i]))), dim=1
        )
        z = normalize(
            criterion.slow_projector(criterion.slow_encoder(batch["audio"][:, 1 - i])), dim=1
        )
        expected += ((p - z) ** 2).sum(dim=1).mean()
    torch.testing.assert_close(losses["loss"], expected)


def test_byol_follows_with_a_momentum_that_rises_to_one():
    encoder, criterion = TinyEncoder(), BYOL(Given(6), Given(6), momentum=0.9, momentum_steps=4)
    criterion.connect(encoder)
    assert all(not p.requires_grad for p in criterion.slow_encoder.parameters())
    expected = criterion.slow_encoder.trunk[0].weight.clone()
    for step in range(6):
        with torch.no_grad():
            encoder.trunk[0].weight += 1
        momentum = 1 - 0.1 * (math.cos(math.pi * min(step / 4, 1)) + 1) / 2
        expected = momentum * expected + (1 - momentum) * encoder.trunk[0].weight.detach()
        criterion.after_step(encoder)
        torch.testing.assert_close(criterion.slow_encoder.trunk[0].weight, expected)
    assert momentum == 1


def test_moco_and_its_queue():
    losses, encoder, criterion, batch = losses_of("MoCo")
    queue = criterion.queue.clone()
    q = normalize(criterion.projector(encoder(batch["audio"][:, 0])), dim=1)
    k = normalize(criterion.slow_projector(criterion.slow_encoder(batch["audio"][:, 1])), dim=1)
    expected = (
        sum(
            info_nce((torch.cat([k[i : i + 1], queue]) @ q[i] / 0.07).tolist(), 0) for i in range(6)
        )
        / 6
    )
    assert losses["loss"].item() == pytest.approx(expected, rel=1e-9)
    assert losses["negatives"] == 8

    criterion.after_step(encoder)
    assert torch.equal(criterion.queue, torch.cat([k, queue[6:]]))
    again = criterion.losses(batch, Encode(encoder))
    assert (
        again["negatives"] == 7
    )  # the queue holds a key of each clip of the batch, and that is no negative of its own
    others = [
        torch.cat([k[i : i + 1], criterion.queue[[j for j in range(8) if j != i]]]) @ q[i] / 0.07
        for i in range(6)
    ]
    assert again["loss"].item() == pytest.approx(
        sum(info_nce(row.tolist(), 0) for row in others) / 6, rel=1e-9
    )
    criterion.after_step(encoder)
    assert torch.equal(
        criterion.queue[[6, 7, 0, 1, 2, 3]], k
    )  # the ring closes, the oldest go first
    assert criterion.oldest == 4
    criterion.eval()
    criterion.losses(batch, Encode(encoder))
    criterion.after_step(encoder)
    assert criterion.oldest == 4  # validation leaves the queue alone


def test_moco_keys_tell_nothing_of_their_batch():
    encoder, criterion = (
        SampleCNNSmall([4, 4], stem=3, sample_rate=8000, segment_samples=900),
        MoCo(ProjectionHead([8, 4]), queue_size=8),
    )
    criterion.connect(encoder)
    criterion.train()
    encoder.train()
    norms = [
        m
        for net in (criterion.slow_encoder, criterion.slow_projector)
        for m in net.modules()
        if isinstance(m, torch.nn.BatchNorm1d)
    ]
    assert norms
    assert not any(norm.training for norm in norms)
    batch = make_batch(5, 2, samples=900)
    rows = batch["audio"][:, 1]
    expected = criterion.slow_projector(criterion.slow_encoder(rows[:2]))
    learner = copy.deepcopy(criterion.slow_encoder).train()
    learner(rows)
    criterion.losses(batch, Encode(encoder))
    criterion.after_step(encoder)
    torch.testing.assert_close(
        criterion.queue[:2], normalize(expected, dim=1)
    )  # as if the other three had not been there
    # Only then it learns from them, as in training.
    assert norms[0].running_var.mean() != 1
    for ours, theirs in zip(criterion.slow_encoder.buffers(), learner.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)
    before = norms[0].running_var.clone()
    criterion.eval()
    criterion.losses(batch, Encode(encoder))
    assert torch.equal(norms[0].running_var, before)


def test_moco_queue_smaller_than_a_batch_keeps_the_newest():
    encoder, criterion = TinyEncoder(), MoCo(Given(6), queue_size=4)
    criterion.connect(encoder)
    criterion.losses(make_batch(6, 2), Encode(encoder))
    k = normalize(encoder(make_batch(6, 2)["audio"][:, 1]), dim=1)
    criterion.after_step(encoder)
    torch.testing.assert_close(criterion.queue, k[2:])


@pytest.mark.parametrize("momentum_steps", [1, 2])
def test_the_momentum_of_byol_may_rise_in_one_step(momentum_steps):
    encoder, criterion = (
        TinyEncoder(),
        BYOL(Given(6), Given(6), momentum=0.9, momentum_steps=momentum_steps),
    )
    criterion.connect(encoder)
    for _ in range(momentum_steps):
        criterion.after_step(encoder)
    assert criterion.momentum() == 1
    assert BYOL(Given(6), Given(6), momentum=0.0).momentum() == 0

"""SemiSupCon meets the numbers of the original, and of the fact sheet's worked example."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from worlds import Given, TinyEncoder, make_batch

from semisupcon.batch import DataFacts
from semisupcon.errors import ConfigError
from semisupcon.heads import ProjectionHead
from semisupcon.losses import contrastive_loss
from semisupcon.objectives.base import Encode
from semisupcon.objectives.semisupcon import SemiSupCon
from semisupcon.targets import Dice, Kernel, SameClip, SharedLabels

GOLDEN = np.load(Path(__file__).parents[1] / "golden/semisupcon_targets_and_loss.npz")
CASES = sorted({name.split("/")[0] for name in GOLDEN.files})


def golden(case):
    get = {
        k.split("/")[1]: torch.from_numpy(GOLDEN[k])
        for k in GOLDEN.files
        if k.startswith(f"{case}/")
    }
    clips, views, _, threshold, temperature = get["meta"].tolist()
    views = int(views)
    labels = get["labels"][::views].clone()
    labels[labels.sum(1) == 0] = float("nan")
    batch = make_batch(int(clips), views, targets=labels)
    target = Dice() if threshold < 0 else SharedLabels(int(threshold))
    z = get["z"].requires_grad_()
    return get, batch, SemiSupCon(Given(128), target, temperature, views), z


@pytest.mark.parametrize("case", CASES)
def test_meets_the_original(case):
    get, batch, criterion, z = golden(case)
    embeddings = z.unflatten(0, (-1, criterion.views))
    losses = criterion.losses_of(embeddings, batch)
    assert losses["loss"].item() == pytest.approx(get["loss_semi"].item(), rel=2e-4)
    assert torch.equal(losses["semisl_loss"], losses["loss"].detach())
    losses["loss"].backward()
    assert (z.grad - get["grad"]).norm() / get["grad"].norm() < 5e-4


@pytest.mark.parametrize("case", CASES)
def test_meets_the_parts_of_the_original(case):
    """Its self-supervised and its supervised loss over all items of the batch."""
    get, batch, criterion, z = golden(case)
    labels, clips = (
        batch["targets"].repeat_interleave(criterion.views, 0),
        batch["clip"].repeat_interleave(criterion.views),
    )
    for name, target in (("loss_ssl", SameClip()), ("loss_sl", criterion.target)):
        weights = target(labels, clips, labels, clips)
        loss = contrastive_loss(z, z, weights, torch.arange(len(z)), criterion.temperature).loss
        assert loss.item() == pytest.approx(get[name].item(), rel=2e-4), name


@pytest.mark.parametrize("case", CASES)
def test_meets_the_matrices_of_the_original(case):
    get, batch, criterion, _ = golden(case)
    labels, clips = (
        batch["targets"].repeat_interleave(criterion.views, 0),
        batch["clip"].repeat_interleave(criterion.views),
    )
    blocks = (labels, clips, labels, clips)
    assert torch.equal(SameClip()(*blocks), get["ssl"])
    torch.testing.assert_close(criterion.target(*blocks), get["sl"], rtol=0, atol=0)
    torch.testing.assert_close(criterion.near(*blocks), get["semi"], rtol=0, atol=0)


def worked_example():
    nan = float("nan")
    labels = torch.tensor([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1], [nan] * 4])
    z = [[math.sin(0.7 * k + 1.3 * d + 0.1 * k * d) for d in range(3)] for k in range(10)]
    return torch.tensor(z).unflatten(0, (5, 2)), make_batch(5, 2, targets=labels)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (SameClip(), (None, 1.156694, None)),
        (SharedLabels(1), (5.571994, 4.924811, 2.125312)),
        (SharedLabels(2), (5.511537, 4.951962, 2.145804)),
        (SharedLabels(3), (1.337626, 1.156694, 1.301585)),
        (Dice(), (5.332655, 4.732537, 2.086946)),
    ],
)
def test_worked_example(target, expected):
    embeddings, batch = worked_example()
    z = nn.functional.normalize(embeddings.flatten(0, 1), dim=-1)
    labels, clips = batch["targets"].repeat_interleave(2, 0), batch["clip"].repeat_interleave(2)
    weights = SemiSupCon(Given(3), target).near(labels, clips, labels, clips).fill_diagonal_(0)
    for temperature, value in zip((0.07, 0.1, 0.5), expected, strict=True):
        if value is None:
            continue
        # The original adds 1e-6 to each probability; with it our targets give its figure to the
        # last digit.
        softmax = (z @ z.T / temperature).fill_diagonal_(float("-inf")).softmax(dim=1)
        capped = {
            e: -(weights * (softmax + e).fill_diagonal_(1).log()).sum(1)
            / weights.sum(1).clamp(min=1)
            for e in (1e-6, 0)
        }
        assert capped[1e-6].mean().item() == pytest.approx(value, rel=2e-6)
        loss = SemiSupCon(Given(3), target, temperature).losses_of(embeddings, batch)["loss"]
        assert loss.item() == pytest.approx(capped[0].mean().item(), rel=1e-5)


def test_logs_what_the_paper_logs():
    embeddings, batch = worked_example()
    losses = SemiSupCon(Given(3)).losses_of(embeddings, batch)
    assert losses["sparsity_semisl"].item() == pytest.approx(0.66)
    assert losses["negatives"].item() == pytest.approx(9 - 3.4)
    # The labelled part alone is a batch of its own, by labels only; the unlabelled one likewise, by
    # clips only.
    part = {k: v[:4] for k, v in batch.items()}
    alone = SemiSupCon(Given(3), SharedLabels()).losses_of(embeddings[:4], part)
    torch.testing.assert_close(losses["sl_loss"], alone["sl_loss"])
    torch.testing.assert_close(
        losses["sl_loss"], alone["loss"].detach()
    )  # every row shares its labels with its own other view
    assert losses["sparsity_sl"].item() == pytest.approx(1 - 32 / 64)
    assert losses["ssl_loss"] == 0  # two views of one clip: no choice, no cost
    assert "ssl_loss" not in alone


def test_no_labels_at_all():
    embeddings, batch = worked_example()
    batch["targets"] = torch.zeros(5, 0)
    criterion = SemiSupCon(Given(3), Kernel())
    criterion.prepare(DataFacts())
    losses = criterion.losses_of(embeddings, batch)
    assert losses["loss"].item() == pytest.approx(1.156694, rel=5e-4)
    assert losses["ssl_loss"].item() == pytest.approx(losses["loss"].item())
    assert "sl_loss" not in losses


def test_pictures_leave_no_trace():
    torch.manual_seed(0)
    encoder, criterion = TinyEncoder(norm=True), SemiSupCon(ProjectionHead([8, 4]))
    criterion.connect(encoder)
    batch = make_batch(4, 2, targets=torch.eye(3)[[0, 0, 1, 2]])
    batch["targets"][3] = float("nan")
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    pictures = criterion.matrices(batch, Encode(encoder))
    assert {k: tuple(v.shape) for k, v in pictures.items()} == {
        "target_contrastive_matrix": (8, 8),
        "semisl_sim": (8, 8),
        "sl_sim": (6, 6),
        "ssl_sim": (2, 2),
    }
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    assert (
        pictures["target_contrastive_matrix"].sum() == 3 * 8 - 8 + 8 - 8
    )  # clips 0 and 1 share a label: a block of four; the others of two
    assert not pictures["semisl_sim"].diagonal().any()


@pytest.mark.parametrize(
    "settings", [{"temperature": 0}, {"views": 1}, {"projector": ProjectionHead([4], in_dim=3)}]
)
def test_wrong_settings_fail_at_construction(settings):
    with pytest.raises(ConfigError):
        SemiSupCon(**settings).connect(TinyEncoder())

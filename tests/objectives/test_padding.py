"""Padding takes no part: what lies behind the end of a clip changes neither the loss of any
criterion nor the measures of validation."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import normalize
from worlds import SAMPLES, ZOO, TinyEncoder, example, make_batch

from semisupcon.heads import ProjectionHead
from semisupcon.objectives.base import Encode
from semisupcon.objectives.moco import MoCo
from semisupcon.objectives.simclr import SimCLR
from semisupcon.training.objective import Objective

LENGTHS = (16, 24, 32)


def filled(batch, value):
    """The batch with clips of unequal length, and what is behind their end."""
    length = torch.tensor(LENGTHS * batch["key"].numel())[: batch["key"].numel()].view_as(
        batch["key"]
    )
    padded = torch.arange(SAMPLES) >= length[:, :, None, None]
    return batch | {"length": length, "audio": batch["audio"].masked_fill(padded, value)}


# CPC refuses padded clips.
@pytest.mark.parametrize("name", [name for name in ZOO if name != "CPC"])
def test_no_criterion_hears_padding(name):
    encoder, criterion, batch = example(name)
    criterion.noise = 0.0  # of COLA: it follows the level of the whole crop
    silent, loud = (
        criterion.losses(filled(batch, value), Encode(encoder))["loss"] for value in (0, 100)
    )
    assert torch.equal(silent, loud)
    unmasked = filled(batch, 100) | {"length": batch["length"]}
    assert criterion.losses(unmasked, Encode(encoder))["loss"] != loud


def test_validation_does_not_hear_padding():
    encoder, criterion, batch = example("SimCLR", dtype=torch.float32)
    objective = Objective(encoder, criterion)
    objective._trainer = SimpleNamespace(datamodule=None)
    objective.log_dict = lambda *args, **kwargs: None
    for value in (0, 100):
        objective.validation_step(filled(batch, value), 0)
    (_, silent), (_, loud) = objective._validation.embedded
    assert torch.equal(silent, loud)
    assert silent.shape == (6, 2, 6)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_encoder_and_projector_of_moco_follow_by_the_momentum(momentum):
    torch.manual_seed(0)
    encoder, criterion = (
        TinyEncoder(),
        MoCo(ProjectionHead([5, 4]), queue_size=8, momentum=momentum),
    )
    criterion.connect(encoder)
    pairs = ((criterion.slow_encoder, encoder), (criterion.slow_projector, criterion.projector))
    for _ in range(2):
        with torch.no_grad():
            for _, fast in pairs:
                for parameter in fast.parameters():
                    parameter += torch.randn_like(parameter)
        before = [[p.clone() for p in slow.parameters()] for slow, _ in pairs]
        criterion.after_step(encoder)
        for (slow, fast), olds in zip(pairs, before, strict=True):
            assert olds
            for new, old, target in zip(slow.parameters(), olds, fast.parameters(), strict=True):
                torch.testing.assert_close(new, momentum * old + (1 - momentum) * target)


def objective_of(seed=None):
    return Objective(TinyEncoder(), SimCLR(ProjectionHead([4])), seed=seed)


def drawn(seed, batch=0, rank=0):
    """What dropout would draw at a step."""
    objective = objective_of(seed)
    loop = SimpleNamespace(epoch_loop=SimpleNamespace(total_batch_idx=batch))
    objective._trainer = SimpleNamespace(fit_loop=loop, global_rank=rank)
    objective.on_train_batch_start({}, 0)
    return torch.rand(4)


def test_dropout_follows_seed_step_and_rank():
    first = drawn(1)
    assert torch.equal(drawn(1), first)
    assert torch.equal(drawn(None), drawn(123))
    assert not any(
        torch.equal(other, first) for other in (drawn(2), drawn(1, batch=1), drawn(1, rank=1))
    )


def test_clips_that_ranks_share_count_once():
    """Five clips on two ranks: the sixth place repeats the first clip, as `validation_batches`
    fills it."""
    torch.manual_seed(0)
    objective, logged = objective_of(), {}
    views = normalize(torch.randn(5, 2, 3), dim=-1)
    views[:, 1] = views[:, 0]
    views[1:3, 1] = -views[1:3, 1]
    order = torch.tensor([0, 1, 2, 3, 4, 0])
    ours, theirs = (order[0::2] + 70, views[order[0::2]]), (order[1::2] + 70, views[order[1::2]])
    objective._validation.embedded = [(ours[0][:2], ours[1][:2]), (ours[0][2:], ours[1][2:])]
    objective.all_gather = lambda own: torch.stack([own, theirs[own.dim() != 1]])
    objective.log = lambda name, value, **_: logged.update({name: float(value)})
    objective.on_validation_epoch_end()
    assert logged["val_top1"] == pytest.approx(3 / 5)  # 4 / 6 if the first counted twice
    alone = objective_of()
    alone._validation.embedded = [(torch.arange(5), views)]
    alone.all_gather, whole = (lambda own: own[None]), {}
    alone.log = lambda name, value, **_: whole.update({name: float(value)})
    alone.on_validation_epoch_end()
    assert logged == pytest.approx(whole, rel=1e-5)
    assert not objective._validation.embedded


def test_a_batch_of_validation_is_embedded_whatever_the_number_of_views():
    objective = objective_of()
    objective._trainer = SimpleNamespace(datamodule=None)
    objective.log_dict = lambda *args, **kwargs: None
    objective.validation_step(make_batch(3, 4), 0)
    ((clips, embeddings),) = objective._validation.embedded
    assert embeddings.shape == (3, 2, 6)
    assert clips.tolist() == [1000, 1001, 1002]
    torch.testing.assert_close(embeddings[:, 1], objective.encoder(make_batch(3, 4)["audio"][:, 1]))

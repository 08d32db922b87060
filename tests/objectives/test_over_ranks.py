"""W ranks give the loss and the gradient of one, for every objective, for even and uneven parts,
with and without chunks."""

import numpy as np
import pytest
import torch
from torch import nn
from worlds import ZOO, example

from semisupcon.distributed import Share
from semisupcon.objectives.base import Encode

STEPS = 2
NEGATIVES = ("SemiSupCon", "SimCLR", "CPC", "COLA", "MFCL", "MTSLVR, SimCLR")


class Step(nn.Module):
    """What distributed data parallel wraps: encoder and criterion, called on a batch."""

    def __init__(self, encoder, criterion, chunk_size):
        super().__init__()
        self.encoder, self.criterion = encoder, criterion
        self.encode = Encode(encoder, chunk_size)

    def forward(self, batch):
        return self.criterion.losses(batch, self.encode)


def train(step, batch, module=None):
    """Two steps of gradient descent; the logged values of each, and the last gradients by name."""
    optimizer = torch.optim.SGD(step.parameters(), lr=0.1)
    logged = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        losses = (module or step)(batch)
        losses["loss"].backward()
        optimizer.step()
        step.criterion.after_step(step.encoder)
        logged.append({k: v.item() for k, v in losses.items()})
    gradients = {k: p.grad.numpy() for k, p in step.named_parameters() if p.grad is not None}
    buffers = {k: b.numpy() for k, b in step.named_buffers()}
    return logged, gradients, buffers


def on_rank(rank, world, name, sizes, chunk_size, detach):
    encoder, criterion, batch = example(name)
    part = {k: v.split(sizes)[rank] for k, v in batch.items()}
    step = Step(encoder, criterion, chunk_size)
    parallel = nn.parallel.DistributedDataParallel(step)
    if not detach:
        return train(step, part, parallel)
    gather = Share.gather
    Share.gather = lambda self, x: gather(self, x.detach())
    try:
        return train(step, part, parallel)
    finally:
        Share.gather = gather


def alone(name):
    encoder, criterion, batch = example(name)
    return train(Step(encoder, criterion, None), batch)


def distance(ours, reference):
    names = reference.keys()
    assert ours.keys() == names
    both = [np.concatenate([x[k].ravel() for k in sorted(names)]) for x in (ours, reference)]
    return np.linalg.norm(both[0] - both[1]) / np.linalg.norm(both[1])


@pytest.mark.parametrize(
    ("sizes", "chunk_size"), [((3, 3), None), ((4, 2), 2), ((2, 2, 2), 3), ((3, 2, 1), None)]
)
@pytest.mark.parametrize("name", ZOO)
def test_ranks_equal_one_process(ranks, name, sizes, chunk_size):
    logged, gradients, buffers = alone(name)
    answers = ranks(len(sizes), on_rank, name, sizes, chunk_size, False)
    for got_logged, got_gradients, got_buffers in answers:
        assert distance(got_gradients, gradients) < 1e-6
        for k, value in got_buffers.items():
            np.testing.assert_allclose(value, buffers[k], rtol=1e-6, atol=1e-9, err_msg=k)
        assert [step.keys() for step in got_logged] == [step.keys() for step in logged]
    for number, step in enumerate(logged):
        for k, value in step.items():
            if k != "spread":  # a statistic of a rank's own batch
                assert np.mean([got[number][k] for got, _, _ in answers]) == pytest.approx(
                    value, rel=1e-6, abs=1e-9
                ), k


@pytest.mark.parametrize("name", [name for name in ZOO if name.startswith(NEGATIVES)])
def test_a_detached_gather_would_be_found_out(ranks, name):
    _, gradients, _ = alone(name)
    for _, got_gradients, _ in ranks(2, on_rank, name, (3, 3), None, True):
        assert distance(got_gradients, gradients) > 1e-3


def log_alone(rank, world, clips):
    encoder, criterion, batch = example("SemiSupCon, tags")
    criterion.gather_negatives = False
    losses = criterion.losses({k: v[clips[rank]] for k, v in batch.items()}, Encode(encoder))
    return {k: v.item() for k, v in losses.items()}


def test_ranks_log_the_same_names_even_where_one_has_no_labels(ranks):
    labelled, unlabelled = ranks(2, log_alone, ([0, 1], [2, 5]))
    assert labelled.keys() == unlabelled.keys()
    assert unlabelled["sl_loss"] == 0
    assert labelled["negatives"] <= 3

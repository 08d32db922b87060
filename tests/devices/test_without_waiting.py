"""On a GPU no criterion and no encoder makes the host wait, launches more kernels than it should,
or mixes devices: seen without a GPU."""

import pytest
import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool1d, adaptive_avg_pool2d, avg_pool1d, avg_pool2d

from semisupcon.encoders import SampleCNN
from semisupcon.encoders.resnet import halved
from semisupcon.heads import AugmentationPredictor
from semisupcon.objectives.base import Criterion, Encode
from semisupcon.objectives.supervised import Supervised
from tests.devices.pretended import Recorder, to_pretended
from tests.encoders.test_encoders import SMALL
from tests.objectives.worlds import FACTS, ZOO, TinyEncoder, example, labels, make_batch

# Launches of a step that logs nothing: forwards, backwards and `after_step`, with encoders of a few
# layers (see worlds.py).
LAUNCHES = {
    "SemiSupCon, tags": 135,
    "SemiSupCon, overlap, 3 views": 145,
    "SemiSupCon, values": 150,
    "SimCLR": 170,
    "SimSiam": 200,
    "MoCo": 135,
    "BYOL": 235,
    "CPC": 200,
    "CPC on embeddings": 160,
    "COLA": 185,
    "COLA, cosine, symmetric": 170,
    "MFCL": 185,
    "MFCL, masked": 250,
    "augmentation prediction": 160,
    "MTSLVR, SimCLR": 260,
    "MTSLVR, SimSiam": 235,
    "supervised classes": 60,
    "supervised tags": 60,
    "supervised values": 60,
}
# What a step that logs may wait for; its logger reads the values anyway. A part of the name of the
# criterion, the line's file, and the reason.
WAITS_WHERE_LOGGED = {
    (
        "SemiSupCon",
        "distributed.py",
    ): "the losses of labelled and of unlabelled items alone need to know how many these are",
    ("SemiSupCon", "objectives/views.py"): "and select them",
}
# Operators for which torch.use_deterministic_algorithms raises on CUDA, by the beginnings of their
# names (of PyTorch 2.11).
REFUSED = (
    "avg_pool3d_backward",
    "_adaptive_avg_pool2d_backward",
    "_adaptive_avg_pool3d_backward",
    "max_pool3d_with_indices_backward",
    "adaptive_max_pool2d_backward",
    "fractional_max_pool",
    "max_unpool",
    "upsample_linear1d_backward",
    "upsample_bilinear2d",
    "upsample_bicubic2d",
    "upsample_trilinear3d",
    "reflection_pad1d_backward",
    "reflection_pad2d_backward",
    "grid_sampler",
    "reflection_pad3d_backward",
    "nll_loss2d",
    "_ctc_loss_backward",
    "_embedding_bag",
    "put",
    "histc",
    "bincount",
    *("median", "nanmedian", "kthvalue", "cumsum", "scatter_reduce"),
)


def step(criterion: Criterion, encoder: nn.Module, batch: dict) -> Recorder:
    """One step on the pretended device; it must make no mistake there."""
    encoder.zero_grad()
    criterion.zero_grad()
    with Recorder() as recorder:
        losses = criterion.losses(batch, Encode(encoder))
        losses["loss"].backward()
        criterion.after_step(encoder)
    assert not recorder.mismatches
    assert not [name for name in recorder.operators if name.startswith(REFUSED)]
    return recorder


@pytest.mark.parametrize("name", ZOO)
def test_criteria(name):
    encoder, criterion, batch = example(name, dtype=torch.float32)
    expected = {k: v.detach() for k, v in criterion.losses(batch, Encode(encoder)).items()}
    encoder, criterion, batch = example(name, dtype=torch.float32)
    to_pretended(encoder), to_pretended(criterion)
    batch = to_pretended(batch)
    with Recorder():
        seen = criterion.losses(batch, Encode(encoder))
        for key, value in expected.items():
            torch.testing.assert_close(seen[key].held, value, rtol=1e-5, atol=1e-6)
    logged = step(criterion, encoder, batch)
    allowed = {file for part, file in WAITS_WHERE_LOGGED if part in name}
    assert {line.split(":")[0] for _, line in logged.syncs} <= allowed, logged.syncs
    criterion.log_values(False)
    quiet = step(criterion, encoder, batch)
    assert not quiet.syncs
    assert not quiet.copies
    assert quiet.launches <= min(logged.launches, LAUNCHES[name]), quiet.lines.most_common(10)


@pytest.mark.parametrize("name", [*SMALL, "SampleCNN"])
def test_encoders(name):
    encoder = (SMALL | {"SampleCNN": SampleCNN})[name]()
    samples = encoder.min_samples * 2 + 7
    audio, length = to_pretended(
        (torch.randn(2, 1, samples), torch.tensor([samples, samples // 2]))
    )
    to_pretended(encoder)
    with Recorder() as first:
        encoder(audio, length=length)
    with Recorder() as recorder:
        encoder(audio, length=length).square().mean().backward()
    # Statistics of a data set are looked at once, to refuse those that were never taken.
    assert {line.split(":")[0] for _, line in first.syncs} <= {"frontends/normalization.py"}
    assert not recorder.syncs
    assert not first.mismatches
    assert not recorder.mismatches
    assert not [operator for operator in recorder.operators if operator.startswith(REFUSED)]
    layers = sum(not list(module.children()) for module in encoder.modules())
    assert recorder.launches <= 12 * layers + 40


@pytest.mark.parametrize("name", ZOO)
def test_what_is_not_logged_changes_nothing_else(name):
    encoder, criterion, batch = example(name, dtype=torch.float32)
    loss = criterion.losses(batch, Encode(encoder))["loss"]
    encoder, criterion, batch = example(name, dtype=torch.float32)
    criterion.log_values(False)
    losses = criterion.losses(batch, Encode(encoder))
    assert torch.equal(losses["loss"], loss)
    criterion.log_values(True)
    assert all(part.logs for part in criterion.modules() if isinstance(part, Criterion))


def test_batch_norm_in_a_supervised_head_sees_labelled_clips_alone():
    batch = make_batch(6, 1, targets=labels("multilabel", 6))
    outputs = []
    for rows in (slice(None), ~batch["targets"].isnan().any(dim=1)):
        torch.manual_seed(0)
        encoder, criterion = TinyEncoder(), Supervised(AugmentationPredictor([4]))
        criterion.connect(encoder)
        criterion.prepare(FACTS["multilabel"])
        outputs.append(
            criterion.losses({k: v[rows] for k, v in batch.items()}, Encode(encoder))["loss"]
        )
        outputs.append(criterion.head.net[1].running_mean)
    torch.testing.assert_close(outputs[:2], outputs[2:])


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 13, 62, 63])
def test_halving_is_adaptive_average_pooling(length):
    half = (length + 1) // 2
    x = torch.randn(2, 3, length, dtype=torch.float64)
    torch.testing.assert_close(halved(x, avg_pool1d), adaptive_avg_pool1d(x, half))
    x = torch.randn(2, 3, length, 7, dtype=torch.float64)
    torch.testing.assert_close(halved(x, avg_pool2d), adaptive_avg_pool2d(x, (half, 4)))

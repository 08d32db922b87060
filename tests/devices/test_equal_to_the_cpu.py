"""Losses, objectives, augmentations, encoders and front ends give on an accelerator what they give
on the CPU."""

import copy

import pytest
import torch
from torch import Tensor

from semisupcon.augmentations import build_chain
from semisupcon.augmentations.severity import PARAMETRIC
from semisupcon.augmentations.spectrogram import BandShift, SpecAugment
from semisupcon.encoders import EfficientNetB0, SampleCNN
from semisupcon.losses import contrastive_loss
from semisupcon.losses.pairs import shared_labels
from semisupcon.objectives.base import Encode
from semisupcon.random import integers, make_keys, normal, uniform
from tests.augmentations.every_transform import EVERY, SAMPLE_RATE
from tests.encoders.test_encoders import SMALL
from tests.objectives.worlds import ZOO, example

ENCODERS = SMALL | {"SampleCNN": SampleCNN, "EfficientNetB0": EfficientNetB0}
THREE_CHANNELS = ("SplitResNet2d", "AdapterResNet2d")
CHAINS = {
    "semisupcon": lambda: build_chain(list(PARAMETRIC), 2, 22050),
    "severity 5": lambda: build_chain(list(PARAMETRIC), 5, 22050),
    "per view": lambda: build_chain(list(PARAMETRIC), 2, 22050, shared_choices=False),
    "clmr": lambda: build_chain(["clmr"], 2, 22050),
    "mtslvr": lambda: build_chain(["mtslvr"], 2, 16000),
    "tier 8": lambda: build_chain(["tier_8"], 2, 22050),
}


def keys_of(clips: int, views: int = 2) -> Tensor:
    return make_keys(
        0, torch.zeros(clips, dtype=torch.int64), torch.arange(clips) * 7919 + 11, views
    ).flatten()


def sound(rows: int, samples: int, channels: int = 1) -> Tensor:
    """Decaying tones with noise: what pitch shift and time stretch can follow."""
    t = torch.arange(samples) / 22050
    generator = torch.Generator().manual_seed(rows)
    tones = torch.sin(2 * torch.pi * (110 + 37 * torch.arange(rows))[:, None] * t) * torch.exp(
        -3 * (t % 0.25)
    )
    noise = torch.randn(rows, channels, samples, generator=generator)
    return 0.3 * tones[:, None] + 0.02 * noise


def distance(ours: Tensor, theirs: Tensor) -> float:
    """Of ``ours`` on the device from ``theirs``, relative."""
    return float(
        (ours.cpu().double() - theirs.double()).norm() / theirs.double().norm().clamp(min=1e-12)
    )


def check_alike(ours: Tensor, theirs: Tensor, walks: bool = False) -> None:
    """Rows are equal but for rounding; WSOLA (``walks``) may choose another piece where two are as
    good, which sounds alike."""
    ours = ours.cpu()
    gap = (ours - theirs).flatten(1).norm(dim=1) / theirs.flatten(1).norm(dim=1).clamp(min=1e-12)
    apart = (gap > 1e-3).nonzero()[:, 0]
    assert len(apart) <= (len(ours) // 3 if walks else 0), (len(apart), gap.max())
    for row in apart:
        here, there = (
            torch.stft(x[row], 1024, window=torch.hann_window(1024), return_complex=True).abs()
            for x in (theirs, ours)
        )
        assert distance(there, here) < 0.3, row


def test_draws(device):
    keys = keys_of(100)
    for draw in (lambda k: uniform(k, "a", 3), lambda k: integers(k, "b", -5, 9)):
        assert torch.equal(draw(keys.to(device)).cpu(), draw(keys))
    torch.testing.assert_close(
        normal(keys.to(device), "c", 2).cpu(), normal(keys, "c", 2), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("channels", [1, 2])
def test_transforms(name, channels, device):
    audio, keys = sound(24, SAMPLE_RATE, channels), keys_of(12)
    transform = EVERY[name](0.7)
    expected, applied, parameters = transform(audio, keys)
    on_device, touched, values = transform.to(device)(audio.to(device), keys.to(device))
    assert on_device.device.type == device.type
    assert torch.equal(touched.cpu(), applied)
    torch.testing.assert_close(values.cpu(), parameters, equal_nan=True, rtol=1e-4, atol=1e-4)
    check_alike(on_device, expected, walks="pitch" in name)


@pytest.mark.parametrize("name", CHAINS)
def test_chains(name, device):
    audio, keys = sound(64, 22050), keys_of(32)
    chain = CHAINS[name]()
    expected, applied, parameters = chain(audio, keys)
    on_device, touched, values = chain.to(device)(audio.to(device), keys.to(device))
    assert torch.equal(touched.cpu(), applied)
    torch.testing.assert_close(values.cpu(), parameters, equal_nan=True, rtol=1e-4, atol=1e-4)
    check_alike(on_device, expected, walks=True)


@pytest.mark.parametrize("make", [SpecAugment, BandShift])
def test_masks(make, device):
    features, keys, mask = torch.randn(8, 1, 64, 98), keys_of(4), make()
    assert distance(mask(features.to(device), keys.to(device)), mask(features, keys)) < 1e-6


@pytest.mark.parametrize("name", ZOO)
def test_criteria(name, device):
    encoder, criterion, batch = example(name, dtype=torch.float32)
    if "noise" in criterion.__dict__:
        criterion.noise = 0.0
    there, there_too = copy.deepcopy(encoder).to(device), copy.deepcopy(criterion).to(device)
    expected = criterion.losses(batch, Encode(encoder))
    seen = there_too.losses({key: value.to(device) for key, value in batch.items()}, Encode(there))
    for key, value in expected.items():
        torch.testing.assert_close(
            seen[key].cpu(),
            value,
            rtol=1e-4,
            atol=1e-5,
            equal_nan=True,
            msg=lambda m, k=key: f"{k}: {m}",
        )
    expected["loss"].backward()
    seen["loss"].backward()
    criterion.after_step(encoder)
    there_too.after_step(there)
    pairs = [
        *zip(encoder.parameters(), there.parameters(), strict=True),
        *zip(criterion.parameters(), there_too.parameters(), strict=True),
    ]
    for here, far in pairs:
        torch.testing.assert_close(far.detach().cpu(), here.detach(), rtol=1e-4, atol=1e-5)
        if here.grad is not None:
            torch.testing.assert_close(far.grad.cpu(), here.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders(name, device):
    torch.manual_seed(0)
    encoder = ENCODERS[name]().eval()
    there = copy.deepcopy(encoder).to(device)
    audio = sound(2, encoder.segment_samples)
    with torch.no_grad():
        expected, seen = encoder(audio), there(audio.to(device))
    outputs = expected.items() if isinstance(expected, dict) else [("", expected)]
    for key, value in outputs:
        # Three-channel mel holds the phase of quiet bins, which is rounding.
        assert distance(seen[key] if key else seen, value) < (
            0.05 if name in THREE_CHANNELS else 2e-3
        ), key
    there.train()
    with torch.autocast(device.type, dtype=torch.bfloat16):
        trained = there(audio.to(device))
    loss = sum(
        v.float().square().mean()
        for v in (trained.values() if isinstance(trained, dict) else [trained])
    )
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in there.parameters())


@pytest.mark.parametrize("n", [2, 33, 1500])
def test_contrastive_loss(n, device):
    z = torch.randn(n, 16, requires_grad=True)
    tags = (torch.rand(n, 20) < 0.2).float()
    far = z.detach().to(device).requires_grad_()
    own = torch.arange(n)

    def loss(z, tags, own):
        def near(rows):
            return shared_labels(tags[rows], tags)

        return contrastive_loss(z, z, near, own, 0.1).loss

    here, there = loss(z, tags, own), loss(far, tags.to(device), own.to(device))
    torch.testing.assert_close(there.cpu(), here, rtol=1e-5, atol=1e-6, equal_nan=True)
    here.backward()
    there.backward()
    torch.testing.assert_close(far.grad.cpu(), z.grad, rtol=1e-3, atol=1e-6)

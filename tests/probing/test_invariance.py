"""Distances that are zero for an encoder that hears nothing of an operator, and as expected where
the answer is known."""

import numpy as np
import pytest
import torch
from torch import nn

from semisupcon.encoders import SplitResNet1d, freeze
from semisupcon.encoders.base import Encoder
from semisupcon.frontends import ThreeChannelMel
from semisupcon.probing.methods.head import new_head
from semisupcon.probing.studies.invariance import invariance, weight_share, whitener


class Loudness(Encoder):
    """Two tasks: one hears the sign and loudness of a clip, the other its energy only."""

    def __init__(self):
        super().__init__(
            nn.Identity(),
            width=1,
            dims={"signed": 2, "energy": 1},
            sample_rate=8000,
            segment_samples=1000,
        )

    def forward(self, x, length=None, task=None):
        signed = torch.cat(
            [x[:, 0, :500].mean(1, keepdim=True), x[:, 0, 500:].mean(1, keepdim=True)], dim=1
        )
        energy = (x**2).mean(dim=2)
        return {"signed": signed, "energy": energy, None: torch.cat([signed, energy], dim=1)}[task]


def test_a_head_that_cannot_hear_the_operator_does_not_move():
    segments = (
        torch.randn(200, 1000, generator=torch.Generator().manual_seed(0))
        + torch.linspace(-1, 1, 200)[:, None]
    )
    found = {
        (m.head, m.operator): m
        for m in invariance(
            freeze(Loudness()), segments, [f"c{i}" for i in range(200)], ["polarity_inversion"]
        )
    }
    assert set(found) == {(h, "polarity_inversion") for h in ("signed", "energy", "all")}
    assert found["energy", "polarity_inversion"].mahalanobis == pytest.approx(0, abs=1e-5)
    assert found["signed", "polarity_inversion"].cosine == pytest.approx(2, abs=1e-5)
    assert found["signed", "polarity_inversion"].mahalanobis > 1


class Bands(Encoder):
    """The mean over time of every log-mel band, whose floor is at -156 dB."""

    def __init__(self):
        mel = ThreeChannelMel(8000, n_fft=256, hop_length=128, n_mels=16)
        super().__init__(
            nn.Identity(), width=16, dims=16, sample_rate=8000, segment_samples=4000, frontend=mel
        )

    def forward(self, x, length=None, task=None):
        return self.frontend(x)[:, 0].mean(dim=2)


def filtered(noise_db):
    """How far filters move `Bands` of dull noise at many levels."""
    white = torch.randn(100, 4000, generator=torch.Generator().manual_seed(0))
    loud = torch.logspace(-2, -0.5, 100)[:, None]
    segments = loud * (white + white.roll(1, 1)) / 2
    [found] = invariance(
        freeze(Bands()), segments, [f"c{i}" for i in range(100)], ["filtering"], noise_db=noise_db
    )
    return found


def test_noise_under_both_sides_keeps_bands_that_a_filter_emptied_within_what_recordings_hold():
    bare, level = filtered(None), filtered(-50.0)
    assert level.mahalanobis < bare.mahalanobis / 2
    assert level.unrelated_mahalanobis == pytest.approx(bare.unrelated_mahalanobis, rel=0.1)
    assert filtered(-50.0) == level


def test_noise_is_the_same_on_both_sides():
    """The inverse of silence is silence: what is left on either side is the noise, and it must be
    the same."""
    silence = invariance(
        freeze(Loudness()),
        torch.zeros(50, 1000),
        [f"c{i}" for i in range(50)],
        ["polarity_inversion"],
        noise_db=-20.0,
    )
    assert all(m.mahalanobis == 0 and m.unrelated_mahalanobis > 1 for m in silence)


def test_unrelated_clips_are_as_far_as_theory_says():
    """For Gaussian embeddings the squared Mahalanobis distance of two clips is 2 D on average."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((5000, 8)) @ draw.standard_normal((8, 8)) + 3
    distance = np.linalg.norm((x[::2] - x[1::2]) @ whitener(x), axis=1)
    assert (distance**2).mean() == pytest.approx(16, rel=0.05)


def test_distances_stay_finite_with_fewer_clips_than_dimensions():
    x = np.random.default_rng(0).standard_normal((10, 64))
    assert np.isfinite((x[:5] - x[5:]) @ whitener(x)).all()


def test_weight_share_is_the_mean_absolute_weight_of_each_task():
    encoder = SplitResNet1d(width=4, out_dim=8)
    dims = encoder.task_dims
    head = new_head("linear", encoder.embedding_dim, 3, "multiclass")
    with torch.no_grad():
        head.net.net[0].weight[:] = torch.cat(
            [torch.full((3, dims["contrastive"]), -1.0), torch.full((3, dims["predictive"]), 3.0)],
            dim=1,
        )
    assert weight_share(head, encoder) == pytest.approx({"contrastive": 0.25, "predictive": 0.75})

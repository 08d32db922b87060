"""The table of SemiSupCon's augmentations, sampled."""

import math

import pytest
import torch

from semisupcon.augmentations.chains import build_chain

SIX = ["gain", "polarity_inversion", "add_colored_noise", "filtering", "pitch_shift", "delay"]
FILTERS = ("band_pass", "band_stop", "high_pass", "low_pass")
DRAWS = 10_000

# Table 4.2 of the fact sheet at 22,050 Hz: severity -> chain p; gain, its p; polarity p; SNR, its
# p; filter p; high-pass; low-pass; semitones, their p; delays in ms, their p.
TABLE = {
    1: (
        0.4,
        (-7.5, 2.5),
        0.2,
        0.3,
        (6, 60),
        0.3,
        0.15,
        (100, 1200),
        (300, 7500),
        2,
        0.3,
        (200, 500),
        0.3,
    ),
    2: (
        0.8,
        (-15, 5),
        0.4,
        0.6,
        (3, 30),
        0.6,
        0.3,
        (200, 2400),
        (150, 7500),
        4,
        0.6,
        (100, 500),
        0.6,
    ),
    3: (
        1.0,
        (-22.5, 7.5),
        0.6,
        0.8,
        (2, 20),
        0.8,
        0.45,
        (300, 3600),
        (100, 5000),
        6,
        0.75,
        (200 / 3, 500),
        0.6,
    ),
    4: (
        1.0,
        (-30, 10),
        0.7,
        0.8,
        (1.5, 15),
        0.8,
        0.6,
        (400, 4800),
        (75, 3750),
        8,
        0.75,
        (50, 500),
        0.6,
    ),
    5: (
        1.0,
        (-37.5, 12.5),
        0.7,
        0.8,
        (1.2, 12),
        0.8,
        0.6,
        (500, 6000),
        (75, 3000),
        10,
        0.75,
        (40, 500),
        0.6,
    ),
}
RATIOS = {1: 8, 2: 14, 3: 24, 4: 32, 5: 38}


def sample(severity, keys):
    """What a chain draws, operator by operator, on clips of one sample: shares and parameters do
    not depend on the sound."""
    chain = build_chain(SIX, severity, 22050)
    key = keys(DRAWS)
    _, applied, parameters = chain_on_nothing(chain, key)
    return chain, applied, parameters


def chain_on_nothing(chain, key):
    # 10,000 rows of DSP would be slow and change nothing: the operators are kept from running, not
    # from drawing.
    for transform in chain.modules():
        if hasattr(transform, "apply") and hasattr(transform, "draw"):
            transform.apply = lambda audio, parameters, key: audio
    return chain(torch.zeros(len(key), 1, 1), key)


def close_share(measured, p):
    assert (
        abs(measured.float().mean().item() - p)
        < 5 * math.sqrt(max(p * (1 - p), 1e-9) / len(measured)) + 1e-9
    )


def fills(values, low, high):
    values = values[~values.isnan()]
    margin = 0.02 * (high - low)
    assert low - 1e-3 <= values.min() < low + margin
    assert high - margin < values.max() <= high + 1e-3


@pytest.mark.parametrize("severity", TABLE)
def test_probabilities_and_ranges(severity, keys):
    (
        chain_p,
        gain,
        gain_p,
        polarity_p,
        snr,
        noise_p,
        filter_p,
        high_pass,
        low_pass,
        semitones,
        pitch_p,
        delay,
        delay_p,
    ) = TABLE[severity]
    chain, applied, parameters = sample(severity, keys)
    assert chain.operators == tuple(SIX)
    assert chain.p == pytest.approx(chain_p)
    for column, p in enumerate((gain_p, polarity_p, noise_p, filter_p, pitch_p, delay_p)):
        close_share(applied[:, column], chain_p * p)
    m = severity / 2
    named = {
        f"{operator}.{name}": parameters[:, k, i]
        for k, (operator, names) in enumerate(
            zip(chain.operators, chain.parameter_names, strict=True)
        )
        for i, name in enumerate(names)
    }
    fills(named["gain.gain_db"], *gain)
    fills(named["add_colored_noise.snr_db"], *snr)
    fills(named["add_colored_noise.decay"], -2 * m, 2 * m)
    fills_loosely(named["filtering.high_pass.cutoff_hz"], *high_pass)
    fills_loosely(named["filtering.low_pass.cutoff_hz"], *low_pass)
    for kind in ("band_pass", "band_stop"):
        fills_loosely(named[f"filtering.{kind}.center_hz"], 200, 4000)
        fills_loosely(named[f"filtering.{kind}.bandwidth"], 0.5 * m, 1.99)
    shifts = named["pitch_shift.semitones"]
    assert shifts.abs().nan_to_num(0).max() <= semitones
    assert len(shifts[~shifts.isnan()].unique()) == RATIOS[severity]
    fills(named["delay.delay_ms"], delay[0] - 0.05, delay[1] + 0.05)


def fills_loosely(values, low, high):
    """As `fills`, for the few hundred draws that one of four filters gets, on a scale that is
    denser below."""
    values = values[~values.isnan()]
    assert low - 1e-3 <= values.min() < low + 0.05 * (high - low)
    assert high - 0.08 * (high - low) < values.max() <= high + 1e-3


@pytest.mark.parametrize("severity", TABLE)
def test_one_filter_of_four_is_taken(severity, keys):
    _, applied, parameters = sample(severity, keys)
    choice = parameters[:, 3, 0]
    for index in range(4):
        close_share(choice[applied[:, 3]] == index, 0.25)
    used = torch.stack(
        [~parameters[:, 3, 1 + i].isnan() for i in (0, 2, 4, 5)], 1
    )  # the first parameter of each filter
    assert torch.equal(used.sum(1) > 0, applied[:, 3])
    assert used.sum(1).max() == 1


@pytest.mark.parametrize("severity", TABLE)
def test_delay_takes_two_values_of_each_parameter(severity, keys):
    _, _, parameters = sample(severity, keys)
    m = severity / 2
    values = [
        sorted(set(column[~column.isnan()].tolist())) for column in parameters[:, 5, 1:4].unbind(1)
    ]
    attenuation = min(1, 0.5 * m)
    assert values[0] == pytest.approx([0.5 * m - 0.2, 0.5 * m + 0.2], abs=1e-6)
    assert values[1] == [max(0, int(2 * m) - 1), int(2 * m) + 1]
    assert values[2] == pytest.approx([attenuation - 0.2, attenuation + 0.2], abs=1e-6)


def test_views_share_the_coin_and_the_filter_and_nothing_else(keys):
    chain = build_chain(SIX, 2, 22050)
    key = keys(DRAWS, 2)
    _, applied, parameters = chain_on_nothing(chain, key)
    pairs = applied.view(-1, 2, 6)
    # The chain of 4.4: in a fifth of the clips both views are clean by the coin, and in few exactly
    # one.
    clean = (~pairs).all(2)
    alone = (
        (1 - 0.4) * (1 - 0.6) * (1 - 0.6) * (1 - 0.3) * (1 - 0.6) * (1 - 0.6)
    )  # a view whose own coins all said no
    close_share(clean.all(1), 0.2 + 0.8 * alone**2)
    close_share(clean.sum(1) == 1, 0.8 * 2 * alone * (1 - alone))
    choices = parameters.view(-1, 2, 6, parameters.shape[-1])[:, :, 3, 0]
    both = choices.isnan().sum(1) == 0
    assert both.sum() > 300
    assert torch.equal(choices[both, 0], choices[both, 1])
    gains = parameters.view(-1, 2, 6, parameters.shape[-1])[:, :, 0, 0]
    assert (gains[:, 0] == gains[:, 1]).sum() == 0

    independent = build_chain(SIX, 2, 22050, shared_choices=False)
    _, applied, parameters = chain_on_nothing(independent, key)
    clean = (~applied.view(-1, 2, 6)).all(2)
    one = 0.2 + 0.8 * alone
    close_share(clean.sum(1) == 1, 2 * one * (1 - one))
    choices = parameters.view(-1, 2, 6, parameters.shape[-1])[:, :, 3, 0]
    both = choices.isnan().sum(1) == 0
    assert (choices[both, 0] != choices[both, 1]).float().mean() > 0.6


def test_a_rate_without_small_published_ratios_shifts_continuously(keys):
    chain = build_chain(["pitch_shift"], 1, 8000, p=1.0)
    _, _, parameters = chain_on_nothing(chain, keys(2000))
    values = parameters[:, 0, 0]
    fills(values, -2, 2)

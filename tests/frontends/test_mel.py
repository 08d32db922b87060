"""Spectrograms equal their formulas, written out in float64 numpy from the fact sheets."""

import numpy as np
import pytest
import torch

from semisupcon.encoders import ResNet2d
from semisupcon.frontends import (
    LogMel,
    ThreeChannelMel,
    audax_log_mel,
    cola_log_mel,
    mel_base,
    mfcl_log_mel,
    mtslvr_log_mel,
)

RATE = 16_000


def mel_filters(n_fft, bands, low, high):
    """HTK-spaced triangles, linear in Hz: [bins, bands]."""
    edges = 700 * (
        10
        ** (
            np.linspace(2595 * np.log10(1 + low / 700), 2595 * np.log10(1 + high / 700), bands + 2)
            / 2595
        )
        - 1
    )
    bins = np.arange(n_fft // 2 + 1) * RATE / n_fft
    rising = (bins[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - bins[:, None]) / np.diff(edges)[1:]
    return np.clip(np.minimum(rising, falling), 0, None)


def spectrum(x, n_fft, window, hop, padding):
    """Frames cut from the signal reflected at both ends, zero-padded to n_fft: [frames, bins]."""
    x = np.pad(x, padding, mode="reflect")
    starts = range(0, len(x) - len(window) + 1, hop)
    return np.stack([np.fft.rfft(x[s : s + len(window)] * window, n_fft) for s in starts])


def hann(n, periodic=True):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / (n if periodic else n - 1))


def by_definition(name, x):
    if name == "cola":
        mel = np.abs(spectrum(x, 1024, hann(400), 160, 0)) @ mel_filters(1024, 64, 60, 7800)
        return np.log(np.clip(mel, 1e-5, 1e8)).T
    if name == "audax":
        mel = np.abs(spectrum(x, 1024, hann(400, periodic=False), 160, 512)) ** 2 @ mel_filters(
            1024, 64, 60, 7800
        )
        return np.log(np.clip(mel, 1e-8, 1e8)).T
    if name == "mfcl":
        mel = np.abs(spectrum(x, 400, hann(400), 160, 200)) ** 2 @ mel_filters(400, 80, 0, 8000)
        return np.log(np.clip(mel + 1e-6, 1e-6, 1e4)).T
    mel = np.abs(spectrum(x, 1024, hann(1024), 512, 512)) ** 2 @ mel_filters(1024, 128, 0, 8000)
    return 10 * np.log10(mel + 2.220446049250313e-16).T


FRONTENDS = {
    "cola": cola_log_mel,
    "audax": audax_log_mel,
    "mfcl": mfcl_log_mel,
    "mtslvr": mtslvr_log_mel,
}


def sound(samples=RATE, rows=2):
    return (
        torch.randn(
            rows, 1, samples, generator=torch.Generator().manual_seed(0), dtype=torch.float64
        ).float()
        * 0.1
    )


@pytest.mark.parametrize("name", FRONTENDS)
def test_equals_its_definition(name):
    x = sound()
    ours = FRONTENDS[name]()(x)
    for row in range(2):
        theirs = by_definition(name, x[row, 0].double().numpy())
        # Bands without a bin (there are some among 128) hold the offset in both.
        np.testing.assert_allclose(ours[row, 0].double().numpy(), theirs, atol=2e-3, rtol=1e-5)


def test_three_channels_equal_their_definition():
    x = sound()
    ours = ThreeChannelMel()(x)[0].double().numpy()
    np.testing.assert_allclose(
        ours[0], by_definition("mtslvr", x[0, 0].double().numpy()), atol=2e-3, rtol=1e-5
    )
    raw, filters = (
        spectrum(x[0, 0].double().numpy(), 1024, np.ones(1024), 512, 512),
        mel_filters(1024, 128, 0, 8000),
    )
    projected = (raw.real @ filters + 1j * (raw.imag @ filters)).T
    heard = np.abs(projected) > 0.05
    np.testing.assert_allclose(
        ours[1][heard], 10 * np.log10(np.abs(projected) + 2.220446049250313e-16)[heard], atol=2e-3
    )
    turn = np.angle(np.exp(1j * (ours[2] - np.angle(projected))))
    assert np.abs(turn[heard]).max() < 2e-3


def test_silence():
    image = ThreeChannelMel()(torch.zeros(1, 1, 80_000))
    assert image.shape == (1, 3, 128, 157)
    assert (
        image.amin(dim=(0, 2, 3)).tolist()
        == image.amax(dim=(0, 2, 3)).tolist()
        == pytest.approx([-156.54, -156.54, 0.0], abs=0.01)
    )
    assert torch.equal(mtslvr_log_mel()(sound()), ThreeChannelMel()(sound())[:, :1])


@pytest.mark.parametrize(
    ("make", "samples", "frames"),
    [
        (cola_log_mel, 16_000, 98),
        (cola_log_mel, 15_680, 96),
        (cola_log_mel, 15_360, 94),
        (audax_log_mel, 15_360, 100),
        (audax_log_mel, 16_000, 104),
        (audax_log_mel, 160_000, 1_004),
        (mfcl_log_mel, 16_000, 101),
        (mfcl_log_mel, 7_200, 46),
        (mtslvr_log_mel, 80_000, 157),
        (ThreeChannelMel, 16_000, 32),
    ],
)
def test_frames_are_as_many_as_published(make, samples, frames):
    frontend = make()
    assert frontend(sound(samples, rows=1)).shape[-1] == frames == frontend.frame_count(samples)
    assert frontend.frame_count(torch.tensor([samples])).tolist() == [frames]
    assert frontend.frame_count(frontend.samples_for(frames)) == frames
    assert frontend.frame_count(frontend.samples_for(frames) - 1) == frames - 1


def test_standardized_spectrograms_have_zero_mean_and_unit_spread():
    mel = audax_log_mel(standardize=True)(sound())
    assert mel.mean(dim=(1, 2, 3)).tolist() == pytest.approx([0, 0], abs=1e-5)
    assert mel.std(dim=(1, 2, 3), correction=0).tolist() == pytest.approx([1, 1], abs=1e-5)


def test_magnitude_in_decibel_is_power_in_decibel():
    options = {"scale": "decibel", "floor": 0.0, "ceiling": None, "offset": 1e-12, "n_mels": 8}
    tone = torch.sin(2 * torch.pi * 1000 / RATE * torch.arange(RATE))[None, None]
    loud = [LogMel(power=power, **options)(tone).amax().item() for power in (1.0, 2.0)]
    louder = [LogMel(power=power, **options)(10 * tone).amax().item() for power in (1.0, 2.0)]
    assert [b - a for a, b in zip(loud, louder, strict=True)] == pytest.approx([20, 20], abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("make", [LogMel, ThreeChannelMel])
def test_a_cast_model_rounds_spectrograms_but_no_constant(make, dtype):
    encoder = ResNet2d(width=4, frontend=make()).eval()
    x = sound().to(dtype)
    exact, embedding = encoder.features(x.float()), encoder(x.float())
    # A second move, such as to a device, must not forget the first.
    encoder.to(dtype).to("cpu")
    assert encoder.frontend.filters.dtype == encoder.frontend.window.dtype == torch.float32
    # Waveforms of 16-bit files come as float32 whatever the model was cast to.
    for waveform in (x, x.float()):
        assert torch.equal(encoder.features(waveform), exact.to(dtype))
        assert encoder(waveform).dtype == dtype
        torch.testing.assert_close(encoder(waveform).float(), embedding, rtol=0.1, atol=0.05)
    assert torch.equal(encoder.float().features(x.float()), exact)
    assert encoder.double().features(x.double()).dtype == torch.float64


def test_autocast_leaves_spectrograms_in_full_precision():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mel = cola_log_mel()(sound())
    assert torch.equal(mel, cola_log_mel()(sound()))


@pytest.mark.parametrize(
    "bands",
    [
        (513, 0.0, 8000.0, 64, 16000),
        (201, 60.0, 7800.0, 80, 16000),
        (1025, 20.0, 11025.0, 128, 22051),
    ],
)
def test_filters_are_those_of_torchaudio(bands):
    from torchaudio.functional import melscale_fbanks

    assert torch.equal(mel_base.mel_filters(*bands), melscale_fbanks(*bands))


def test_bands_without_a_bin_are_told():
    with pytest.warns(UserWarning, match="of 128 mel bands hold no bin of the Fourier transform"):
        LogMel(n_fft=256, win_length=256, n_mels=128)

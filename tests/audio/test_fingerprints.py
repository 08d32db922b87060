"""Acoustic fingerprints: a copy in another format, bit depth, rate, gain or with a leading offset
is found; other recordings are not."""

import io

import numpy as np
import pytest
import soundfile as sf
import soxr

from semisupcon.audio.fingerprints import MAX_DIFFERENCE, difference, fingerprint, match

RATE = 22050


def song(seed, seconds=5.0, rate=RATE):
    """Notes of decaying harmonics, in a rhythm."""
    rng = np.random.default_rng(seed)
    audio, t = np.zeros(int(seconds * rate)), np.arange(int(0.6 * rate)) / rate
    for start in np.sort(rng.uniform(0, seconds - 0.6, int(6 * seconds))):
        pitch, decay = 110 * 2 ** (rng.integers(0, 36) / 12), rng.uniform(4, 12)
        note = sum(
            rng.uniform(0.2, 1) / k * np.sin(2 * np.pi * k * pitch * t) for k in range(1, 8)
        ) * np.exp(-decay * t)
        audio[int(start * rate) : int(start * rate) + len(t)] += rng.uniform(0.3, 1) * note
    return (0.5 * audio / np.abs(audio).max()).astype(np.float32)


def encoded(audio, rate=RATE, **kwargs):
    file = io.BytesIO()
    sf.write(file, audio, rate, **kwargs)
    file.seek(0)
    return sf.read(file, dtype="float32")


COPIES = {
    "mp3": lambda x: encoded(x, format="MP3"),
    "ogg": lambda x: encoded(x, format="OGG", subtype="VORBIS"),
    "flac": lambda x: encoded(x, format="FLAC"),
    "24 bits": lambda x: encoded(x, format="WAV", subtype="PCM_24"),
    "-20 dB": lambda x: encoded(x / 10, format="WAV"),
    "8 kHz": lambda x: (soxr.resample(x, RATE, 8000), 8000),
    "48 kHz": lambda x: (soxr.resample(x, RATE, 48000), 48000),
    "half a second later": lambda x: (np.concatenate([np.zeros(RATE // 2, np.float32), x]), RATE),
    "137 samples earlier": lambda x: (x[137:], RATE),
    "all of it": lambda x: encoded(
        soxr.resample(np.concatenate([np.zeros(1234, np.float32), x / 3]), RATE, 16000),
        16000,
        format="MP3",
    ),
}


@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_found_and_nothing_else(copy):
    songs = [song(seed) for seed in range(8)]
    found = match(
        [fingerprint(x, RATE) for x in songs], [fingerprint(*COPIES[copy](x)) for x in songs]
    )
    assert [(a, b) for a, b, _ in found] == [(i, i) for i in range(8)]
    assert max(apart for *_, apart in found) <= MAX_DIFFERENCE


def test_short_clips_and_noise_are_told_apart():
    rng = np.random.default_rng(0)
    clips = [rng.normal(0, 0.1, 4000).astype(np.float32) for _ in range(20)] + [
        song(s, 0.8, 8000) for s in range(20)
    ]
    prints = [fingerprint(x, 8000) for x in clips]
    assert match(prints) == []
    again = [fingerprint(0.3 * x, 8000) for x in clips]
    assert [(a, b) for a, b, _ in match(prints, again)] == [(i, i) for i in range(40)]


def test_an_excerpt_is_found_inside_a_longer_recording():
    long = song(1, 40)
    prints = [fingerprint(long, RATE), fingerprint(song(2, 40), RATE)]
    assert [
        (a, b)
        for a, b, _ in match([fingerprint(long[int(17.3 * RATE) : int(29.1 * RATE)], RATE)], prints)
    ] == [(0, 0)]


def test_each_pair_is_given_once_and_a_fingerprint_is_small():
    x = song(3)
    prints = [fingerprint(x, RATE), fingerprint(song(4), RATE), fingerprint(-x, RATE)]
    assert [(a, b) for a, b, _ in match(prints)] == [(0, 2)]
    assert prints[0].dtype == np.int8
    assert prints[0].shape[1] == 32
    assert prints[0].nbytes < 1100 * 5
    assert difference(prints[0], prints[2]) == 0


@pytest.mark.parametrize("audio", [np.zeros(0), np.zeros(8000), np.full(8000, np.nan), np.ones(3)])
def test_what_cannot_be_compared_has_no_frames_and_matches_nothing(audio):
    empty = fingerprint(audio, 8000)
    assert empty.shape == (0, 32)
    assert match([empty, empty, fingerprint(song(0), RATE)]) == []
    assert difference(empty, empty) == np.inf


def test_quiet_passages_keep_their_levels():
    """Levels are measured down to 50 dB below the loudest one, not only near full scale."""
    wave = song(3)
    quiet = wave * np.where(np.arange(len(wave)) < len(wave) // 2, 1, 0.01).astype(np.float32)
    loud, soft = fingerprint(wave, RATE).astype(int), fingerprint(quiet, RATE).astype(int)
    later = slice(len(loud) * 2 // 3, None)
    heard = (loud[later] > -20) & (soft[later] > -100)
    assert heard.any()
    lower = (loud - soft)[later][heard]
    assert np.abs(lower - np.median(lower)).max() <= 2
    assert abs(np.median(lower) - 80) < 8  # 40 dB in half decibels, and a loudest level of its own

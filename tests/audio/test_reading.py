"""A span that is read by seeking equals the same samples of the decoded file, whatever the
format."""

import numpy as np
import pytest
import soundfile as sf

from semisupcon.audio.reading import MP3_PREROLL, probe_file, read, read_spans, resample
from semisupcon.errors import AudioError

RATES_OF_MPEG = {"MPEG-1": (32000, 44100, 48000), "MPEG-2": (16000, 22050, 24000)}


def crops_equal_the_decoded_file(path, tolerance, seed, crops=20):
    whole, _ = sf.read(path, dtype="float32", always_2d=True)
    whole = whole.mean(axis=1)
    rng = np.random.default_rng(seed)
    near_the_end = len(whole) - np.array([1, 2, 300, 3000, 9000])
    for start in [0, 1, *near_the_end, *rng.integers(0, len(whole) - 1, crops)]:
        frames = int(rng.integers(1, min(6000, len(whole) - start) + 1))
        np.testing.assert_allclose(
            read(path, int(start), frames), whole[start : start + frames], atol=tolerance, rtol=0
        )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {"subtype": "PCM_U8"}),
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.wav", {"subtype": "PCM_24"}),
        ("a.wav", {"subtype": "PCM_32"}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.wav", {"subtype": "DOUBLE", "sample_rate": 96000}),
        ("a.wav", {"channels": 6}),
        ("a.flac", {"subtype": "PCM_16", "channels": 2}),
        ("a.flac", {"subtype": "PCM_24", "sample_rate": 96000}),
        ("a.ogg", {"sample_rate": 22050}),
        ("a.ogg", {"sample_rate": 16000}),
        ("a.ogg", {"sample_rate": 44100, "channels": 2}),
        ("a.ogg", {"subtype": "OPUS", "sample_rate": 16000}),
        ("a.ogg", {"subtype": "OPUS", "sample_rate": 48000, "compression_level": 0.9}),
    ],
)
def test_crops_equal_the_decoded_file(write, name, options):
    crops_equal_the_decoded_file(write(name, samples=60_000, **options), tolerance=1e-6, seed=1)


# libsndfile maps compression 0..1 to the bit rates that the MPEG version of the sample rate has:
# together 8 to 320 kbps.
@pytest.mark.parametrize(
    "sample_rate", [rate for rates in RATES_OF_MPEG.values() for rate in rates]
)
@pytest.mark.parametrize(
    ("mode", "level"),
    [
        ("CONSTANT", 0.0),
        ("CONSTANT", 0.5),
        ("CONSTANT", 0.9999),
        ("VARIABLE", 0.0),
        ("VARIABLE", 0.9),
    ],
)
def test_crops_of_mp3_equal_the_decoded_file(write, sample_rate, mode, level):
    path = write(
        "a.mp3",
        samples=MP3_PREROLL * 4,
        sample_rate=sample_rate,
        bitrate_mode=mode,
        compression_level=level,
    )
    crops_equal_the_decoded_file(path, tolerance=1e-6, seed=sample_rate)


@pytest.mark.parametrize(("sample_rate", "level", "kbps"), [(16000, 0.9999, 8), (48000, 0.0, 320)])
def test_the_mp3_files_tested_span_8_to_320_kbps(write, sample_rate, level, kbps):
    path = write(
        "a.mp3",
        samples=sample_rate * 4,
        sample_rate=sample_rate,
        bitrate_mode="CONSTANT",
        compression_level=level,
    )
    assert path.stat().st_size * 8 / 4 / 1000 == pytest.approx(kbps, rel=0.06)


def test_channels_are_averaged(write):
    path = write("a.wav", channels=3, subtype="FLOAT")
    x, _ = sf.read(path)
    np.testing.assert_allclose(read(path), x.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_full_scale_is_one_in_every_format(tmp_path, subtype):
    path = tmp_path / "a.wav"
    sf.write(path, np.array([0.0, 0.5, -1.0] * 100), 8000, subtype=subtype)
    np.testing.assert_allclose(read(path)[:3], [0.0, 0.5, -1.0], atol=2**-7)
    assert read(path).dtype == np.float32


def test_resampling_keeps_a_tone(tmp_path):
    path = tmp_path / "a.wav"
    sf.write(path, 0.5 * np.sin(2 * np.pi * 440 * np.arange(96000) / 96000), 96000, subtype="FLOAT")
    heard = read(path, sample_rate=22050)
    assert len(heard) == 22050
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(22050) / 22050)
    np.testing.assert_allclose(heard[500:-500], expected[500:-500], atol=1e-3)


def test_resampling_to_an_exact_length():
    x = np.ones(1000, np.float32)
    for samples in (2755, 2756, 2760, 100):
        assert resample(x, 8000, 22050, samples).shape == (samples,)
    assert resample(np.zeros(0, np.float32), 8000, 22050).shape == (0,)


def test_several_spans_of_one_file(write):
    path = write("a.flac", samples=9000)
    whole = read(path)
    (late, early, rest), rate = read_spans(path, [(5000, 100), (10, 20), (8000, None)])
    assert rate == 8000
    np.testing.assert_array_equal(
        np.concatenate([late, early, rest]),
        np.concatenate([whole[5000:5100], whole[10:30], whole[8000:]]),
    )


def test_the_header_alone(write):
    assert probe_file(write("a.ogg", samples=9000, sample_rate=16000, channels=2)) == (
        9000,
        16000,
        2,
    )


def test_what_cannot_be_read_is_named(tmp_path, write):
    text = tmp_path / "text.wav"
    text.write_text("no audio" * 99)
    for path in (text, tmp_path / "absent.wav", tmp_path):
        with pytest.raises(AudioError) as error:
            read(path)
        assert str(path) in str(error.value)
        assert str(error.value).count("\n") <= 2
    with pytest.raises(AudioError, match="ends early: 10 samples instead of 20"):
        read(write("short.wav", samples=100), 90, 20)
    with pytest.raises(AudioError, match=r"short\.wav"):
        read(tmp_path / "short.wav", 900, 20)


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_file_of_several_blocks_is_whole(write, monkeypatch, blocks):
    monkeypatch.setattr("semisupcon.audio.decoding._DECODED", 1000)
    path = write("a.wav", samples=1000 * blocks - 10, subtype="FLOAT")
    expected, _ = sf.read(path, dtype="float32")
    assert np.array_equal(read(path), expected)

"""Values that audio can have, and waveforms that a program passes."""

import numpy as np
import pytest
import torch

from semisupcon.audio.values import LIMIT, OPPOSITE, SILENT, power, problem_of, silence, waveform
from semisupcon.encoders import SampleCNNSmall
from semisupcon.errors import AudioError


def test_what_is_no_audio_and_what_is():
    assert problem_of(np.zeros((0, 1))) == problem_of(np.array([LIMIT, -LIMIT])) == ""
    assert problem_of(np.array([0.1, np.nan, 1e30])) == "NaN samples"
    assert problem_of(np.array([0.1, -np.inf])) == "infinite samples"
    assert "magnitude 1e+29" in problem_of(np.array([0.1, -1e29], np.float32))
    assert "integers?" in problem_of(np.array([0.1, 32767.0]))


def test_silence_before_and_after_averaging():
    x = np.random.default_rng(0).standard_normal((1000, 1)).astype(np.float32)
    assert silence(*power(x * 0)) == SILENT
    assert silence(*power(np.hstack([x, -x + 1e-3 * x[::-1]]))) == OPPOSITE
    for heard in (
        x,
        np.hstack([x, x]),
        np.hstack([x, x[::-1]]),
        np.hstack([x, -0.9 * x]),
        np.hstack([x, 0 * x]),
        x * 1e-5,
    ):
        assert silence(*power(heard)) == ""


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint8])
def test_integers_are_scaled(dtype):
    info = np.iinfo(dtype)
    zero = 128 if dtype == np.uint8 else 0
    found = waveform(np.array([info.min, zero, info.max], dtype), "x")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [-1, 0, 1], atol=1 / 127)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros(5, np.int64), "type int64"),
        (np.zeros(5, bool), "type bool"),
        (np.zeros(5, complex), "type complex"),
        (np.full(5, 9000.0), "integers?"),
        (np.full(5, np.nan, np.float16), "NaN samples"),
        (np.zeros((2, 5)), "shape"),
        (np.zeros(0, np.int16), "no samples"),
    ],
)
def test_what_cannot_be_scaled_is_refused_by_name(given, words):
    with pytest.raises(AudioError, match=r"waveform 3 .*") as error:
        waveform(given, "waveform 3")
    assert words in str(error.value)


def test_an_encoder_embeds_integers_as_their_floats():
    torch.manual_seed(0)
    encoder = SampleCNNSmall(sample_rate=8000, widths=[8, 8, 16], stem=9)
    floats = np.random.default_rng(0).uniform(-0.9, 0.9, 9000)
    integers = (floats * 32768).astype(np.int16)
    expected = encoder.embed([integers / np.float32(32768)])
    for given in (integers, torch.from_numpy(integers)):
        np.testing.assert_allclose(encoder.embed([given]), expected, atol=1e-6)
    with pytest.raises(AudioError, match="waveform 1"):
        encoder.embed([floats, integers.astype(float)])

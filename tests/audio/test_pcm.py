"""16-bit samples and floats have one scale."""

import numpy as np
import torch

from semisupcon.audio.pcm import FULL_SCALE, to_float, to_int16


def test_every_int16_comes_back():
    samples = np.arange(-FULL_SCALE, FULL_SCALE).astype(np.int16)
    audio = to_float(torch.from_numpy(samples))
    assert audio.dtype == torch.float32
    assert (audio[0], audio[-1]) == (-1, 1 - 2**-15)
    again, clipped = to_int16(audio.numpy())
    np.testing.assert_array_equal(again, samples)
    assert clipped == 0


def test_floats_stay_as_they_are():
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        audio = torch.randn(5).to(dtype)
        assert to_float(audio) is audio


def test_samples_beyond_full_scale_are_clipped_and_counted():
    samples, clipped = to_int16(np.array([-1.5, -1, 0, 0.5, 1, 2], np.float32))
    assert samples.tolist() == [-32768, -32768, 0, 16384, 32767, 32767]
    assert clipped == 3

"""Windows: where they lie, and that blocks of any size give the same ones."""

import numpy as np
import pytest

from semisupcon.encoders import SampleCNNSmall
from semisupcon.errors import ConfigError
from semisupcon.labelling.windows import Windows, segments_a_window, windows_for, windows_of_blocks
from semisupcon.probing.baselines import extractor

RATE = 8000
ENCODER = SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=RATE, segment_samples=2000)


@pytest.mark.parametrize(
    ("total", "hop", "starts"),
    [
        (1, 0.5, [0]),
        (7999, 0.5, [0]),
        (8000, 0.5, [0]),
        (8001, 0.5, [0, 1]),
        (12000, 0.5, [0, 4000]),
        (13000, 0.5, [0, 4000, 5000]),
        (20000, 2.0, [0, 12000]),
        (12000, 2.0, [0]),
        (32000, 1.0, [0, 8000, 16000, 24000]),
        (8006, 1 / 3 / 1000, [0, 3, 5, 6]),
    ],
)
def test_windows_cover_the_file_and_do_not_drift(total, hop, starts):
    windows = Windows(8000, hop, RATE)
    assert windows.starts(total).tolist() == starts
    begins, ends = windows.times(total)
    assert np.allclose(begins, np.array(starts) / RATE, atol=1e-6)
    assert np.allclose(ends, np.minimum(np.array(starts) + 8000, total) / RATE, atol=1e-6)


@pytest.mark.parametrize("block", [1700, 9000, 100_000])
@pytest.mark.parametrize(("window", "hop"), [(0.25, 0.25), (0.6, 0.1), (0.1, 0.3), (9.0, 1.0)])
@pytest.mark.parametrize("total", [900, 2000, 30_001])
def test_blocks_give_the_windows_of_the_whole(total, window, hop, block):
    audio = np.random.default_rng(0).standard_normal(total).astype(np.float32)
    windows = windows_for(ENCODER, window, hop)
    blocks = [audio[i : i + block] for i in range(0, total, block)]
    found = np.concatenate(list(windows_of_blocks(blocks, ENCODER, windows)))
    expected = []
    for start in windows.starts(total):
        cut = audio[start : start + windows.length]
        count = -(-len(cut) // 2000)
        expected += np.resize(cut, count * 2000).reshape(count, 2000).tolist()
    assert np.array_equal(found, np.array(expected, np.float32))
    if total >= windows.length:
        assert len(found) == len(windows.starts(total)) * segments_a_window(ENCODER, windows)


def test_an_encoder_of_whole_clips_gets_windows_uncut():
    mfcc = extractor("mfcc")
    windows = windows_for(mfcc, 0.5, None)
    audio = np.ones(20_000, np.float32)
    rows = np.concatenate(list(windows_of_blocks([audio], mfcc, windows)))
    assert rows.shape == (3, 8000)
    assert segments_a_window(mfcc, windows) == 1


def test_windows_that_are_too_short_or_too_long_are_refused():
    with pytest.raises(ConfigError, match="--window must be at least"):
        windows_for(ENCODER, 1e-4, None)
    with pytest.raises(ConfigError, match="--window must be at most 3600 s"):
        windows_for(ENCODER, 1e300, None)
    with pytest.raises(ConfigError, match="--hop must be at least one sample"):
        windows_for(ENCODER, 1.0, 1e-5)
    assert windows_for(ENCODER, None, None) == Windows(2000, 0.25, RATE)

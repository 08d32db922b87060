"""A tiny checkpoint, and clips with the embeddings that ``semisupcon embed`` writes for them."""

import numpy as np
import pytest
import soundfile
import torch

from semisupcon.__main__ import main
from semisupcon.checkpoints import export_encoder
from semisupcon.encoders import SampleCNNSmall

RATE, SEGMENT, DIM = 16000, 4000, 16


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """An exported encoder of segments of 0.25 s at 16 kHz, with embeddings of 16 values."""
    torch.manual_seed(0)
    encoder = SampleCNNSmall(widths=[8, DIM], stem=20, sample_rate=RATE, segment_samples=SEGMENT)
    return export_encoder(encoder, tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="session")
def clips():
    """Four mono clips ``[4, T]`` of 1.6 s, as 16-bit files hold them."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (4, round(1.6 * RATE)))
    return (np.round(noise * 32767) / 32768).astype(np.float32)


@pytest.fixture(scope="session")
def embedded(checkpoint, clips, tmp_path_factory):
    """What the command writes for the clips: ``[4, D]`` by file, ``[8, D]`` by second."""
    folder = tmp_path_factory.mktemp("clips")
    for number, clip in enumerate(clips):
        soundfile.write(folder / f"{number}.wav", clip, RATE, subtype="PCM_16")
    found = {}
    for per in ("file", "second"):
        out = folder / f"{per}.npy"
        words = ["embed", str(folder), "--checkpoint", str(checkpoint), "--out", str(out)]
        assert main([*words, "--per", per]) == 0
        found[per] = np.load(out)
    return found

"""The clips that recipes are tried on."""

import numpy as np
import pytest
import soundfile


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """Twelve clips of 3 s of noisy tones, in folders by class."""
    root = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for i in range(12):
        folder = root / f"class{i % 3}"
        folder.mkdir(exist_ok=True)
        tone = np.sin(2 * np.pi * 220 * (1 + i % 3) * np.arange(66150) / 22050)
        soundfile.write(folder / f"{i}.wav", 0.3 * tone + 0.1 * rng.standard_normal(66150), 22050)
    return root

"""Small audio files that the tests of the data path write themselves."""

from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import soundfile as sf


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """A cache of the tests' own."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("SEMISUPCON_CACHE", str(folder))
    return folder


def noise(samples: int, seed: int = 0, channels: int = 1) -> np.ndarray:
    """Band-limited noise ``[samples]`` or ``[samples, channels]``, float64 within [-0.5, 0.5]."""
    x = np.random.default_rng(seed).standard_normal((samples, channels))
    x = np.cumsum(x, axis=0) * 0.1
    x = np.sin(x) * 0.5
    return x[:, 0] if channels == 1 else x


@pytest.fixture
def write(tmp_path):
    """Write a file of noise under the test's folder; gives its path."""

    def write_file(
        name: str,
        samples: int = 4000,
        sample_rate: int = 8000,
        seed: int | None = None,
        channels: int = 1,
        **options,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(
            path,
            noise(samples, crc32(name.encode()) if seed is None else seed, channels),
            sample_rate,
            **options,
        )
        return path

    return write_file

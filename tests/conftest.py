"""What all tests share."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

SHARED = Path(__file__).resolve().parents[2] / "shared"


# Files with few tests that take long. With several processes they come first: the last file would
# keep one process busy while the others have nothing left.
LONG = (
    "test_script",
    "test_benchmarks",
    "test_package",
    "test_packages",
    "test_gpu",
    "test_dying",
    "test_recipes",
    "test_resume_with_other_settings",
    "test_synthetic",
    "test_learning",
    "test_reliability",
    "test_odd_files",
    "test_moved_sets",
    "test_mutants",
    "test_fuzz",
)


def pytest_collection_modifyitems(items):
    """Bring the tests of `LONG` files to the front, in their order."""
    items.sort(key=lambda item: item.path.stem not in LONG)


def pytest_addoption(parser):
    parser.addoption(
        "--device",
        default="cpu",
        help="the accelerator that tests/devices compares with the CPU, e.g. cuda",
    )


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """Files of tests need not survive a power cut: hundreds of runs would wait for the disk. Tests
    of durability put their own ``os.fsync`` in this place."""
    real, os.fsync = os.fsync, lambda descriptor: None
    yield
    os.fsync = real


@pytest.fixture(scope="session")
def shared():
    """A file or folder of the material beside the checkout; the test is skipped, saying so, where
    it is not there."""

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            pytest.skip(f"needs ../shared/{relative}, which is not beside this checkout")
        return path

    return find


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A folder laid out like FSDD: 3 digits, 2 speakers, 10 repetitions of noisy tones of 0.25 to
    0.6 s at 8 kHz."""
    root = tmp_path_factory.mktemp("digits")
    (root / "recordings").mkdir()
    rng = np.random.default_rng(0)
    for digit, speaker, repetition in itertools.product(range(3), ("ann", "bob"), range(10)):
        t = np.arange(int(8000 * rng.uniform(0.25, 0.6))) / 8000
        tone = np.sin(2 * np.pi * (300 + 200 * digit + 50 * (speaker == "bob")) * t)
        audio = 0.3 * tone + 0.05 * rng.standard_normal(len(t))
        soundfile.write(root / "recordings" / f"{digit}_{speaker}_{repetition}.wav", audio, 8000)
    return root


@pytest.fixture(scope="session")
def ranks():
    """Processes that play the ranks of distributed training: ``ranks(world, function, *args)``."""
    from ranks import Ranks

    pool = Ranks()
    yield pool
    pool.close()

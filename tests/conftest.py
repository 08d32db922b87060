"""What all tests share."""

import itertools
import os
import random
import sys
from collections import Counter
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


# Tests with many similar parameters: `make test` tries every n-th one, `make test-slow` the others.
THINNED = {
    "test_a_changed_schedule_goes_on_as_if_it_had_been_there_from_the_start": 3,
    "test_a_checkpoint_names_no_function": 4,
    "test_a_full_disk_whatever_library_writes": 3,
    "test_a_header_with_other_values_is_refused": 2,
    "test_a_mistake_is_told_in_a_sentence": 3,
    "test_a_stop_within_accumulation_is_bit_for_bit": 2,
    "test_chains_launch_few_kernels_and_wait_for_none": 2,
    "test_copies_are_found_and_nothing_else": 3,
    "test_damaged_embeddings_are_made_again": 3,
    "test_every_recipe_and_its_overlay_give_what_jsonargparse_gives": 3,
    "test_mistakes_are_answered_in_three_lines": 3,
    "test_no_argument_of_a_public_class_reaches_beyond_it": 2,
    "test_nothing_is_kept_that_never_learns": 3,
    "test_other_changed_values_win": 2,
    "test_parameters_are_as_many_as_published": 3,
    "test_protocol_runs": 3,
    "test_ranks_equal_one_process": 2,
    "test_results_of_somebody_else_name_no_file_outside_their_folder": 4,
    "test_the_index_of_a_stream_is_read_only_where_it_is_one_of_ours": 3,
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Bring the tests of `LONG` files to the front, in their order, and mark `THINNED` ones slow."""
    items.sort(key=lambda item: item.path.stem not in LONG)
    seen = Counter()
    for item in items:
        name = item.name.partition("[")[0]
        if seen[item.path, name] % THINNED.get(name, 1):
            item.add_marker(pytest.mark.slow)
        seen[item.path, name] += 1


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


@pytest.fixture(autouse=True)
def same_draws():
    """What a test draws from the global generators does not depend on the tests before it."""
    seed = 20261128  # none that a test gives to an encoder
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


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

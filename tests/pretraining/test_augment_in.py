"""`data.augment_in`: the workers of the loader augment as the device does; and how much they read
ahead."""

import numpy as np
import pytest
import torch
from lightning_fabric.utilities import move_data_to_device

from semisupcon.augmentations import build_chain
from semisupcon.data.loader import AHEAD, AHEAD_BYTES, batches, batches_ahead
from semisupcon.data.planned import Augmented, Planned, planned
from tests.pretraining.runs import pretrain, rows


def test_workers_augment_as_the_device_does(digits, tmp_path):
    shared = ("--data.num_workers", "1", "--trainer.max_steps", "3")
    for where in ("device", "workers"):
        assert (
            pretrain(digits, tmp_path, *shared, "--run_name", where, "--data.augment_in", where)
            == 0
        )
    losses = [
        [row["loss"] for row in rows(tmp_path / name) if row.get("loss")]
        for name in ("device", "workers")
    ]
    assert len(losses[0]) == 3
    assert losses[0] == losses[1]


@pytest.mark.parametrize("more", [("--data.num_workers", "0"), ()])
def test_without_workers_nobody_augments(digits, tmp_path, capsys, more):
    assert pretrain(digits, tmp_path, "--data.augment_in", "workers", *more) == 2
    assert "data.augment_in workers needs data.num_workers of at least 1" in capsys.readouterr().err


class Fixed:
    """What a loader asks of clips, without audio."""

    def __init__(self, row_bytes):
        self.row_bytes, self.pin_memory = row_bytes, False


def test_what_is_read_ahead_fits_the_budget():
    sequence = [np.zeros((96, 2), np.int64)]
    for row_bytes in (0, 2 * 2 * 59535, 2 * 4 * 59535, 2 * 4 * 59535 * 100):
        for workers in (1, 8, 64):
            ahead = batches_ahead(Fixed(row_bytes), sequence, workers)
            assert 1 <= ahead <= AHEAD
            assert ahead == 1 or ahead * workers * 96 * row_bytes <= AHEAD_BYTES
    assert batches_ahead(Fixed(2 * 2 * 59535), sequence, 1) == AHEAD
    assert batches_ahead(Fixed(2 * 4 * 59535), sequence, 8) == 1


class Given(Fixed):
    """One batch, whatever is asked for."""

    leaves_padding = True

    class audio:
        dtype = torch.int16

    def __getitems__(self, items):
        generator = torch.Generator().manual_seed(0)
        audio = torch.randint(-9000, 9000, (2, 2, 1, 4000), generator=generator).to(torch.int16)
        key = torch.arange(4).view(2, 2) << 8
        return {"audio": audio, "key": key, "length": torch.tensor([[4000, 3000], [4000, 4000]])}


def test_batches_with_plans_and_augmented_batches():
    clips, chain = Given(100), build_chain(["gain", "add_colored_noise"], 2, 8000)
    assert planned(clips, None, True) is clips
    assert planned(clips, chain, False) is clips
    there = planned(clips, chain, True)
    assert isinstance(there, Planned)
    batch = there.__getitems__([])
    heard, applied, _ = chain.run(batch["audio"].flatten(0, 1) / 32768, batch["plan"])
    augmented = planned(clips, chain, True, "workers")
    assert isinstance(augmented, Augmented)
    assert augmented.row_bytes == 200
    done = augmented.__getitems__([])
    assert done["audio"].dtype == torch.float32
    assert torch.equal(done["applied"].flatten(0, 1), applied)
    assert not done["audio"][0, 1, :, 3000:].any()
    torch.testing.assert_close(done["audio"].flatten(0, 1)[0], heard[0])


def test_plans_cross_from_a_worker_and_move_with_the_batch():
    clips, chain = Given(100), build_chain(["gain", "delay", "pitch_shift"], 2, 8000)
    loader = batches(planned(clips, chain, True), [np.zeros((2, 2), np.int64)], 1, False)
    (batch,) = loader
    moved = move_data_to_device(batch, torch.device("cpu"))
    audio = batch["audio"].flatten(0, 1) / 32768
    here, _, parameters = chain.run(audio, chain.plan(batch["key"].flatten(), 4000))
    there, _, values = chain.run(audio, moved["plan"])
    assert torch.equal(here, there)
    torch.testing.assert_close(values, parameters, equal_nan=True)

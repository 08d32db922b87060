"""From folders to batches through the trainer: the same batches for any number of workers, and
after a resume at any step."""

import logging

import numpy as np
import pytest
import pytorch_lightning as L
import torch
from torch import nn

from semisupcon.batch import labelled
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.datasets import Annotations
from semisupcon.errors import ConfigError


def tones(root):
    """A data set of three classes, for `AudioDataModule` by import path: name, split and class are
    in the file name."""
    import pandas as pd

    names = sorted(p.name for p in root.glob("*.wav"))
    table = pd.DataFrame({"path": names, "split": [name.split("_")[0] for name in names]})
    targets = np.eye(3, dtype=np.float32)[[int(name.split("_")[1]) for name in names]]
    return Annotations(table, targets, ("a", "b", "c"), "multiclass")


TONES = f"{__name__}.tones"


@pytest.fixture
def folder(write, tmp_path):
    for i in range(26):
        write(f"train_{i % 3}_{i}.wav", samples=2000 + 50 * i)
    for i in range(5):
        write(f"val_{i % 3}_{i}.wav", samples=2000)
    write("test_0_0.wav", samples=2000)
    return tmp_path


def module_of(folder, **options):
    options = {
        "batch_size": 6,
        "num_workers": 0,
        "target_length": 0.1,
        "target_sample_rate": 8000,
        "supervised_data_p": 0.5,
    } | options
    return AudioDataModule(sl_task=TONES, data_dir=str(folder), **options)


class Model(L.LightningModule):
    """Remembers the batches that it trains on, and learns something from them."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(800, 4)
        self.seen, self.validated = [], []

    def training_step(self, batch, batch_idx):
        self.seen.append({k: v.clone() for k, v in batch.items()})
        return self.layer(batch["audio"]).square().mean()

    def validation_step(self, batch, batch_idx):
        self.validated.append(batch)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def fit(folder, tmp_path, steps, checkpoint=None, every=None, **options):
    torch.manual_seed(0)
    model = Model()
    keep = (
        L.callbacks.ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=every, save_top_k=-1)
        if every
        else None
    )
    trainer = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=every is not None,
        callbacks=[keep] if keep else [],
        use_distributed_sampler=False,
    )
    trainer.fit(
        model, datamodule=module_of(folder, **options), ckpt_path=checkpoint, weights_only=True
    )
    return model


def same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, equal_nan=True)


def test_a_batch_keeps_the_contract(folder):
    module = module_of(folder, views=3)
    module.setup()
    batch = next(iter(module.train_dataloader()))
    assert batch["audio"].shape == (6, 3, 1, 800)
    assert batch["audio"].dtype == torch.float32
    assert (batch["length"] == 800).all()
    assert batch["targets"].shape == (6, 3)
    assert labelled(batch["targets"]).tolist() == [True] * 3 + [False] * 3
    assert batch["clip"].dtype == torch.int64
    assert (batch["clip"] >= 0).all()
    assert (batch["key"] & 255 == torch.arange(3)).all()
    facts = module.facts
    assert (facts.classes, facts.kind) == (("a", "b", "c"), "multiclass")
    assert facts.train_targets.shape == (13, 3)


def test_worker_count_changes_nothing(folder, tmp_path):
    runs = [fit(folder, tmp_path, steps=8, num_workers=n) for n in (0, 1, 3)]
    for run in runs[1:]:
        for first, second in zip(runs[0].seen, run.seen, strict=True):
            same(first, second)


# An epoch has 5 batches: stops inside the first epoch, at its end, and inside the second.
@pytest.mark.parametrize("stop", [3, 5, 8])
def test_a_resumed_run_continues_with_the_next_batch(folder, tmp_path, stop):
    options = {"aug_list": ["gain", "polarity_inversion"]}
    whole = fit(folder, tmp_path, steps=12, every=stop, num_workers=0, **options)
    path = next(p for p in tmp_path.glob(f"step={stop}.ckpt"))
    resumed = fit(folder, tmp_path, steps=12, checkpoint=path, num_workers=2, **options)
    assert len(resumed.seen) == 12 - stop
    for first, second in zip(whole.seen[stop:], resumed.seen, strict=True):
        same(first, second)
    torch.testing.assert_close(whole.layer.weight, resumed.layer.weight, rtol=0, atol=0)


def test_epochs_follow_each_other_without_a_gap(folder, tmp_path):
    seen = fit(folder, tmp_path, steps=27, intrabatch_supervised_p=0.0).seen
    clips = torch.cat([batch["clip"] for batch in seen])[: 26 * 6]
    assert all(len(set(one_pass.tolist())) == 26 for one_pass in clips.split(26))


def test_a_stop_inside_a_step_repeats_that_step(folder, tmp_path):
    class Fails(Model):
        def training_step(self, batch, batch_idx):
            if len(self.seen) == 5:
                self.trainer.save_checkpoint(tmp_path / "mid.ckpt")
            return super().training_step(batch, batch_idx)

    model = Fails()
    options = {
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
    }
    L.Trainer(max_steps=8, **options).fit(model, datamodule=module_of(folder))
    resumed = fit(folder, tmp_path, steps=8, checkpoint=tmp_path / "mid.ckpt")
    same(model.seen[5], resumed.seen[0])


def test_other_data_under_a_resumed_run_are_noticed(folder, tmp_path, caplog):
    fit(folder, tmp_path, steps=4, every=4)
    with caplog.at_level(logging.WARNING):
        fit(folder, tmp_path, steps=6, checkpoint=tmp_path / "step=4.ckpt", num_workers=1)
        assert "resumed" not in caplog.text
        fit(folder, tmp_path, steps=6, checkpoint=tmp_path / "step=4.ckpt", batch_size=4)
    assert "differ from the resumed run" in caplog.text


def test_validation_sees_each_clip_once_in_two_crops_without_augmentation(folder, tmp_path):
    model = fit(folder, tmp_path, steps=9, aug_list=["gain"], views=1)
    batches = [b for b in model.validated if "applied" not in b]
    assert len(batches) == len(model.validated) > 0
    rounds = {}
    for batch in batches:
        for clip, audio in zip(batch["clip"].tolist(), batch["audio"], strict=True):
            assert audio.shape[0] == 2
            assert not torch.equal(audio[0], audio[1])
            rounds.setdefault(clip, []).append(audio)
    assert len(rounds) == 5
    assert all(torch.equal(audio, seen[0]) for seen in rounds.values() for audio in seen)


def test_training_is_augmented_by_key(folder, tmp_path):
    plain, augmented = (
        fit(folder, tmp_path, steps=2),
        fit(folder, tmp_path, steps=2, aug_list=["polarity_inversion"]),
    )
    for first, second in zip(plain.seen, augmented.seen, strict=True):
        applied = second["applied"][..., 0]
        assert applied.any()
        sign = torch.where(applied, -1.0, 1.0)[..., None, None]
        torch.testing.assert_close(first["audio"] * sign, second["audio"])


def test_integers_are_scaled_on_the_device(folder):
    module = module_of(folder)
    module.setup()
    audio = torch.tensor([-32768, 0, 16384], dtype=torch.int16).view(1, 1, 1, 3)
    scaled = module.on_after_batch_transfer(
        {"audio": audio, "key": torch.zeros(1, 1, dtype=torch.int64)}, 0
    )["audio"]
    assert scaled.flatten().tolist() == [-1.0, 0.0, 0.5]


def test_without_labels_in_the_batch_all_clips_are_unlabelled(folder):
    module = module_of(folder, intrabatch_supervised_p=0.0)
    module.setup()
    batch = next(iter(module.train_dataloader()))
    assert not labelled(batch["targets"]).any()
    assert module.facts.train_targets.shape == (0, 3)
    assert len(module.drawn.rows("train", source="unlabelled")) == 26


def test_with_labels_only_no_clip_is_unlabelled(folder):
    for options in ({"intrabatch_supervised_p": 1.0}, {"fully_supervised": True}):
        module = module_of(folder, **options)
        module.setup()
        batch = next(iter(module.train_dataloader()))
        assert labelled(batch["targets"]).all()
    assert module.facts.train_targets.shape == (26, 3)


class Rank:
    """As much of a trainer as says which process this is."""

    overfit_batches, fit_loop = 1, None

    class strategy:
        root_device = torch.device("cpu")

    def __init__(self, rank):
        self.global_rank, self.world_size = rank, 2


def test_processes_share_batches_and_validation_without_overlap(folder):
    training, validation = [], []
    for rank in range(2):
        module = module_of(folder, batch_size=4)
        module.trainer = Rank(rank)
        module.prepare_data()
        module.setup()
        batch = next(iter(module.train_dataloader()))
        assert labelled(batch["targets"]).tolist() == [True, True, False, False]
        training.append(set(batch["clip"].tolist()))
        validation.append(
            [clip for batch in module.val_dataloader() for clip in batch["clip"].tolist()]
        )
    assert len(training[0] | training[1]) == 8
    assert len(validation[0]) == len(validation[1]) == 3
    assert len(set(validation[0] + validation[1])) == 5


class Encoder:
    sample_rate, min_samples, segment_samples = 16000, 400, 3200


def test_the_model_fills_what_is_left_open(folder):
    module = AudioDataModule(data_dir=str(folder), num_workers=0, batch_size=2)
    module.bind(Encoder(), views=4)
    module.setup()
    assert next(iter(module.train_dataloader()))["audio"].shape == (2, 4, 1, 3200)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_sample_rate": 22050}, "22050 Hz, but Encoder takes 16000 Hz"),
        ({"target_length": 0.01}, "0.01 s, but Encoder takes 0.025 s or more"),
        ({"views": 1}, "compares 2 views of a clip, data.views is 1"),
        ({"views": 4}, "compares at most 3 views of a clip, data.views is 4"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(folder, options, message):
    with pytest.raises(ConfigError, match=message):
        AudioDataModule(data_dir=str(folder), **options).bind(Encoder(), views=2, most_views=3)


def test_validation_of_whole_clips_compares_two_parts_of_them(folder):
    module = module_of(folder, view_policy="whole", target_length=0.1)
    module.setup()
    training, validation = (
        next(iter(module.train_dataloader())),
        next(iter(module.val_dataloader())),
    )
    assert torch.equal(training["audio"][:, 0], training["audio"][:, 1])
    assert not (validation["audio"][:, 0] == validation["audio"][:, 1]).flatten(1).all(1).any()
    assert not module.facts.padding


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"supervised_data_p": 1.5}, "supervised_data_p must lie between 0 and 1, got 1.5"),
        (
            {"intrabatch_supervised_p": 1.5},
            "intrabatch_supervised_p must lie between 0 and 1, got 1.5",
        ),
        ({"val_split": -0.1}, "val_split must be"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_settings_that_cannot_be_are_told_before_files_are_read(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        module_of(tmp_path / "nowhere", **options).setup()


def test_a_sample_rate_must_come_from_somewhere(folder):
    with pytest.raises(ConfigError, match="target_sample_rate"):
        AudioDataModule(data_dir=str(folder)).setup()


def test_clips_of_unequal_length_are_padded_and_stay_silent_there(write, tmp_path):
    for i in range(8):
        write(f"{i}.wav", samples=900 + 300 * i)
    module = AudioDataModule(
        data_dir=str(tmp_path),
        num_workers=0,
        batch_size=4,
        view_policy="gapped",
        target_sample_rate=8000,
        aug_list=["add_colored_noise"],
        val_split=0,
    )
    module.setup()
    assert module.val_dataloader() == []

    class Training:
        training = True

    module.trainer = None
    batch = next(iter(module.train_dataloader()))
    assert len(batch["length"].unique()) > 1
    assert batch["length"].max() == batch["audio"].shape[-1]
    module.trainer = Training()
    batch = module.on_after_batch_transfer(batch, 0)
    padding = torch.arange(batch["audio"].shape[-1]) >= batch["length"][..., None]
    assert batch["applied"].any()
    assert (batch["audio"][:, :, 0][padding] == 0).all()

"""Packed audio is the same audio; packing goes on where it stopped; damage, change and misuse are
found out."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from semisupcon.__main__ import main
from semisupcon.audio.pcm import to_int16
from semisupcon.audio.reading import read
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.data.draws import divide
from semisupcon.data.packed import shards
from semisupcon.data.packed.checks import HEADER, INDEX
from semisupcon.data.packed.reading import Packed, PackedAudio
from semisupcon.data.packed.writing import pack
from semisupcon.data.sources import gather
from semisupcon.digests import read_json, with_digest
from semisupcon.errors import ConfigError, DatasetNotFoundError, UserError
from semisupcon.frontends.normalization import moments
from semisupcon.training.measures import training_waveforms

SOURCES = dict.fromkeys(("sl_task", "ssl_task", "data_dir", "sl_kwargs", "ssl_kwargs"))


@pytest.fixture
def folder(write, tmp_path):
    """12 clips of 0.1 to 0.5 s at 8 kHz, in 16 bits, so that packing them at that rate changes
    nothing."""
    for i in range(12):
        write(f"audio/{i}.{'flac' if i % 3 else 'wav'}", samples=800 + 300 * i, subtype="PCM_16")
    return tmp_path / "audio"


@pytest.fixture
def pack_folder(folder, tmp_path):
    def make(name="packed", sample_rate=8000, shard_samples=9000, **options):
        sources = SOURCES | {"data_dir": str(folder)}
        return pack(
            gather(**sources),
            sources,
            sample_rate,
            tmp_path / name,
            shard_samples=shard_samples,
            **options,
        )

    return make


def module_of(folder, **options):
    options = {
        "batch_size": 4,
        "num_workers": 0,
        "target_length": 0.12,
        "target_sample_rate": 8000,
        "val_split": 0.25,
    } | options
    module = AudioDataModule(data_dir=str(folder), **options)
    module.setup()
    return module


def batches_of(module, count=5):
    loader = iter(module.train_dataloader())
    # Two epochs and more, as a trainer would go through them.
    return [
        module.on_after_batch_transfer(batch, 0)
        for batch, _ in zip(loader, range(count), strict=False)
    ]


def same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0, equal_nan=True)


VIEWS = [
    {},
    {"views": 3, "view_policy": "independent"},
    {"short_clips": "zero", "target_length": 0.3},
    {"target_length": 0.3},
    {"view_policy": "gapped", "target_length": None},
    {"view_policy": "whole", "target_length": None},
    {"view_policy": "whole"},
]


@pytest.mark.parametrize("options", VIEWS)
def test_training_from_it_gives_the_same_batches(folder, pack_folder, options):
    packed = pack_folder()
    for first, second in zip(
        batches_of(module_of(folder, **options)),
        batches_of(module_of(folder, packed=str(packed), **options)),
        strict=True,
    ):
        same(first, second)


class Device:
    """As much of a trainer as the data module asks for."""

    training, global_rank, world_size, overfit_batches = True, 0, 1, 0

    class strategy:
        root_device = torch.device("cpu")

    class fit_loop:
        class epoch_loop:
            class batch_progress:
                class total:
                    processed = 0


@pytest.mark.parametrize("options", VIEWS)
def test_on_the_device_it_gives_the_same_batches(folder, pack_folder, options):
    packed = str(pack_folder())
    from_disk = batches_of(module_of(folder, packed=packed, **options))
    module = AudioDataModule(
        **{
            "batch_size": 4,
            "num_workers": 0,
            "target_length": 0.12,
            "target_sample_rate": 8000,
            "val_split": 0.25,
            "packed": packed,
        }
        | options,
        device_resident=True,
    )
    module.trainer = Device()
    module.setup()
    assert module.resident.samples.dtype == torch.int16
    for first, second in zip(from_disk, batches_of(module), strict=True):
        same(first, second)
    Device.training = False
    try:
        validation = module_of(folder, packed=packed, **options)
        for first, second in zip(validation.val_dataloader(), module.val_dataloader(), strict=True):
            same(
                validation.on_after_batch_transfer(first, 0),
                module.on_after_batch_transfer(second, 0),
            )
    finally:
        Device.training = True


def test_statistics_are_taken_from_the_same_samples(pack_folder):
    packed, found = str(pack_folder()), []
    for resident in (False, True):
        settings = {
            "batch_size": 4,
            "num_workers": 0,
            "target_length": 0.3,
            "target_sample_rate": 8000,
            "short_clips": "zero",
        }
        module = AudioDataModule(**settings, packed=packed, device_resident=resident)
        module.trainer = Device()
        module.setup()
        assert (module.resident is not None) == resident
        found.append(moments(training_waveforms(module, batches=3)))
    assert found[0] == found[1]


def test_workers_read_it_too(folder, pack_folder):
    packed = str(pack_folder())
    for first, second in zip(
        batches_of(module_of(folder, packed=packed)),
        batches_of(module_of(folder, packed=packed, num_workers=2)),
        strict=True,
    ):
        same(first, second)


def test_the_draws_are_those_of_the_files(folder, pack_folder):
    packed = Packed(pack_folder())
    first = divide(gather(data_dir=folder), val_split=0.3, seed=5)
    second = divide(packed.clips, val_split=0.3, seed=5)
    columns = ["path", "name", "clip", "split", "source"]
    pd.testing.assert_frame_equal(first.table[columns], second.table[columns])


def test_it_is_resampled_rounded_and_clipped(tmp_path, write):
    import soundfile as sf

    write("audio/a.wav", samples=44100, sample_rate=44100)
    sf.write(
        tmp_path / "audio/loud.wav", np.array([0.0, 2.0, -2.0, 0.5] * 100), 22050, subtype="FLOAT"
    )
    sources = SOURCES | {"data_dir": str(tmp_path / "audio")}
    packed = Packed(pack(gather(**sources), sources, 22050, tmp_path / "packed"))
    audio = PackedAudio(packed.folder, packed.clips.table)
    (samples,) = audio.spans(0, [(0, 22050)])
    np.testing.assert_allclose(
        samples / 32768, read(tmp_path / "audio/a.wav", sample_rate=22050), atol=2**-16
    )
    (loud,) = audio.spans(1, [(0, 4)])
    assert loud.tolist() == [0, 32767, -32768, 16384]
    assert packed.header["clipped_samples"] == 200
    assert to_int16(np.array([0.99999], np.float32)) == (np.array([32767]), 1)


def test_an_interrupted_packing_goes_on(pack_folder, tmp_path, monkeypatch):
    whole = pack_folder("whole")
    assert len(Packed(whole).header["shards"]) == 5
    packed, count = [], []

    def breaks(store, path, *rest, original=shards._write_clip):
        count.append(path)
        if len(count) == 8:
            raise KeyboardInterrupt
        return original(store, path, *rest)

    monkeypatch.setattr(shards, "_write_clip", breaks)
    with pytest.raises(KeyboardInterrupt):
        pack_folder("resumed", threads=1)
    with pytest.raises(DatasetNotFoundError, match="not complete"):
        Packed(tmp_path / "resumed")
    assert not list((tmp_path / "resumed").glob(".*"))
    for left in (
        ".audio-00003.pcm.99.partial",
        "audio-00003.partial",
        "plan.json.99.tmp",
    ):  # by a kill, of this version and of 0.1
        (tmp_path / "resumed" / left).touch()
    monkeypatch.undo()
    monkeypatch.setattr(
        shards,
        "_write_clip",
        lambda *row, original=shards._write_clip: packed.append(row[1]) or original(*row),
    )
    monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path / "cache"))
    resumed = pack_folder("resumed")
    assert 0 < len(packed) < 12
    files = sorted(p.name for p in whole.iterdir())
    assert sorted(p.name for p in resumed.iterdir()) == files
    assert all((whole / name).read_bytes() == (resumed / name).read_bytes() for name in files)
    packed.clear()
    pack_folder("resumed")  # complete: nothing to do
    assert packed == []


def test_a_full_disk_is_told_and_gone_on_from(pack_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        os,
        "posix_fallocate",
        lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    )
    with pytest.raises(UserError, match="no room for the next shard"):
        pack_folder()
    monkeypatch.undo()
    monkeypatch.setenv("SEMISUPCON_CACHE", str(tmp_path / "cache"))
    Packed(pack_folder())


def test_another_set_in_the_folder_is_not_touched(pack_folder, tmp_path):
    pack_folder()
    with pytest.raises(UserError, match="holds another packed set"):
        pack_folder(sample_rate=4000)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("all of it")
    with pytest.raises(UserError, match="not empty"):
        pack_folder("mine")
    (tmp_path / "mine/thesis.txt").rename(
        tmp_path / "mine/.plan.json.99.partial"
    )  # all that a kill at the start has left
    Packed(pack_folder("mine"))


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def edit_header(folder, **values):
    header = read_json(folder / HEADER)
    (folder / HEADER).write_text(json.dumps(with_digest({**header, **values})))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda d: flip(d / "audio-00001.pcm", 77), "1 clips are not what was packed"),
        (lambda d: os.truncate(d / "audio-00000.pcm", 100), "has 100 bytes instead of"),
        (lambda d: (d / "audio-00002.pcm").unlink(), "has 0 bytes"),
        (lambda d: flip(d / INDEX, 500), "index"),
        (lambda d: (d / INDEX).write_bytes(b""), "index"),
        (lambda d: (d / HEADER).write_text("{"), "not valid JSON"),
        (lambda d: edit_header(d, classes=["a", "b"]), r"targets of shape \(\d+, 0\)"),
        (lambda d: (d / HEADER).write_text(json.dumps({"version": 99})), "version 99"),
    ],
)
def test_damage_is_found(pack_folder, harm, message):
    packed = pack_folder()
    Packed(packed)
    harm(packed)
    with pytest.raises(UserError, match=message) as error:
        Packed(packed)
    assert str(error.value).count("\n") <= 2


def test_sound_shards_are_checked_once(pack_folder, monkeypatch):
    packed = pack_folder()
    Packed(packed)
    monkeypatch.setattr("semisupcon.data.packed.reading._map", lambda *_: pytest.fail("read again"))
    Packed(packed)


def test_changed_sources_are_found_and_copied_or_absent_ones_are_not(folder, pack_folder, write):
    packed = pack_folder()
    os.utime(folder / "0.wav")
    (folder / "3.wav").unlink()
    Packed(packed)
    write("audio/6.wav", samples=800 + 300 * 6, seed=99, subtype="PCM_16")
    with pytest.raises(
        UserError, match=r"1 source files have changed since they were packed: 6\.wav"
    ):
        Packed(packed)


def test_what_was_not_packed_is_refused(folder, pack_folder):
    packed = str(pack_folder())
    with pytest.raises(
        ConfigError, match=r"data.sl_task is 'fsdd_digit', but the packed set was made with none"
    ):
        module_of(folder, packed=packed, sl_task="fsdd_digit")
    with pytest.raises(ConfigError, match="at 8000 Hz, the run needs 16000 Hz"):
        module_of(folder, packed=packed, target_sample_rate=16000)
    with pytest.raises(ConfigError, match=r"needs data\.packed"):
        AudioDataModule(device_resident=True)
    with pytest.raises(DatasetNotFoundError, match="A packed set not found"):
        module_of(folder, packed=str(folder))


def test_the_command(folder, tmp_path, monkeypatch, capsys, caplog):
    config = {
        "model": {"encoder": {"class_path": "X", "init_args": {"sample_rate": 8000}}},
        "trainer": {"max_steps": 3},
    }
    (tmp_path / "a.yaml").write_text(
        yaml.safe_dump(
            config | {"data": {"class_path": "AudioDataModule", "init_args": {"batch_size": 5}}}
        )
    )
    (tmp_path / "b.yaml").write_text(
        yaml.safe_dump({"data": {"init_args": {"data_dir": "elsewhere"}}})
    )
    configs = ["--config", str(tmp_path / "a.yaml"), "--config", str(tmp_path / "b.yaml")]
    out = tmp_path / "out"
    with caplog.at_level("INFO"):
        assert main(["pack", *configs, "--out", str(out), "--data.data_dir", str(folder)]) == 0
    assert "--data.packed" in caplog.text
    packed = Packed(out)
    assert packed.sample_rate == 8000
    assert packed.sources == SOURCES | {"data_dir": str(folder)}
    assert main(["pack", *configs, "--out", str(tmp_path / "no")]) == 2
    assert "elsewhere" in capsys.readouterr().err
    for wrong, message in (
        (["--data.batchsize", "3"], "batchsize"),
        (["--data.views", "many"], "views"),
    ):
        with pytest.raises(SystemExit) as exit_status:
            main(["pack", *configs, "--out", str(out), *wrong])
        assert exit_status.value.code == 2
        assert message in capsys.readouterr().err
    (tmp_path / "b.yaml").write_text("data: {init_args: {batchsize: 3}}")
    assert main(["pack", *configs, "--out", str(out)]) == 2
    assert "Did you mean --data.batch_size?" in capsys.readouterr().err
    assert main(["pack", "--config", str(tmp_path / "none.yaml"), "--out", str(out)]) == 2
    assert main(["pack", "--out", str(out), "--data.data_dir", str(folder)]) == 2
    assert "--data.target_sample_rate" in capsys.readouterr().err


def test_a_damaged_shard_is_written_again(pack_folder, monkeypatch, caplog):
    """An interrupted packing left a shard that was cut afterwards."""
    whole = pack_folder("whole")

    def stops(*_, original=shards._write_clip, count=[]):  # noqa: B006
        count.append(1)
        if len(count) == 8:
            raise KeyboardInterrupt
        return original(*_)

    monkeypatch.setattr(shards, "_write_clip", stops)
    with pytest.raises(KeyboardInterrupt):
        pack_folder("resumed", threads=1)
    monkeypatch.undo()
    shard = min((whole.parent / "resumed").glob("audio-*.pcm"))
    shard.write_bytes(shard.read_bytes()[:-2])
    resumed = pack_folder("resumed")
    assert f"{shard} or its notes are damaged; the shard is written again." in caplog.text
    assert shard.read_bytes() == (whole / shard.name).read_bytes()
    assert resumed == whole.parent / "resumed"

"""Streamed audio: the very batches of the packed set it was made from, from any storage, for any
number of workers, ranks and resumes."""

import itertools

import pytest
import torch

from semisupcon.commands.stream import main
from semisupcon.data.datamodule import AudioDataModule
from semisupcon.data.packed.writing import pack
from semisupcon.data.remote import StreamedSet
from semisupcon.data.sources import gather
from semisupcon.data.streamed import StreamedDataModule, write_stream
from semisupcon.errors import AudioError, ConfigError, DatasetNotFoundError, UserError
from semisupcon.locks import LOCK

pytest.importorskip("litdata")
OPTIONS = {
    "sl_task": "fsdd_digit",
    "target_sample_rate": 8000,
    "target_length": 0.2,
    "batch_size": 6,
    "val_split": 0.2,
    "views": 2,
}


@pytest.fixture(scope="module")
def packed(digits, tmp_path_factory):
    sources = {
        "sl_task": "fsdd_digit",
        "ssl_task": None,
        "data_dir": str(digits),
        "sl_kwargs": None,
        "ssl_kwargs": None,
    }
    return pack(gather(**sources), sources, 8000, tmp_path_factory.mktemp("packed") / "set")


@pytest.fixture(scope="module")
def stream(packed, tmp_path_factory):
    """Several chunks of a few clips each, in a folder that stands in for a bucket."""
    return write_stream(packed, tmp_path_factory.mktemp("stream") / "set", chunk_bytes=40_000)


@pytest.fixture
def bucket(stream, monkeypatch):
    """The address of the folder in object storage: what LitData asks of S3 is answered from the
    folder."""
    from litdata.streaming import downloader

    class Bucket(downloader.LocalDownloader):
        def download_file(self, remote, local):
            super().download_file(remote.replace("s3://bucket", str(stream.parent)), local)

        async def adownload_bytes(self, remote, offset, length, local):
            return await super().adownload_bytes(
                remote.replace("s3://bucket", str(stream.parent)), offset, length, local
            )

    monkeypatch.setitem(downloader._DOWNLOADERS, "s3://", Bucket)
    return f"s3://bucket/{stream.name}"


def batches(data, start=0, count=4, rank=(0, 1)):
    data.setup()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("semisupcon.data.datamodule.rank_of", lambda trainer: rank)
        loader = data.train_dataloader()
    loader.batches_done = lambda: start
    return list(itertools.islice(loader, count))


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        assert all(
            torch.equal(
                a[k].nan_to_num(9) if a[k].is_floating_point() else a[k], b[k].nan_to_num(9)
            )
            for k in a
        )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"view_policy": "gapped", "target_length": None},
        {"view_policy": "independent", "target_length": 0.7},
    ],
)
def test_batches_are_those_of_the_packed_set(packed, stream, bucket, tmp_path, options):
    options = {**OPTIONS, **options, "num_workers": 0}
    expected = batches(AudioDataModule(packed=str(packed), **options))
    twin = AudioDataModule(packed=str(packed), **options)
    twin.setup()
    for where in (stream, bucket):
        streamed = StreamedDataModule(stream=str(where), cache_dir=str(tmp_path), **options)
        assert_equal(batches(streamed), expected)
        assert_equal(list(streamed.val_dataloader()), list(twin.val_dataloader()))


def test_any_workers_ranks_and_beginnings_see_the_same_clips(packed, stream):
    options = {**OPTIONS, "num_workers": 0}
    expected = batches(AudioDataModule(packed=str(packed), **options), count=6)
    assert_equal(
        batches(
            StreamedDataModule(stream=str(stream), **{**options, "num_workers": 2}),
            start=3,
            count=3,
        ),
        expected[3:],
    )
    halves = [
        batches(
            StreamedDataModule(
                stream=str(stream), **{**options, "batch_size": 3, "intrabatch_supervised_p": 1}
            ),
            rank=(r, 2),
        )
        for r in (0, 1)
    ]
    whole = batches(
        AudioDataModule(packed=str(packed), **{**options, "intrabatch_supervised_p": 1})
    )
    for first, second, both in zip(*halves, whole, strict=True):
        assert torch.equal(torch.cat([first["audio"], second["audio"]]), both["audio"])


def test_a_chunk_that_is_gone_or_cut_off_is_told(packed, tmp_path):
    folder = write_stream(packed, tmp_path / "set", chunk_bytes=40_000)
    for chunk in folder.glob("*.bin"):
        chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(AudioError, match=r"recordings/.*\.wav could not be fetched"):
        batches(StreamedDataModule(stream=str(folder), num_workers=0, **OPTIONS))


def test_mistakes_are_answered(packed, stream, tmp_path):
    with pytest.raises(UserError, match="not empty"):
        write_stream(packed, stream)
    with pytest.raises(DatasetNotFoundError, match="stream PACKED OUT"):
        StreamedSet(str(tmp_path))
    with pytest.raises(ConfigError, match="one of them"):
        StreamedDataModule(stream=str(stream), packed=str(packed))
    with pytest.raises(ConfigError, match="16000 Hz"):
        StreamedSet(str(stream)).check_request("fsdd_digit", None, 16000)


def test_the_command_writes_the_folder(packed, tmp_path):
    assert main([str(packed), str(tmp_path / "out"), "--chunk_bytes", "40000"]) == 0
    assert {"index.json", "packed.json", "clips.parquet", "targets.npy"} <= {
        p.name for p in (tmp_path / "out").iterdir()
    }


def test_a_failure_leaves_no_part_of_a_set(packed, tmp_path, monkeypatch):
    def fails(packed, out, *_):
        (out / "chunk-0-0.bin").write_bytes(b"0")
        raise OSError("the disk is gone")

    with monkeypatch.context() as context:
        context.setattr("semisupcon.data.streamed._write_chunks", fails)
        with pytest.raises(OSError, match="the disk is gone"):
            write_stream(packed, tmp_path / "set")
    assert {path.name for path in tmp_path.rglob("*")} <= {"set", LOCK}
    write_stream(packed, tmp_path / "set", chunk_bytes=40_000)


def test_an_output_below_a_file_is_told(packed, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^out must be a folder, but it cannot be created"):
        main([str(packed), str(tmp_path / "file" / "set")])

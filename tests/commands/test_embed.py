"""`embed`: what it writes, that it goes on where it was interrupted, and that it asks before
anything is embedded or replaced."""

import json
import sys

import numpy as np
import pyarrow.parquet
import pytest
import soundfile
import torch

from semisupcon import embedding
from semisupcon.__main__ import main
from semisupcon.checkpoints import export_encoder
from semisupcon.commands import embed as command
from semisupcon.commands import embed_files
from semisupcon.commands.embed_files import fingerprint
from semisupcon.encoders import ResNet2d, SampleCNNSmall
from semisupcon.frontends import LogMel

draw = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    encoder = SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=8000, segment_samples=2000)
    return export_encoder(encoder, tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def audio(tmp_path):
    """Eleven files of 1 to 11 quarters of a second, and one that is no audio."""
    (tmp_path / "in").mkdir()
    for i in range(11):
        soundfile.write(
            tmp_path / "in" / f"{i:02d}.wav", 0.1 * draw.standard_normal((2000 * (i + 1), 2)), 8000
        )
    (tmp_path / "in" / "05a.wav").write_text("not audio")
    return tmp_path / "in"


@pytest.fixture
def embed(model, tmp_path):
    def run(*args, out="out.npy"):
        return main(
            [
                "embed",
                "--checkpoint",
                str(model),
                "--out",
                str(tmp_path / out),
                "--batch_size",
                "2",
                *map(str, args),
            ]
        )

    return run


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(embed_files, "BATCHES_A_PART", {"cpu": 3})


@pytest.mark.parametrize("per", ["file", "second"])
@pytest.mark.parametrize("out", ["out.npy", "out.parquet"])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    embed, audio, tmp_path, small_parts, monkeypatch, capsys, per, out
):
    assert embed(audio, "--per", per, out=f"whole/{out}") == 0
    original, count = embedding.load_pieces, []

    def breaks(position, file, *rest):
        count.append(file)
        if position == 9:
            raise KeyboardInterrupt
        return original(position, file, *rest)

    monkeypatch.setattr(embed_files, "load_pieces", breaks)
    assert embed(audio, "--per", per, out=out) == 130
    assert "the same command continues after" in capsys.readouterr().err
    unfinished = tmp_path / f"{out}.unfinished"
    done = sum(
        len(json.loads(file.read_text())["sizes"]) for file in unfinished.glob("rows-*.json")
    )
    assert 0 < done < 12
    assert not (tmp_path / out).exists()
    (unfinished / ".rows-00009.f32.99.partial").write_bytes(
        b"half"
    )  # left by a process that was killed

    read = []
    monkeypatch.setattr(
        embed_files,
        "load_pieces",
        lambda n, file, *rest: read.append(file) or original(n, file, *rest),
    )
    assert embed(audio, "--per", per, out=out) == 0
    assert f"{done} of 12 files are done" in capsys.readouterr().err
    assert len(read) == 12 - done
    for suffix in ("npy", "csv") if out.endswith("npy") else ("parquet",):
        assert (tmp_path / out).with_suffix(f".{suffix}").read_bytes() == (
            tmp_path / "whole" / out
        ).with_suffix(f".{suffix}").read_bytes()
    assert not unfinished.exists()


def test_values_are_those_of_the_function_and_small_parts_change_nothing(
    embed, audio, model, tmp_path, small_parts, capsys
):
    import semisupcon

    assert embed(audio, "--per", "second", "--workers", 3) == 0
    assert "left out" in capsys.readouterr().err
    files = [file for file in sorted(audio.iterdir()) if file.name != "05a.wav"]
    expected = np.concatenate(semisupcon.load_encoder(model).embed(files, per="second"))
    assert np.allclose(np.load(tmp_path / "out.npy", mmap_mode="r"), expected, atol=1e-6)
    lines = (tmp_path / "out.csv").read_text().splitlines()[1:]
    assert [line.rsplit("/", 1)[1] for line in lines] == [
        f"{f.name},{s}" for f in files for s in range(-(-(int(f.stem) + 1) // 4))
    ]


def test_a_table_as_text_holds_the_same_values(embed, audio, tmp_path):
    assert embed(audio) == 0
    assert embed(audio, out="table.csv") == 0
    header, *lines = [line.split(",") for line in (tmp_path / "table.csv").read_text().splitlines()]
    assert header == ["file", "second", *(f"e{i}" for i in range(16))]
    assert np.array_equal(
        np.array([line[2:] for line in lines], np.float32), np.load(tmp_path / "out.npy")
    )
    assert [line[0].rsplit("/", 1)[1] for line in lines] == [f"{i:02d}.wav" for i in range(11)]


def test_parquet_is_written_in_row_groups(embed, audio, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "GROUP_BYTES", 4 * 16 * 4)
    assert embed(audio, out="out.parquet") == 0
    file = pyarrow.parquet.ParquetFile(tmp_path / "out.parquet")
    assert file.num_row_groups == 3
    assert file.read().num_rows == 11


def test_a_file_that_breaks_off_in_the_middle_leaves_no_rows(embed, audio, tmp_path, capsys):
    whole = (audio / "10.wav").read_bytes()
    samples = np.frombuffer(whole[44:], "<i2").astype("<f4") / 32768
    samples[-3] = np.nan
    soundfile.write(audio / "10.wav", samples.reshape(-1, 2), 8000, subtype="FLOAT")
    soundfile.write(audio / "11.wav", np.zeros((4000, 2)), 8000)
    assert embed(audio, "--per", "second") == 0
    told = capsys.readouterr().err
    assert "10.wav: NaN samples" in told
    assert "11.wav: silence only" in told
    names = (tmp_path / "out.csv").read_text()
    assert "09.wav" in names
    assert "10.wav" not in names
    assert len(names.splitlines()) - 1 == len(np.load(tmp_path / "out.npy"))


@pytest.mark.parametrize("there", ["out.npy", "out.csv"])
def test_nothing_is_replaced_unasked(embed, audio, tmp_path, capsys, there):
    (tmp_path / there).write_text("mine")
    assert embed(audio) == 2
    assert f"{there} exists already" in (told := capsys.readouterr().err)
    assert "--overwrite" in told
    assert (tmp_path / there).read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", there]
    assert embed(audio, "--overwrite") == 0
    assert len(np.load(tmp_path / "out.npy")) == 11
    assert embed(audio) == 2, "its own output neither"


def test_unfinished_embeddings_of_something_else_are_kept(embed, audio, tmp_path, capsys):
    folder = tmp_path / "out.npy.unfinished"
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    assert embed(audio, "--overwrite") == 2
    assert "other files than unfinished embeddings" in capsys.readouterr().err
    (folder / "thesis.txt").unlink()
    (folder / "plan.json").write_text(
        json.dumps({"format": 1, "encoder": "another", "--per": "file"})
    )
    assert embed(audio) == 2
    assert "unfinished embeddings of another run; different: encoder" in capsys.readouterr().err
    assert embed(audio, "--overwrite") == 0
    assert not folder.exists()


def test_an_interruption_while_the_output_is_written_is_gone_on_from(
    embed, audio, tmp_path, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr(
            command.np.lib.format,
            "write_array_header_1_0",
            lambda *_: (_ for _ in ()).throw(RuntimeError),
        )
        with pytest.raises(RuntimeError):
            embed(audio)
    assert (tmp_path / "out.csv").exists()
    assert not (tmp_path / "out.npy").exists()
    assert embed(audio) == 0
    assert len(np.load(tmp_path / "out.npy")) == 11


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("in/00.wav/x.npy", "00.wav is a file"),
        ("folder.parquet", "must be a file"),
        ("/proc/x.npy", "/proc/x.npy cannot be written"),
        ("x" * 300 + ".npy", "name too long"),
    ],
)
def test_an_output_that_cannot_be_written_is_told_before_anything_is_read(
    embed, audio, tmp_path, monkeypatch, capsys, out, told
):
    (tmp_path / "folder.parquet").mkdir()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(command, "audio_files", None)
    monkeypatch.setattr("semisupcon.checkpoints.load_encoder", None)
    assert embed(audio, "--overwrite", out=out) == 2
    assert told.lower() in capsys.readouterr().err.lower()
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--workers", "0"], "--workers must be at least 1"),
        (["--batch_size", "0"], "--batch_size must be at least 1"),
        *[
            (["--device", name], f"--device {name} is not available")
            for name in ("cuda:77", "gpu", "meta", "hpu")
        ],
    ],
)
def test_mistakes_leave_nothing_behind(embed, audio, tmp_path, capsys, options, told):
    assert embed(audio, *options, out="new/x.npy") == 2
    assert told in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_progress_is_shown_off_a_terminal(embed, audio, monkeypatch, capsys):
    monkeypatch.setattr(sys.modules["semisupcon.embedding.progress"], "EVERY_LOG", 0.0)
    assert embed(audio) == 0
    lines = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith("embedding: ")
    ]
    assert "0/12" in lines[0]
    assert len(lines) > 12
    assert "12/12" in lines[-1]
    assert "s of audio per second" in lines[-1]


def test_an_encoder_that_diverged_is_told(audio, tmp_path, capsys):
    encoder = SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=8000, segment_samples=2000)
    next(encoder.parameters()).data.fill_(float("nan"))
    model = export_encoder(encoder, tmp_path / "diverged")
    assert (
        main(["embed", str(audio), "--checkpoint", str(model), "--out", str(tmp_path / "out.npy")])
        == 2
    )
    assert "have NaN or infinite values" in capsys.readouterr().err
    assert not (tmp_path / "out.npy").exists()
    assert not (tmp_path / "out.npy.unfinished").exists()


def test_encoders_of_equal_weights_and_other_arguments_are_told_apart():
    def made(f_min):
        torch.manual_seed(0)
        return ResNet2d(width=4, frontend=LogMel(f_min=f_min))

    assert fingerprint(made(60.0)) == fingerprint(made(60.0))
    assert fingerprint(made(60.0)) != fingerprint(made(90.0))


def test_half_precision_on_request(model, audio, tmp_path):
    found = {}
    for precision in ("float32", "bfloat16", "float16"):
        out = tmp_path / f"{precision}.npy"
        assert (
            main(
                [
                    "embed",
                    str(audio),
                    "--checkpoint",
                    str(model),
                    "--out",
                    str(out),
                    "--precision",
                    precision,
                ]
            )
            == 0
        )
        found[precision] = np.load(out)
    for precision, most in (("bfloat16", 0.02), ("float16", 0.003)):
        distance = np.linalg.norm(found[precision] - found["float32"]) / np.linalg.norm(
            found["float32"]
        )
        assert 0 < distance < most
        assert found[precision].dtype == np.float32

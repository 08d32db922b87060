"""No command replaces a file that it did not write, unless `--overwrite` says so; outputs that
cannot be written are told at once."""

import io
import zipfile

import numpy as np
import pytest
import soundfile
import torch

from semisupcon.__main__ import main
from semisupcon.checkpoints import export_encoder
from semisupcon.datasets.care.download import _unpack
from semisupcon.encoders import SampleCNNSmall
from semisupcon.errors import UserError
from semisupcon.files import leftovers


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    encoder = SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=8000, segment_samples=2000)
    return export_encoder(encoder, tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def commands(model, tmp_path):
    """Every command with an output, but for that."""
    draw = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for name in "ab":
        soundfile.write(tmp_path / "in" / f"{name}.wav", 0.1 * draw.standard_normal(8000), 8000)
    clmr = tmp_path / "clmr.ckpt"
    torch.save({}, clmr)
    return {
        "export": ["export", model, "--out"],
        "import": ["import", "clmr", clmr, "--out"],
        "hear": [
            "hear",
            tmp_path / "in/a.wav",
            "--aug_list",
            "gain",
            "--views",
            1,
            "--sample_rate",
            8000,
            "--out",
        ],
        "pack": [
            "pack",
            "--data.data_dir",
            tmp_path / "in",
            "--data.target_sample_rate",
            8000,
            "--out",
        ],
        "probe": [
            "probe",
            "--tasks",
            "[synthetic_pitch]",
            "--checkpoints",
            model,
            "--cache_dir",
            tmp_path / "cache",
            "--out",
        ],
    }


def run(command, out, *options):
    return main([str(word) for word in (*command, out, *options)])


@pytest.mark.parametrize(
    ("name", "file"),
    [
        *[
            ("export", "model.safetensors"),
            ("export", "config.json"),
            ("import", "config.json"),
            ("import", "heads.json"),
        ],
        *[
            ("hear", "original.wav"),
            ("hear", "spectrograms.png"),
            ("pack", "packed.json"),
            ("pack", "plan.json"),
            ("pack", "clips.parquet"),
        ],
        *[
            ("probe", name)
            for name in (
                "results.csv",
                "report.md",
                "report.html",
                "summary.csv",
                "comparisons.csv",
                "robustness.csv",
            )
        ],
    ],
)
def test_a_file_of_the_user_stays(commands, tmp_path, capsys, name, file):
    out = tmp_path / "mine"
    out.mkdir()
    (out / file).write_text("[1]")
    assert run(commands[name], out) == 2
    told = capsys.readouterr().err
    assert len(told.strip().splitlines()) <= 3
    assert "Give another" in told or "give another" in told or "Give a new folder" in told
    assert (out / file).read_text() == "[1]"
    assert [p.name for p in out.iterdir()] == [file]


@pytest.mark.parametrize("name", ["export", "import", "hear", "pack", "probe"])
def test_a_folder_that_cannot_be_made_is_told_and_nothing_is_left(commands, tmp_path, capsys, name):
    before = sorted(tmp_path.rglob("*"))
    for out in (tmp_path / "in/a.wav", tmp_path / "in/a.wav/below", "/proc/none"):
        assert run(commands[name], out) == 2
        assert f"--out must be a folder, but it cannot be created: {out}" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_export_and_hear_replace_when_they_may(commands, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(commands["export"], out) == 0
    assert run(commands["export"], out) == 2
    assert run(commands["export"], out, "--overwrite") == 0
    assert run(commands["hear"], out) == 0
    assert run(commands["hear"], out) == 0, "what it wrote itself"
    (out / "view_1.wav").write_text("mine")
    assert run(commands["hear"], out) == 2
    assert (out / "view_1.wav").read_text() == "mine"
    assert run(commands["hear"], out, "--overwrite") == 0
    assert soundfile.info(out / "view_1.wav").samplerate == 8000


def test_a_cache_folder_of_another_program_is_left_alone(commands, tmp_path, capsys):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/content.json").write_text('{"mine": [1, 2]}')
    assert run(commands["probe"], tmp_path / "out") == 2
    assert "content.json was not written by this command" in capsys.readouterr().err
    assert (tmp_path / "cache/content.json").read_text() == '{"mine": [1, 2]}'


@pytest.mark.parametrize("option", ["--tasks", "--checkpoints", "--methods", "--representations"])
def test_a_probe_of_nothing(commands, tmp_path, capsys, option):
    assert run(commands["probe"], tmp_path / "out", option, "[]") == 2
    assert f"{option} is empty" in capsys.readouterr().err


def test_an_archive_replaces_nothing_but_goes_on_where_it_was_interrupted(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("set/a.csv", "theirs")
        archive.writestr("set/b.csv", "theirs")
    part, begun = tmp_path / "set.zip.part", tmp_path / ".set.zip.unpacking"
    part.write_bytes(buffer.getvalue())
    (tmp_path / "set").mkdir()
    (tmp_path / "set/b.csv").write_text("mine")
    with pytest.raises(
        UserError, match=r"1 of 2 files of the archive already exist, the first: set/b.csv"
    ):
        _unpack(part, tmp_path, False, begun)
    assert (tmp_path / "set/b.csv").read_text() == "mine"
    assert not (tmp_path / "set/a.csv").exists()
    _unpack(part, tmp_path, True, begun)
    assert begun.exists()
    assert (tmp_path / "set/b.csv").read_text() == "theirs"


def test_partial_files_of_other_programs_are_not_swept(tmp_path):
    for name in (".thesis.txt.partial", ".a.partial", ".partial-thesis", "b.partial", ".partial"):
        (tmp_path / name).touch()
    assert leftovers(tmp_path) == []

"""Embeddings of files and waveforms: every sample counts, any format, and nothing but the base
dependencies."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import soundfile
import torch

import semisupcon
from semisupcon.__main__ import main
from semisupcon.checkpoints import export_encoder
from semisupcon.embedding import cut, embed, embed_segments, frozen, read_ahead, windows_per_second
from semisupcon.encoders import ConvNeXtTiny, ResNet2d, SampleCNNSmall
from semisupcon.errors import AudioError
from semisupcon.frontends import LogMel

RATE, SEGMENT = 8000, 2000
draw = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    encoder = SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=RATE, segment_samples=SEGMENT)
    return export_encoder(encoder, tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def audio(tmp_path):
    """Files of several formats, rates and lengths, and one that is no audio."""
    for name, rate, channels, seconds in [
        ("a.wav", 8000, 1, 1.3),
        ("b.flac", 44100, 2, 0.6),
        ("c.ogg", 16000, 1, 0.1),
        ("sub/d.mp3", 22050, 1, 2.0),
    ]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(
            tmp_path / name, 0.1 * draw.standard_normal((int(seconds * rate), channels)), rate
        )
    (tmp_path / "e.wav").write_text("not audio")
    return tmp_path


def test_cutting_keeps_every_sample_and_continues_with_the_beginning():
    assert cut(np.arange(7.0), 3).tolist() == [[0, 1, 2], [3, 4, 5], [6, 0, 1]]
    assert cut(np.arange(2.0), 5).tolist() == [[0, 1, 0, 1, 0]]
    assert cut(np.arange(6.0), 3).shape == (2, 3)


def test_one_window_a_second_centred_on_it():
    audio = np.arange(40.0)
    windows = windows_per_second(audio, segment=6, sample_rate=10)
    assert windows[:, 0].tolist() == [2, 12, 22, 32]
    wide = windows_per_second(audio, segment=20, sample_rate=10)
    assert wide[:, 0].tolist() == [0, 5, 15, 20]
    assert windows_per_second(np.arange(15.0), segment=20, sample_rate=10).shape == (2, 20)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_batches_run_across_clips_and_come_back_in_order(batch_size):
    clips = [draw.standard_normal((n, 5)).astype(np.float32) for n in (2, 1, 9, 0, 4, 3)]
    seen = []

    def encode(x):
        seen.append(len(x))
        return x[:, 0, :2] * 2

    rows = list(embed_segments(encode, iter(clips), batch_size))
    assert [len(r) for r in rows] == [2, 1, 9, 0, 4, 3]
    for row, clip in zip(rows, clips, strict=True):
        assert np.array_equal(row, clip[:, :2] * 2)
    assert sum(seen) == 19
    assert all(n == batch_size for n in seen[:-1])


def test_reading_ahead_keeps_order_and_raises_what_went_wrong():
    assert list(read_ahead(lambda i: i * i, range(50))) == [i * i for i in range(50)]
    with pytest.raises(ZeroDivisionError):
        list(read_ahead(lambda i: 1 / i, [2, 1, 0, 3]))


def test_files_and_waveforms_give_the_same(model, audio):
    encoder = semisupcon.load_encoder(model)
    wave, _ = soundfile.read(audio / "a.wav", dtype="float32")
    from_file, from_wave = encoder.embed([audio / "a.wav"]), encoder.embed([wave])
    assert from_file.shape == (1, encoder.embedding_dim)
    assert np.array_equal(from_file, from_wave)
    with torch.no_grad():
        expected = encoder(torch.from_numpy(cut(wave, SEGMENT))[:, None]).mean(dim=0)
    assert np.allclose(from_file[0], expected, atol=1e-6)
    assert np.allclose(encoder.embed([torch.from_numpy(wave)], batch_size=1), from_file, atol=1e-6)


def test_one_embedding_a_second(model, audio):
    encoder = semisupcon.load_encoder(model)
    assert [
        len(rows)
        for rows in encoder.embed([audio / "a.wav", audio / "sub" / "d.mp3"], per="second")
    ] == [2, 2]


def test_embedding_leaves_weights_buffers_and_modes_as_they_are(model):
    encoder = semisupcon.load_encoder(model).train()
    encoder.trunk.eval()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    modes = [m.training for m in encoder.modules()]
    embed(encoder, [draw.standard_normal(5000).astype(np.float32)])
    assert all(torch.equal(before[k], v) for k, v in encoder.state_dict().items())
    assert [m.training for m in encoder.modules()] == modes


def test_modes_come_back_after_an_error():
    module = torch.nn.BatchNorm1d(3).train()
    with pytest.raises(RuntimeError), frozen(module):
        raise RuntimeError
    assert module.training


@pytest.mark.parametrize(
    "clip", [np.zeros((2, 100), np.float32), np.zeros(0, np.float32), Path("absent.wav")]
)
def test_what_cannot_be_embedded_is_named(model, clip):
    with pytest.raises(AudioError, match=r"waveform 0|absent\.wav"):
        semisupcon.load_encoder(model).embed([clip])


@pytest.mark.parametrize(("per", "rows"), [("file", 4), ("second", 6)])
def test_command_writes_parquet_and_lists_what_it_leaves_out(model, audio, capsys, per, rows):
    assert (
        main(
            [
                "embed",
                str(audio),
                "--checkpoint",
                str(model),
                "--out",
                str(audio / "out.parquet"),
                "--per",
                per,
            ]
        )
        == 0
    )
    table = pyarrow.parquet.read_table(audio / "out.parquet")
    assert table.num_rows == rows
    assert table.column_names == ["file", "second", *(f"e{i}" for i in range(16))]
    assert "e.wav" in capsys.readouterr().err


def test_command_writes_npy_with_names(model, audio):
    assert (
        main(
            [
                "embed",
                str(audio / "a.wav"),
                str(audio / "b.flac"),
                "--checkpoint",
                str(model),
                "--out",
                str(audio / "x.npy"),
            ]
        )
        == 0
    )
    assert np.load(audio / "x.npy").shape == (2, 16)
    assert [
        line.split(",")[0].rsplit("/", 1)[-1] for line in (audio / "x.csv").read_text().splitlines()
    ] == ["file", "a.wav", "b.flac"]


@pytest.mark.parametrize(
    ("inputs", "out", "told"),
    [
        (["e.wav"], "x.npy", "None of the 1 files"),
        (["absent.wav"], "x.npy", "No such file or folder"),
        (["a.wav"], "x.txt", "must end in .parquet, .npy or .csv"),
        (["a.wav", "--task", "both"], "x.npy", "no task 'both'"),
        (["a.wav", "--checkpoint", "nowhere"], "x.npy", "nowhere"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(model, audio, capsys, inputs, out, told):
    paths = [str(audio / i) if i.endswith(".wav") else i for i in inputs]
    assert main(["embed", "--checkpoint", str(model), "--out", str(audio / out), *paths]) == 2
    assert told in capsys.readouterr().err


def test_the_base_dependencies_are_enough(model, audio):
    """What `pip install .` brings: torch, numpy, soundfile, soxr, safetensors."""
    blocked = "pytorch_lightning lightning wandb torchaudio timm torchvision torchmetrics pandas pyarrow sklearn scipy matplotlib tqdm julius"
    program = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {[*blocked.split(), "jsonargparse", "yaml"]!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}: blocked", name=name)
sys.meta_path.insert(0, Blocker())
import semisupcon
from semisupcon.__main__ import main
assert semisupcon.load_encoder({str(model)!r}).embed([{str(audio / "a.wav")!r}]).shape == (1, 16)
sys.exit(main(["embed", {str(audio)!r}, "--checkpoint", {str(model)!r}, "--out", {str(audio / "light.npy")!r}]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert np.load(audio / "light.npy").shape == (4, 16)


def without(monkeypatch, package):
    for name in {package, *(name for name in sys.modules if name.partition(".")[0] == package)}:
        monkeypatch.setitem(sys.modules, name, None)


def test_a_package_that_an_encoder_needs_is_named(audio, tmp_path, monkeypatch, capsys):
    model = export_encoder(ConvNeXtTiny(), tmp_path / "spectrogram")
    without(monkeypatch, "timm")
    assert (
        main(
            [
                "embed",
                str(audio / "a.wav"),
                "--checkpoint",
                str(model),
                "--out",
                str(audio / "x.npy"),
            ]
        )
        == 2
    )
    assert (
        "ConvNeXtTiny needs timm, which is not installed: pip install timm."
        in capsys.readouterr().err
    )


def test_an_encoder_of_spectrograms_needs_no_torchaudio(audio, tmp_path, monkeypatch):
    model = export_encoder(ResNet2d(width=4, frontend=LogMel()), tmp_path / "spectrogram")
    without(monkeypatch, "torchaudio")
    assert (
        main(
            [
                "embed",
                str(audio / "a.wav"),
                "--checkpoint",
                str(model),
                "--out",
                str(audio / "mel.npy"),
            ]
        )
        == 0
    )

"""Baselines by name: their numbers against torchaudio and scipy, and the commands that take them."""

import csv

import numpy as np
import pytest
import scipy.fft
import soundfile
import torch
import torchaudio

from semisupcon.__main__ import main as semisupcon
from semisupcon.commands.probe import main
from semisupcon.errors import ConfigError
from semisupcon.probing.baselines import NAMES, extractor
from semisupcon.probing.baselines.base import statistics
from semisupcon.probing.baselines.spectral import FRAMES_AT_ONCE, differences
from semisupcon.probing.embeddings.encoders import load_subject


@pytest.fixture(scope="module")
def noise():
    return 0.1 * torch.randn(2, 1, 16000, generator=torch.Generator().manual_seed(0))


def decibels(x):
    """Log-mel bands by torchaudio, frames not centred."""
    mel = torchaudio.transforms.MelSpectrogram(
        16000, 512, 400, 160, n_mels=64, f_min=20.0, f_max=8000.0, power=2.0, center=False
    )
    # torchaudio centres a window of 400 in 512 samples.
    bands = mel(torch.nn.functional.pad(x[:, 0], (56, 56)))
    return 10 * bands.clamp(min=1e-10).log10()


def with_differences(values):
    return torch.cat([values, torchaudio.functional.compute_deltas(values, win_length=5)], dim=1)


def test_log_mel_statistics_are_torchaudios(noise):
    expected = statistics(with_differences(decibels(noise)))
    assert torch.allclose(extractor("logmel")(noise), expected, atol=1e-4)


def test_mfcc_statistics_are_those_of_torchaudio_and_scipy(noise):
    cepstra = scipy.fft.dct(decibels(noise).numpy(), axis=1, norm="ortho")[:, :20]
    expected = with_differences(torch.from_numpy(cepstra))
    mean, deviation = expected.numpy().mean(axis=2), expected.numpy().std(axis=2)
    answer = extractor("mfcc")(noise).numpy()
    assert np.abs(answer - np.concatenate([mean, deviation], axis=1)).max() < 1e-4


def test_long_clips_are_transformed_in_parts_without_a_seam():
    logmel = extractor("logmel")
    x = torch.randn(1, 160 * (FRAMES_AT_ONCE + 10), generator=torch.Generator().manual_seed(1))
    assert torch.equal(logmel.spectrum(x), logmel.log_mel(x[:, None])[:, 0])


def test_differences_of_a_line_are_its_slope():
    line = 3.0 * torch.arange(20.0)[None, None]
    assert torch.allclose(differences(line)[..., 2:-2], torch.tensor(3.0))


def chord(*notes, level=0.1, seconds=2):
    time = torch.arange(16000 * seconds) / 16000
    hertz = 440 * 2 ** ((torch.tensor(notes) - 69.0) / 12)
    return level * torch.sin(2 * torch.pi * hertz[:, None] * time).sum(dim=0)[None, None]


def test_chroma_names_the_notes_of_a_chord_at_any_level_and_octave():
    chroma = extractor("chroma")
    triad = chroma(chord(60, 64, 67))[0, :12]
    assert sorted(triad.topk(3).indices.tolist()) == [0, 4, 7]
    assert torch.allclose(chroma(chord(60, 64, 67, level=0.01))[0, :12], triad, atol=1e-3)
    for shift in (1, 5, 11):
        moved = chroma(chord(60 + shift, 64 + shift, 67 + shift))[0, :12]
        assert sorted(moved.topk(3).indices.tolist()) == sorted((c + shift) % 12 for c in (0, 4, 7))
    assert chroma.frames(chord(69)).shape == (1, 12, (32000 - 8192) // 4096 + 1)
    assert not chroma(torch.zeros(1, 1, 16000)).any()


def test_chroma_against_numpy(noise):
    x, expected = noise[0, 0].double().numpy(), np.zeros((12, 2))
    for frame in range(2):
        part = x[4096 * frame : 4096 * frame + 8192]
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(8192) / 8192)
        magnitude = np.abs(np.fft.rfft(part * window)) * 2 / 8192
        for k in range(1, 4097):
            note = 69 + 12 * np.log2(max(k * 16000 / 8192, 1) / 440)
            if 40 <= (near := round(note)) <= 96:
                expected[near % 12, frame] += (1 - 2 * abs(note - near)) * magnitude[k] ** 0.5
    expected /= np.linalg.norm(expected, axis=0)
    answer = extractor("chroma")(noise[:1, :, : 4096 + 8192])[0].numpy()
    assert answer == pytest.approx(np.concatenate([expected.mean(1), expected.std(1)]), abs=1e-5)


@pytest.fixture
def asked(tones, exported, tmp_path):
    def run(checkpoints, *more):
        return main(
            [
                *("--tasks", "pitch=csv", f"--data_dirs.pitch={tones}", "--projection", "none"),
                *("--checkpoints", checkpoints, "--out", str(tmp_path / "out")),
                *("--cache_dir", str(tmp_path / "cache"), "--resamples", "20", *more),
            ]
        )

    return run


def test_probe_takes_them_beside_a_checkpoint(asked, exported, tmp_path, capsys):
    """Rows are named by the baseline; random is a twin of the checkpoint alone."""
    assert asked(f"[{exported},mfcc,bands=logmel,random]", "--methods", "knn") == 0
    with (tmp_path / "out" / "results.csv").open() as file:
        sources = {row["checkpoint"]: row["source"] for row in csv.DictReader(file)}
    assert sources == {
        "tiny": "pretrained",
        "mfcc": "baseline",
        "bands": "baseline",
        "random": "random",
    }
    with (tmp_path / "out" / "encoders.csv").open() as file:
        facts = {row["encoder"]: row for row in csv.DictReader(file)}
    mfcc = facts["mfcc"]
    assert (mfcc["sample_rate"], mfcc["input"]) == ("16000", "whole clips")
    assert mfcc["layer"] == "MFCC, differences"
    assert mfcc["pooling"] == "mean, standard deviation"
    assert facts["tiny"]["input"] == "segments of 0.25 s"
    assert "MFCC, differences" in (tmp_path / "out" / "report.html").read_text()
    assert "mfcc" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("[mfcc,random]",), "there is none for mfcc"),
        (("[mfcc,mfcc]",), "Two checkpoints have the same name"),
        (("mfcc", "--methods", "finetune"), "'mfcc' cannot be fine-tuned"),
        (("mfcc", "--representation", "projection"), "No representation 'projection' in MFCC"),
    ],
)
def test_mistakes(asked, capsys, tmp_path, given, said):
    assert asked(*given) == 2
    assert said in capsys.readouterr().err
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_a_missing_package_is_named_with_its_pip_command(asked, capsys, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec

    def without(name, *more):
        packages = ("opensmile", "silero_vad", "musicnn", "basic_pitch", "torchcrepe", "pesto")
        return None if name in (*packages, "resemblyzer", "transformers") else found(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    for name in set(NAMES) - {"mfcc", "logmel", "chroma", "hf"}:
        assert asked(name) == 2
        assert "\npip install " in capsys.readouterr().err


def test_options_in_a_yaml_file(asked, tmp_path):
    file = tmp_path / "thirteen.yaml"
    file.write_text("class_path: mfcc\ninit_args: {coefficients: 13}\n")
    subject = load_subject(str(file))
    assert (subject.name, subject.source) == ("thirteen", "baseline")
    assert subject.encoder.embedding_dim == 4 * 13
    assert subject.fingerprint() != load_subject("mfcc").fingerprint()
    file.write_text("class_path: mfcc\ninit_args: {depth: 13}\n")
    with pytest.raises(ConfigError, match="'mfcc' does not take these arguments"):
        load_subject(str(file))
    file.write_text("class_path: mfcc\ninit_args: {coefficients: 100}\n")
    with pytest.raises(ConfigError, match="1 to n_mels"):
        load_subject(str(file))


def test_embed_takes_them_too_and_clips_shorter_than_a_window(tmp_path, noise):
    short, long = tmp_path / "short.wav", tmp_path / "long.wav"
    soundfile.write(short, noise[0, 0, :300].numpy(), 16000)
    soundfile.write(long, noise[1, 0].numpy(), 16000, subtype="FLOAT")
    out = tmp_path / "e.npy"
    files = [str(long), str(short)]
    assert semisupcon(["embed", *files, "--checkpoint", "mfcc", "--out", str(out)]) == 0
    rows = np.load(out)
    assert rows.shape == (2, 80)
    assert np.isfinite(rows).all()
    assert np.abs(rows[0] - extractor("mfcc")(noise[1:]).numpy()[0]).max() < 1e-4
    seconds = tmp_path / "s.npy"
    given = [str(long), "--checkpoint", "mfcc", "--per", "second", "--out", str(seconds)]
    assert semisupcon(["embed", *given]) == 0
    assert np.load(seconds).shape == (1, 80)


def test_opensmile_is_opensmiles_own(noise):
    opensmile = pytest.importorskip("opensmile", reason="opensmile is not installed")
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    expected = smile.process_signal(noise[0, 0].numpy(), 16000).to_numpy(np.float32)
    encoder = extractor("opensmile")
    assert torch.equal(encoder(noise[:1]), torch.from_numpy(expected).nan_to_num())
    assert encoder(noise[:, :, :1600]).isfinite().all()

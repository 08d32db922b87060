"""`semisupcon.load`: the rows of the commands, bit for bit, from files and from waveforms."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

import semisupcon
from semisupcon.__main__ import main
from semisupcon.checkpoints import export_encoder
from semisupcon.encoders import SampleCNNSmall
from semisupcon.errors import AudioError, CheckpointError, ConfigError
from semisupcon.probing.embeddings.encoders import load_subject
from semisupcon.probing.methods.calibrating import Calibration
from semisupcon.probing.methods.head import new_head, save_head


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an encoder, a multilabel head on it, and eight files, one of them no audio."""
    folder = tmp_path_factory.mktemp("place")
    torch.manual_seed(0)
    encoder = SampleCNNSmall(widths=[8, 16], stem=20, sample_rate=8000, segment_samples=2000)
    export_encoder(encoder, folder / "small")
    head = new_head("linear", 16, 3, "multilabel", seed=1)
    head.scale /= 300
    subject = load_subject(str(folder / "small"))
    about = {"classes": ["a", "b", "c"], "encoder": subject.fingerprint()}
    save_head(head, folder / "head.safetensors", about, Calibration(1.7, (0.4, 0.5, 0.6)))
    (folder / "in").mkdir()
    draw = np.random.default_rng(0)
    for i in range(7):
        noise = 0.05 * (i + 1) * draw.standard_normal(1700 * (i + 1))
        soundfile.write(folder / "in" / f"{i}.wav", np.clip(noise, -1, 1), 8000)
    (folder / "in" / "3a.wav").write_text("no audio")
    return folder


@pytest.mark.parametrize("words", [(), ("--per", "window", "--window", "0.4", "--hop", "0.3")])
def test_predictions_are_those_of_the_command(place, tmp_path, words):
    model = semisupcon.load(place / "small", place / "head.safetensors")
    assert (model.classes, model.kind) == (("a", "b", "c"), "multilabel")
    given = {"per": "window", "window": 0.4, "hop": 0.3} if words else {}
    for more, options in (((), {}), (("--all",), {"every": True})):
        out = tmp_path / f"a{len(more)}.parquet"
        command = ["predict", str(place / "in"), "--checkpoint", str(place / "small")]
        command += ["--head", str(place / "head.safetensors"), "--out", str(out), *words, *more]
        assert main(command) == 0
        ours = model.predict(place / "in", on_error="skip", **given, **options)
        pd.testing.assert_frame_equal(ours, pd.read_parquet(out), check_exact=True)
        assert len(ours) > 0


@pytest.mark.parametrize("per", ["file", "second"])
def test_embeddings_are_those_of_the_command(place, tmp_path, per):
    model = semisupcon.load(place / "small")
    out = tmp_path / "a.npy"
    command = ["embed", str(place / "in"), "--checkpoint", str(place / "small"), "--per", per]
    assert main([*command, "--out", str(out)]) == 0
    ours = model.embed(place / "in", per=per, on_error="skip")
    assert len(ours) == len(model.files(place / "in")) == 8
    if per == "file":
        assert np.isnan(ours[4]).all()  # the file that is no audio
        ours = ours[~np.isnan(ours).any(axis=1)]
    else:
        assert ours[4].shape == (0, 16)
        ours = np.concatenate(ours)
    assert np.array_equal(ours, np.load(out))


def test_waveforms_are_files_without_a_file(place):
    model = semisupcon.load(place / "small", place / "head.safetensors")
    files = [place / "in" / f"{i}.wav" for i in range(3)]
    waves = [soundfile.read(file, dtype="float32")[0] for file in files]
    assert np.array_equal(model.embed(files), model.embed(waves))
    assert np.array_equal(model.embed([files[0]] * 2), model.embed([waves[0]] * 2))  # twice
    assert model.embed([]).shape == (0, 16)
    assert np.array_equal(model.embed(waves[1]), model.embed(torch.from_numpy(waves[1])))
    named, unnamed = model.predict(files, every=True), model.predict(waves, every=True)
    assert unnamed.file.tolist() == [f"waveform {i}" for i in range(3) for _ in range(3)]
    pd.testing.assert_frame_equal(named.drop(columns="file"), unnamed.drop(columns="file"))
    none = model.predict(waves, threshold=1.0)
    assert list(none.columns) == list(named.columns)
    assert not len(none)


def test_mistakes_are_named(place, tmp_path):
    model = semisupcon.load(place / "small")
    with pytest.raises(ConfigError, match="no head"):
        model.predict(place / "in")
    with pytest.raises(AudioError, match=r"3a\.wav"):
        model.embed(place / "in")
    with pytest.raises(ConfigError, match="on_error must be"):
        model.embed(place / "in", on_error="ignore")
    with pytest.raises(ConfigError, match="per must be"):
        model.embed(place / "in", per="window")
    with pytest.raises(CheckpointError, match="another encoder"):
        semisupcon.load("mfcc", place / "head.safetensors")
    whole = semisupcon.load(place / "small", place / "head.safetensors")
    with pytest.raises(ConfigError, match="need per='window'"):
        whole.predict(place / "in", window=1.0)
    assert semisupcon.load("mfcc").embed(place / "in" / "1.wav").shape[0] == 1


@pytest.mark.slow
def test_embedding_needs_no_package_of_training(place):
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pandas", "scipy", "sklearn", "yaml", "pytorch_lightning"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Absent())
import semisupcon
print(semisupcon.load({str(place / "small")!r}).embed({str(place / "in" / "1.wav")!r}).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "(1, 16)", done.stderr


def test_the_python_of_the_page_runs(place, tmp_path, monkeypatch):
    page = (Path(__file__).resolve().parents[2] / "docs" / "predict.md").read_text("utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    subject = load_subject("mfcc")
    about = {"classes": ["a", "b"], "encoder": subject.fingerprint()}
    head = new_head("linear", subject.encoder.embedding_dim, 2, "multiclass")
    save_head(head, tmp_path / "head.safetensors", about)
    (tmp_path / "recordings").mkdir()
    for i, name in enumerate(("recordings/a.wav", "recordings/b.wav", "a.wav", "b.wav")):
        (tmp_path / name).write_bytes((place / "in" / f"{i}.wav").read_bytes())
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(block, "predict.md", "exec"), names)  # noqa: S102
    assert (
        names["table"].file.tolist() == names["names"] == ["recordings/a.wav", "recordings/b.wav"]
    )
    assert names["vectors"].shape == (2, subject.encoder.embedding_dim)
    assert set(names["windows"].file) == {"a.wav", "b.wav"}

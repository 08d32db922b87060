"""`export --format onnx|torch_export`: what the files hold and compute, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

import semisupcon
from semisupcon.__main__ import main
from semisupcon.checkpoints import export_encoder, load_encoder
from semisupcon.encoders import SampleCNNSmall
from semisupcon.errors import UserError
from semisupcon.exporter.graph import Graph
from semisupcon.exporter.parity import expected, waveforms
from semisupcon.exporter.portable import portable
from semisupcon.labelling.tagger import load_tagger
from semisupcon.probing.embeddings.encoders import load_subject
from semisupcon.probing.methods.calibrating import Calibration
from semisupcon.probing.methods.head import new_head, save_head

onnxruntime = pytest.importorskip("onnxruntime")
CLASSES = ["=risky", "b", "c\tc"]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """An exported encoder of segments of 0.05 s, with embeddings of 8 values."""
    torch.manual_seed(0)
    encoder = SampleCNNSmall(widths=[4, 8], stem=20, sample_rate=8000, segment_samples=400)
    return export_encoder(encoder, tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(scope="module")
def saved(small, tmp_path_factory):
    """Saves a head of the encoder: ``saved(kind, classes, calibration, aggregation)``."""
    subject, folder = load_subject(str(small)), tmp_path_factory.mktemp("heads")

    def save(kind, classes, calibration=None, aggregation="embedding"):
        head = new_head("linear", 8, len(classes), kind, seed=1)
        head.mean += 0.01
        head.scale /= 300  # the embeddings of an untrained encoder differ little
        head.scale[3] = torch.inf  # constant in training
        about = {"classes": classes, "aggregation": aggregation, "encoder": subject.fingerprint()}
        file = folder / f"{kind}-{aggregation}.safetensors"
        save_head(head, file, about, calibration)
        return file

    return save


@pytest.fixture(scope="module")
def tags(saved):
    return saved("multilabel", CLASSES, Calibration(2.0, (0.4, 0.5, 0.6)))


@pytest.fixture(scope="module")
def exported(small, tags, tmp_path_factory):
    """The ONNX file of encoder and head, and what the command printed."""
    folder = tmp_path_factory.mktemp("out")
    args = ["export", str(small), "--format", "onnx", "--head", str(tags), "--out", str(folder)]
    assert main(args) == 0
    return folder / "model.onnx"


def run(file, waveforms):
    session = onnxruntime.InferenceSession(file.read_bytes())
    return session.run(None, {"waveform": np.asarray(waveforms, np.float32)})


def test_onnx_gives_what_predict_and_embed_write(exported, small, tags, tmp_path):
    """Files of several lengths: shorter than a segment, of one, and of several."""
    rng = np.random.default_rng(0)
    expected, found = [], []
    for i, samples in enumerate((150, 400, 1900)):
        audio = np.clip(rng.standard_normal(samples) * 0.1, -1, 1).astype(np.float32)
        soundfile.write(tmp_path / f"{i}.wav", audio, 8000, subtype="FLOAT")
        embedding, probability = run(exported, audio[None])
        np.testing.assert_allclose(
            embedding[0], load_encoder(small).embed([audio])[0], rtol=1e-4, atol=1e-7
        )
        found.append(probability[0])
    names = [str(tmp_path / f"{i}.wav") for i in range(3)]
    args = ["predict", *names, "--checkpoint", str(small), "--head", str(tags), "--all"]
    assert main([*args, "--out", str(tmp_path / "out.parquet")]) == 0
    table = pd.read_parquet(tmp_path / "out.parquet")
    for name in names:
        rows = table[table["file"] == name].set_index("label")["probability"]
        expected.append([rows[label] for label in CLASSES])
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert np.ptp(expected) > 0.1


def test_metadata_are_in_the_file_and_beside_it(exported):
    session = onnxruntime.InferenceSession(exported.read_bytes())
    inside = session.get_modelmeta().custom_metadata_map
    beside = json.loads((exported.parent / "model.onnx.json").read_text())
    assert json.loads(inside["classes"]) == beside["classes"] == CLASSES
    assert json.loads(inside["temperature"]) == beside["temperature"] == 2.0
    assert beside["thresholds"] == pytest.approx([0.4, 0.5, 0.6])
    numbers = ("sample_rate", "shortest_samples", "segment_samples", "embedding_dim")
    assert [beside[name] for name in numbers] == [8000, 1, 400, 8]
    assert beside["normalization"] == inside["normalization"] == "NoNormalization, inside the graph"
    assert beside["encoder"]["class_path"].endswith("SampleCNNSmall")
    assert 0 < beside["largest_relative_difference"] < 1e-5
    assert beside["versions"]["semisupcon"] == semisupcon.__version__
    assert [(x.name, x.shape) for x in session.get_inputs()] == [("waveform", ["batch", "samples"])]
    outputs = {x.name: x.shape for x in session.get_outputs()}
    assert outputs == {"embedding": ["batch", 8], "probability": ["batch", 3]}
    text = exported.read_bytes()
    assert str(semisupcon.__path__[0]).encode() not in text  # paths of the machine


def test_torch_export_from_python(small, tmp_path):
    model = semisupcon.load(small)
    done = model.export(tmp_path, "torch_export")
    assert done.path == tmp_path / "model.pt2"
    assert done.largest < 1e-5
    sizes = [(d.batch, d.samples) for d in done.differences]
    assert sizes == [(1, 20), (3, 21), (2, 400), (1, 551)]
    program = torch.export.load(done.path).module()
    for batch, samples in ((1, 20), (5, 777)):
        x = torch.randn(batch, samples, generator=torch.Generator().manual_seed(1)) / 10
        with torch.inference_mode():
            torch.testing.assert_close(program(x), model.encoder(x[:, None]))
    assert str(semisupcon.__path__[0]).encode() not in done.path.read_bytes()
    with pytest.raises(UserError, match="exists already"):
        model.export(tmp_path, "torch_export")
    with pytest.raises(UserError, match="format must be onnx or torch_export, got 'tflite'"):
        model.export(tmp_path, "tflite")


def test_a_file_that_differs_is_not_kept(small, tmp_path, capsys, monkeypatch):
    def damaged(graph, onnx):
        copy = portable(graph, onnx)
        for parameter in copy.parameters():
            parameter.mul_(1.0001)
        return copy

    monkeypatch.setattr("semisupcon.exporter.formats.portable", damaged)
    args = ["export", str(small), "--format", "torch_export", "--out", str(tmp_path / "a")]
    assert main(args) == 2
    text = capsys.readouterr().err
    assert "The exported file differs from PyTorch by" in text
    assert "It was not kept." in text
    assert not (tmp_path / "a").exists() or not list((tmp_path / "a").iterdir())
    assert main([*args, "--tolerance", "0.1"]) == 0
    assert (tmp_path / "a" / "model.pt2").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "onnx", "--tolerance", "2"], "--tolerance must lie between 0 and 1, got 2."),
        (["--per", "file"], "--per needs --format onnx or torch_export."),
        (["--format", "onnx", "--title", "x"], "--title is for the model card, which needs"),
        (["--format", "tflite"], "--format takes safetensors, onnx or torch_export, got 'tflite'."),
        (["--format", "onnx", "--representation", "x"], "is an exported encoder without heads"),
        (["--no_card", "--use", "x"], "--use is for the model card, which --no_card leaves out."),
        (["--licence", "do what you like"], "--licence takes an identifier such as cc-by-4.0"),
        (["--results_name", "x"], "--results_name needs --results."),
    ],
)
def test_mistakes(small, tmp_path, capsys, words, message):
    try:
        status = main(["export", str(small), "--out", str(tmp_path / "out"), *words])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_missing_packages_are_named(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("semisupcon.exporter.formats.find_spec", lambda name: None)
    args = ["export", str(small), "--format", "onnx", "--out", str(tmp_path / "out")]
    assert main(args) == 2
    text = capsys.readouterr().err
    assert "not installed: onnx, onnxscript, onnxruntime." in text
    assert "pip install onnx onnxscript onnxruntime" in text


def test_a_head_of_another_encoder_is_refused(tags, tmp_path, capsys):
    torch.manual_seed(1)
    encoder = SampleCNNSmall(widths=[4, 8], stem=20, sample_rate=8000, segment_samples=400)
    other = export_encoder(encoder, tmp_path / "other")
    for form in ("onnx", "safetensors"):
        args = ["export", str(other), "--head", str(tags), "--format", form]
        assert main([*args, "--out", str(tmp_path / "out")]) == 2
        assert "trained on another encoder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("aggregation", ["embedding", "logit", "probability", "vote"])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
def test_graphs_give_what_taggers_give(small, saved, kind, aggregation):
    """Every aggregation, with a temperature, on files of several lengths; without an export."""
    if kind == "regression" and aggregation in ("probability", "vote"):
        pytest.skip("values have neither")
    calibration = None if kind == "regression" else Calibration(1.7, ())
    file = saved(kind, CLASSES, calibration, aggregation)
    subject = load_subject(str(small))
    graph = Graph(subject, load_tagger(file, subject), "file").eval()
    for batch, samples in ((1, 150), (3, 400), (2, 1801)):
        x = waveforms(batch, samples, 8000)
        with torch.inference_mode():
            found = graph(x)
        for ours, theirs in zip(
            found, expected(subject, load_tagger(file, subject), x, True), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)

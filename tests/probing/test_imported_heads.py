"""Classifiers of imported checkpoints are scored, class by class, through the commands."""

import csv

import numpy as np
import pytest
import soundfile
import torch

from semisupcon.__main__ import main
from semisupcon.encoders import SampleCNN
from semisupcon.importer.reader import translate
from semisupcon.importer.samplecnn import SAMPLECNN

CLASSES = ["low", "middle", "high"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Six test clips of two segments, an encoder with a classifier of three classes, and the
    folders of SemiSupCon's probe and of CLMR's encoder and linear head."""
    root = tmp_path_factory.mktemp("imported")
    (root / "data").mkdir()
    draw, lines = np.random.default_rng(0), ["path,split,label"]
    for i in range(6):
        wave = 0.1 * draw.standard_normal(2 * 59_535)
        soundfile.write(root / "data" / f"{i}.wav", wave, 22_050, subtype="FLOAT")
        lines.append(f"{i}.wav,test,{CLASSES[i % 3]}")
    (root / "data" / "labels.csv").write_text("\n".join(lines) + "\n")
    torch.manual_seed(0)
    encoder = SampleCNN(segment_samples=59_535).eval()
    weight, bias = 3 * torch.randn(3, 512), torch.randn(3)
    trunk = {translate(k, SAMPLECNN): v for k, v in encoder.state_dict().items()}
    trunk = {k: v for k, v in trunk.items() if not k.startswith("normalize")}
    probe = {f"semisupcon.encoder.{k}": v for k, v in trunk.items()} | {"head.0.weight": weight}
    torch.save({"state_dict": probe}, root / "probe.ckpt")
    torch.save({"state_dict": {f"encoder.{k}": v for k, v in trunk.items()}}, root / "clmr.ckpt")
    linear = {"model.0.weight": weight, "model.0.bias": bias}
    torch.save({"state_dict": linear}, root / "linear.ckpt")
    for system, name in (("semisupcon", "probe"), ("clmr", "clmr"), ("clmr", "linear")):
        file = str(root / f"{name}.ckpt")
        assert main(["import", system, file, "--out", str(root / name)]) == 0
    with torch.no_grad():
        audio = [soundfile.read(root / "data" / f"{i}.wav", dtype="float32")[0] for i in range(6)]
        # Both systems normalise nothing; the segments are the halves of a clip.
        halves = torch.tensor(np.array(audio)).reshape(12, 1, 59_535)
        embeddings = encoder(halves).reshape(6, 2, 512)
    return root, embeddings, weight, bias


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("shared cache")


def scores(made, cache, out, head, encoder, *more):
    root = made[0]
    given = [f"--checkpoints={root / encoder}", f"--head={root / head}", "--test_only"]
    where = [f"--data_dirs.csv={root / 'data'}", f"--out={out}", f"--cache_dir={cache}"]
    assert main(["probe", *given, "--tasks=csv", *where, "--resamples=10", *more]) == 0
    with (out / "results.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert row["method"] == "imported head"
    with (out / row["predictions"]).open(newline="") as file:
        return {
            r["path"]: [float(r[f"score {name}"]) for name in CLASSES] for r in csv.DictReader(file)
        }


def test_a_probe_of_semisupcon_averages_embeddings(made, cache, tmp_path):
    _, embeddings, weight, _ = made
    classes = "--head_classes=[high,low,middle]"
    found = scores(made, cache, tmp_path, "probe", "probe", "--config=semisupcon", classes)
    # Sorted classes of the task are not the given order: output 0 is "high".
    expected = (embeddings.mean(dim=1) @ weight.T).softmax(dim=1)[:, [1, 2, 0]]
    for i in range(6):
        assert found[f"{i}.wav"] == pytest.approx(expected[i].tolist(), abs=1e-4)
    # The order of the task, high, low, middle, is the same here.
    again = scores(made, cache, tmp_path / "b", "probe", "probe", "--config=semisupcon")
    assert again == found
    names = tmp_path / "names.txt"
    names.write_text("low\nmiddle\nhigh\n")
    other = scores(made, cache, tmp_path / "c", "probe", "probe", f"--head_classes={names}")
    assert other["0.wav"] != pytest.approx(found["0.wav"], abs=1e-3)


def test_a_linear_head_of_clmr_averages_probabilities(made, cache, tmp_path):
    _, embeddings, weight, bias = made
    classes = "--head_classes=[high,low,middle]"
    found = scores(made, cache, tmp_path, "linear", "clmr", "--config=clmr", classes)
    expected = (embeddings @ weight.T + bias).softmax(dim=2).mean(dim=1)[:, [1, 2, 0]]
    for i in range(6):
        assert found[f"{i}.wav"] == pytest.approx(expected[i].tolist(), abs=1e-4)


@pytest.mark.parametrize(
    ("head", "encoder", "more", "said"),
    [
        ("probe", "clmr", [], "belongs to the encoder in the same folder"),
        ("clmr", "clmr", [], "is not a saved probe head"),
        ("linear", "clmr", ["--head_classes=[low,high]"], "has 2 names and task 'csv' 3 classes"),
        ("linear", "clmr", ["--head_classes=[low,high,x]"], "Not both have: middle, x"),
    ],
)
def test_mistakes(made, cache, tmp_path, capsys, head, encoder, more, said):
    root = made[0]
    given = [f"--checkpoints={root / encoder}", f"--head={root / head}", "--test_only", *more]
    where = [f"--data_dirs.csv={root / 'data'}", f"--out={tmp_path}", f"--cache_dir={cache}"]
    assert main(["probe", *given, "--tasks=csv", *where]) == 2
    assert said in capsys.readouterr().err


def test_classes_without_a_head(made, tmp_path, capsys):
    given = [f"--checkpoints={made[0] / 'clmr'}", "--tasks=csv", "--head_classes=[a]"]
    assert main(["probe", *given, f"--out={tmp_path}"]) == 2
    assert "--head_classes needs --test_only" in capsys.readouterr().err


def test_predict_labels_with_an_imported_classifier(made, tmp_path, capsys):
    root, embeddings, weight, bias = made
    names = tmp_path / "tags.txt"
    names.write_text("low\nmiddle\nhigh\n")
    out = tmp_path / "tags.csv"
    words = ["predict", str(root / "data"), "--checkpoint", str(root / "clmr")]
    words += ["--head", str(root / "linear"), "--out", str(out)]
    assert main(words) == 2
    assert "give --head_classes with 3 different names" in capsys.readouterr().err
    words += ["--head_classes", str(names), "--all"]
    assert main([*words, "--aggregation", "probability"]) == 0
    assert "thresholds 0.5 are used" in capsys.readouterr().err
    found = {(r["file"][-5], r["label"]): float(r["probability"]) for r in rows_of(out)}
    expected = (embeddings @ weight.T + bias).sigmoid().mean(dim=1)
    for i in range(6):
        for c, name in enumerate(CLASSES):
            assert found[str(i), name] == pytest.approx(float(expected[i, c]), abs=1e-4)


def rows_of(file):
    with open(file, newline="") as lines:
        return list(csv.DictReader(lines))

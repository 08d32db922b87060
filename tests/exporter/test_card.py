"""The model card: its header, facts of the run, results with intervals, and what is kept."""

import json

import numpy as np
import pytest
import soundfile
import torch
import yaml

from semisupcon.__main__ import main
from semisupcon.checkpoints import export_encoder
from semisupcon.encoders import SampleCNNSmall

SUMMARY = """task,method,metric,checkpoint,untrained,value,low,high,spread,chance,tracks,seeds,in_pretraining
birds,linear,accuracy,mine,False,0.8123,0.7001,0.9002,nan,0.1,120,1,0 of 120
birds,linear,f1,mine,False,0.7,0.6,0.8,nan,nan,120,1,0 of 120
birds,linear,accuracy,mine (projection),False,0.6,0.5,0.7,nan,0.1,120,1,0 of 120
birds,linear,accuracy,random,True,0.4,0.3,0.5,nan,0.1,120,1,
frogs,linear,accuracy,other,False,0.4,0.3,0.5,nan,0.1,120,1,
"""


@pytest.fixture
def run(tmp_path):
    """The folder of a run named mine: an export with run.json and run_config.yaml."""
    torch.manual_seed(0)
    encoder = SampleCNNSmall(widths=[4, 8], stem=20, sample_rate=8000, segment_samples=400)
    folder = export_encoder(encoder, tmp_path / "mine")
    data = {"train_labelled_clips": 20, "train_labelled_hours": 0.5, "train_unlabelled_clips": 0}
    state = {"data": data, "packages": {"torch": "2.9.9"}}
    (folder / "run.json").write_text(json.dumps(state))
    settings = {
        "model": {"criterion": {"class_path": "semisupcon.objectives.SemiSupCon"}},
        "data": {"init_args": {"batch_size": 48, "aug_list": ["gain", "delay"]}},
    }
    (folder / "run_config.yaml").write_text(yaml.safe_dump(settings))
    return folder


def export(run, out, *words):
    return main(["export", str(run), "--out", str(out), *map(str, words)])


def header_of(text):
    assert text.startswith("---\n")
    return yaml.safe_load(text.split("---\n")[1])


def test_a_card_says_what_is_known_and_what_is_not(run, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "summary.csv").write_text(SUMMARY)
    words = [
        "--licence",
        "cc-by-4.0",
        "--data",
        "My *field* recordings | 2020",
        "--title",
        "Frogs: 1",
    ]
    words += ["--data_licence", "all rights reserved", "--results", tmp_path / "results"]
    assert export(run, tmp_path / "out", *words) == 0
    text = (tmp_path / "out" / "README.md").read_text()
    header = header_of(text)
    assert header["library_name"] == "semisupcon"
    assert header["license"] == "cc-by-4.0"
    assert header["pipeline_tag"] == "feature-extraction"
    (index,) = header["model-index"]
    assert index["name"] == "Frogs: 1"
    metrics = [result["metrics"][0] for result in index["results"]]
    assert [metric["value"] for metric in metrics] == [0.8123, 0.6]
    assert metrics[0]["name"] == "accuracy, linear, 95 % interval 0.700 to 0.900"
    for row in (
        "| birds | linear | accuracy | mine | 0.812 | 0.700 to 0.900 | 120 |",
        "| birds | linear | accuracy | random | 0.400 | 0.300 to 0.500 | 120 |",
        "| training, labelled | 20 | 0.5 |",
        "| objective | SemiSupCon |",
        "| batch size | 48 |",
        "| augmentations | gain, delay |",
        "| sample rate | 8,000 Hz |",
        "| embedding | 8 values |",
        "| torch, in training | 2.9.9 |",
        f"| torch | {torch.__version__.split('+')[0]} |",
        r"My \*field\* recordings \| 2020",
        "Licence: all rights reserved",
    ):
        assert row in text.splitlines(), row
    assert "frogs" not in text  # a task on which this encoder was not probed
    assert "unlabelled" not in text
    assert text.split("## Intended use\n\n")[1].startswith("Not stated.")


def test_the_hub_reads_the_header(run, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    (tmp_path / "summary.csv").write_text(SUMMARY)
    words = ["--licence", "mit", "--results", tmp_path / "summary.csv"]
    assert export(run, tmp_path / "out", *words) == 0
    card = hub.ModelCard.load(tmp_path / "out" / "README.md")
    assert card.data.license == "mit"
    assert card.data.eval_results[0].metric_value == 0.8123
    assert card.data.eval_results[0].dataset_name == "birds"


def test_results_of_another_encoder_are_refused(run, tmp_path, capsys):
    (tmp_path / "summary.csv").write_text(SUMMARY.replace("mine", "yours"))
    assert export(run, tmp_path / "out", "--results", tmp_path / "summary.csv") == 2
    text = capsys.readouterr().err
    assert "--results has no results of 'mine'; it has those of other, random, yours" in text
    assert not (tmp_path / "out").exists()
    words = ["--results", tmp_path / "summary.csv", "--results_name", "yours"]
    assert export(run, tmp_path / "out", *words) == 0
    for bad in ("a,b\n1,2\n", SUMMARY.replace("0.8123", "much")):
        (tmp_path / "summary.csv").write_text(bad)
        assert export(run, tmp_path / "out2", "--results", tmp_path / "summary.csv") == 2
        assert "is not the summary of a probe" in capsys.readouterr().err
    assert export(run, tmp_path / "out2", "--results", tmp_path / "nowhere") == 2


def test_only_a_card_of_ours_is_replaced(run, tmp_path, capsys):
    out = tmp_path / "out"
    assert export(run, out) == 0
    assert export(run, out) == 2
    capsys.readouterr()
    assert export(run, out, "--overwrite", "--title", "Second") == 0
    assert "# Second" in (out / "README.md").read_text()
    (out / "README.md").write_text("# My project\n")
    assert export(run, out, "--overwrite") == 0
    assert "README.md was there before and is no model card" in capsys.readouterr().out
    assert (out / "README.md").read_text() == "# My project\n"
    assert export(run, tmp_path / "bare", "--no_card") == 0
    assert not (tmp_path / "bare" / "README.md").exists()


def test_the_head_and_the_order_of_its_classes_go_along(run, tmp_path):
    from semisupcon.probing.embeddings.encoders import load_subject
    from semisupcon.probing.methods.head import new_head, save_head

    subject = load_subject(str(run))
    about = {"classes": ["wren", "<b>owl</b>"], "encoder": subject.fingerprint()}
    save_head(new_head("linear", 8, 2, "multiclass"), tmp_path / "head.safetensors", about)
    assert export(run, tmp_path / "out", "--head", tmp_path / "head.safetensors") == 0
    text = (tmp_path / "out" / "README.md").read_text()
    assert header_of(text)["pipeline_tag"] == "audio-classification"
    assert "0. wren\n1. &#60;b&#62;owl&#60;/b&#62;\n" in text
    made = tmp_path / "out" / "head.safetensors"
    assert made.read_bytes() == (tmp_path / "head.safetensors").read_bytes()
    words = ["--checkpoint", tmp_path / "out", "--head", made, "--out", tmp_path / "a.csv"]
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-1, 1, 900), 8000)
    assert main(["predict", str(tmp_path / "a.wav"), *map(str, words)]) == 0


def test_a_run_with_damaged_facts_is_exported(run, tmp_path):
    (run / "run.json").write_text("[1")
    (run / "run_config.yaml").write_text("a: [")
    assert export(run, tmp_path / "out") == 0
    assert "The settings of the run are not known." in (tmp_path / "out" / "README.md").read_text()

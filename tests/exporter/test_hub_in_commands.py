"""Commands that take ``hf://user/name`` for an encoder: the same results as with its folder."""

import csv

import pytest

from semisupcon.__main__ import main
from semisupcon.checkpoints import load_encoder, read_checkpoint
from tests.pretraining.runs import pretrain

pytest.importorskip("huggingface_hub")

ADDRESS = "hf://me/mine"


def run(*words):
    assert main([str(word) for word in words]) == 0


def probe(digits, out, cache, encoder, *more):
    """Probe digits; returns the values of the results without the columns of the encoder."""
    where = ("--data_dirs.fsdd_digit", digits, "--out", out, "--cache_dir", cache)
    words = ("--projection", "none", "--resamples", "20", "--training.max_epochs", "3")
    run("probe", "--tasks", "fsdd_digit", "--checkpoints", encoder, *where, *words, *more)
    with (out / "results.csv").open() as file:
        return [(row["method"], row["metric"], row["value"]) for row in csv.DictReader(file)]


def test_probe_and_predict(published, folder, digits, tmp_path):
    linear, cache = ("--methods", "[linear,knn]"), tmp_path / "cache"
    found = probe(digits, tmp_path / "hub", cache, ADDRESS, *linear)
    assert found
    assert found == probe(digits, tmp_path / "local", tmp_path / "other", folder, *linear)
    head = next((tmp_path / "hub" / "heads").glob("*.safetensors"))
    for name, encoder in (("hub", ADDRESS), ("local", folder)):
        given = ("--checkpoint", encoder, "--head", head, "--out", tmp_path / f"{name}.csv")
        run("predict", digits, *given, "--all")
    assert (tmp_path / "hub.csv").read_bytes() == (tmp_path / "local.csv").read_bytes()


def test_a_run_starts_from_the_hub(published, folder, digits, tmp_path):
    shape = ("--model.encoder.widths", "[4,8]", "--model.encoder.stem", "20")
    given = ("--model.init_from", ADDRESS, "--model.optimizer.lr", "1e-30")
    small = (*shape, "--data.target_length", "0.05", "--trainer.max_steps", "1")
    assert pretrain(digits, tmp_path, "--run_name", "r", *small, *given) == 0
    last = read_checkpoint(tmp_path / "r" / "last.ckpt")["state_dict"]
    for name, value in load_encoder(folder).named_parameters():
        assert (last[f"encoder.{name}"] - value).abs().max() < 1e-12


def test_fine_tuning_starts_from_the_hub(published, folder, digits, tmp_path):
    start = tmp_path / "start"
    run("export", folder, "--out", start)
    still = ("--methods", "finetune", "--finetune.max_epochs", "1", "--finetune.lr", "1e-30")
    cache = tmp_path / "cache"
    hub, local = (
        probe(digits, tmp_path / name, cache, start, *still, "--finetune.init_from", source)
        for name, source in (("hub", ADDRESS), ("local", folder))
    )
    assert hub
    assert hub == local


def test_the_other_commands(published, folder, digits, tmp_path):
    """`tag`, `index` and `search`, `export`: each reads the model on the hub."""
    labels = tmp_path / "labels.csv"
    files = sorted((digits / "recordings").glob("*.wav"))
    rows = [f"{file.name},{file.name[0]}" for file in files[::3]]
    labels.write_text("\n".join(["path,label", *rows]) + "\n")
    audio = digits / "recordings"
    for name, encoder in (("hub", ADDRESS), ("local", folder)):
        out = tmp_path / name
        out.mkdir()
        given = ("--checkpoint", encoder)
        run("tag", "--audio", audio, "--labels", labels, *given, "--out", out / "tags.csv")
        run("index", audio, *given, "--out", out / "index")
        run("search", files[0], "--index", out / "index", "--top", "3", "--out", out / "hits.csv")
        run("export", encoder, "--out", out / "copy", "--no_card")
    for file in ("tags.csv", "hits.csv", "copy/model.safetensors"):
        assert (tmp_path / "hub" / file).read_bytes() == (tmp_path / "local" / file).read_bytes()

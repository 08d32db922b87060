"""`probe.py` end to end on a tiny data set: tables, files, resuming, and what a person is told."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from semisupcon.commands.probe import main
from semisupcon.datasets import load_annotations
from semisupcon.probing.embeddings.cache import Chunks
from semisupcon.probing.embeddings.embedder import Embedder
from semisupcon.probing.embeddings.encoders import load_subject
from semisupcon.probing.embeddings.tasks import load_task, shuffled_labels
from semisupcon.probing.methods.head import load_head, new_head, predict, save_head
from semisupcon.probing.methods.linear import probe
from semisupcon.probing.methods.settings import Settings, Training
from semisupcon.probing.methods.trained_heads import Linear
from semisupcon.probing.scores.metrics import evaluate
from semisupcon.probing.scores.results import read_predictions
from tests.probing.conftest import gaussian_features


@pytest.fixture
def run(tones, exported, cache, tmp_path):
    """Call `probe.py` in-process; returns its exit status and the rows of its results."""

    def probe(*extra, tasks="pitch=csv", checkpoints=f"[{exported},random]", out=tmp_path / "out"):
        where = [f"--data_dirs.{t.split('=')[0]}={tones}" for t in tasks.split(",")]
        status = main(
            [
                "--tasks",
                tasks,
                "--checkpoints",
                checkpoints,
                "--out",
                str(out),
                "--cache_dir",
                str(cache),
                "--resamples=100",
                *where,
                *extra,
            ]
        )
        file = out / "results.csv"
        return status, list(csv.DictReader(file.open(newline=""))) if file.exists() else []

    return probe


def test_linear_probe_of_a_checkpoint_and_its_random_twin(run, tmp_path, capsys):
    status, rows = run("--seeds=[0,1]")
    assert status == 0
    accuracy = {(r["checkpoint"], r["seed"]): r for r in rows if r["metric"] == "accuracy"}
    assert set(accuracy) == {("tiny", "0"), ("tiny", "1"), ("random", "0"), ("random", "1")}
    assert {r["source"] for (c, _), r in accuracy.items() if c == "random"} == {"random"}
    for row in accuracy.values():
        assert (row["n_train"], row["n_test"]) == ("54", "18")
        assert float(row["value"]) > 0.6 > float(row["chance"])
        paths, targets, scores, *_ = read_predictions(tmp_path / "out" / row["predictions"])
        assert len(set(paths)) == len(paths) == 18
        assert (targets.argmax(1) == scores.argmax(1)).mean() == pytest.approx(
            float(row["value"]), abs=1e-5
        )
        assert (tmp_path / "out" / row["head"]).is_file()
    assert "untrained" in capsys.readouterr().out


def test_a_second_run_does_nothing_again(run, monkeypatch):
    first = run()[1]
    monkeypatch.setattr(Linear, "run", lambda self, case: pytest.fail("probed again"))
    assert run()[1] == first


def test_frozen_encoder_is_bit_identical_afterwards(tones, exported, cache):
    subject, task = load_subject(str(exported)), load_task("csv", tones)
    before = {k: v.clone() for k, v in subject.encoder.state_dict().items()}
    subject.encoder.train()
    Embedder(cache).features(subject, task)
    after = subject.encoder.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_shuffled_labels_give_chance():
    """Ten classes that a probe tells apart, and eight shuffles of the labels that it trains on."""
    features, accuracy = gaussian_features(classes=10, distance=1.5, n=600), []
    settings = Settings(training=Training(max_epochs=30))
    for seed in range(8):
        targets = shuffled_labels(features.task, seed).targets
        train, val = (
            replace(part, targets=targets[features.task.rows(s)])
            for part, s in ((features.train, "train"), (features.val, "val"))
        )
        scores = probe(replace(features, train=train, val=val), "linear", settings, seed).scores
        accuracy.append(
            evaluate("multiclass", features.test.targets, scores, features.task.classes)[
                "accuracy"
            ][0]
        )
    assert np.mean(accuracy) == pytest.approx(0.1, abs=0.05)
    scores = probe(features, "linear", settings).scores
    assert (
        evaluate("multiclass", features.test.targets, scores, features.task.classes)["accuracy"][0]
        > 0.7
    )


def test_the_shuffled_control_runs_by_option(run, exported):
    value = {
        r["metric"]: float(r["value"])
        for r in run("--shuffle_labels=true", checkpoints=str(exported))[1]
    }
    assert value["accuracy"] < 0.8


@pytest.mark.parametrize(
    ("kind", "label", "metric"),
    [
        ("multilabel", "tags", "roc_auc"),
        ("binary", "loud", "accuracy"),
        ("regression", "frequency", "median_error frequency"),
    ],
)
def test_every_label_kind(run, exported, kind, label, metric):
    status, rows = run(
        f"--task_kwargs.pitch.kind={kind}",
        f"--task_kwargs.pitch.label={label}",
        checkpoints=str(exported),
    )
    assert status == 0
    assert metric in {r["metric"] for r in rows}


def test_regression_answers_within_the_range_of_its_training_values(tmp_path):
    head = new_head("linear", 4, 2, "regression")
    x, y = torch.randn(30, 4), torch.rand(30, 2) * torch.tensor([10.0, 1.0])
    head.standardise(x, y)
    save_head(head, tmp_path / "head.safetensors", {})
    far = Chunks(1000 * torch.randn(50, 4).numpy(), np.arange(51))
    for which in (head, load_head(tmp_path / "head.safetensors")[0]):
        answers = torch.from_numpy(predict(which, far))
        assert torch.equal(answers.amin(dim=0), y.amin(dim=0))
        assert torch.equal(answers.amax(dim=0), y.amax(dim=0))


def test_folds_are_each_tested(run, exported, tones, tmp_path):
    status, rows = run(
        "--task_kwargs.pitch.folds=3",
        f"--task_kwargs.pitch.file={_without_split(tones, tmp_path)}",
        checkpoints=str(exported),
    )
    assert status == 0
    tested = [
        p
        for r in rows
        if r["metric"] == "accuracy"
        for p in read_predictions(tmp_path / "out" / r["predictions"])[0]
    ]
    assert len(tested) == len(set(tested)) == 90
    assert {(r["fold"], f"-fold{r['fold']}-" in r["predictions"]) for r in rows} == {
        (str(i), True) for i in (1, 2, 3)
    }


def test_a_fold_may_be_chosen_and_a_seed_given_to_the_data_set(run, exported, tones, tmp_path):
    file = f"--task_kwargs.pitch.file={_without_split(tones, tmp_path)}"
    options = (
        "--task_kwargs.pitch.folds=3",
        "--task_kwargs.pitch.fold=2",
        "--task_kwargs.pitch.seed=5",
    )
    status, rows = run(file, *options, checkpoints=str(exported))
    assert status == 0
    assert {r["fold"] for r in rows} == {"2"}
    expected = load_annotations(
        "csv", tones, file=str(tmp_path / "labels.csv"), folds=3, fold=2, seed=5
    ).table
    tested = read_predictions(tmp_path / "out" / rows[0]["predictions"])[0]
    assert sorted(tested) == sorted(expected["path"][expected["split"] == "test"])


def _without_split(tones, folder):
    rows = [line.split(",") for line in (tones / "labels.csv").read_text().splitlines()]
    file = folder / "labels.csv"
    file.write_text("\n".join(f"{r[0]},{r[2]}" for r in rows) + "\n")
    return file


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--tasks=fsdd_digt"], "Did you mean 'fsdd_digit'"),
        (["--tasks=fsdd_digit"], "needs its folder"),
        (["--methods=lineer"], "Did you mean 'linear'"),
        (["--checkpoints=nowhere.ckpt"], "nowhere.ckpt"),
        (["--checkpoints=random"], "also give a checkpoint"),
        (["--representations=projection"], "No representation|without heads"),
        (["--aggregation=mode"], "Unknown aggregation 'mode'"),
        (["--train_share=2"], "must lie in"),
    ],
)
def test_mistakes_are_answered_in_a_sentence(run, capsys, arguments, told):
    assert run(*arguments)[0] == 2
    error = capsys.readouterr().err
    assert re.search(told, error), error
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) <= 3


def test_a_misspelt_option_is_answered_with_the_right_one(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--taks", "a"])
    assert caught.value.code == 2
    assert "--tasks" in capsys.readouterr().err

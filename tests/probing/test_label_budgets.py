"""Results by number of labels, through the command, and numbers of labels with equal results."""

import csv

import numpy as np
import pytest

from semisupcon.commands.probe import main
from semisupcon.probing.scores.budgets import labels_for
from semisupcon.probing.studies.budgets import (
    LabelBudget,
    for_early_stopping,
    labelling_order,
    with_labels,
)
from tests.probing.conftest import gaussian_features


def read(file):
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def command(tones, exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("budgets")

    def probe(*more, out="out", tasks="pitch=csv"):
        return main(
            [
                *(f"--data_dirs.pitch={tones}", f"--out={folder / out}", f"--tasks={tasks}"),
                f"--cache_dir={folder / 'cache'}",
                f"--checkpoints=[tiny={exported},random,mfcc]",
                *("--resamples=100", "--projection=none", "--training.max_epochs=30", *more),
            ]
        )

    probe.folder = folder
    return probe


@pytest.fixture(scope="module")
def out(command):
    budgets = "--methods=[linear,knn,prototypes]", "--label_budget=[2,6,27,500,all]"
    assert command(*budgets, "--budget_draws=3") == 0
    return command.folder / "out"


def test_every_number_and_draw_stands_in_the_file(out):
    rows = [row for row in read(out / "budgets.csv") if row["metric"] == "accuracy"]
    for who in ("tiny", "random", "mfcc"):
        for method in ("linear", "knn"):
            mine = [r for r in rows if r["checkpoint"] == who and r["method"].startswith(method)]
            found = sorted((int(row["n_train"]), int(row["seed"])) for row in mine)
            assert found == [(n, draw) for n in (2, 6, 27) for draw in range(3)] + [(54, 0)]
    assert not any(row["method"].startswith("prototypes") for row in rows)
    few = next(row for row in rows if row["n_train"] == "2")
    assert "2 labels, 0 of them for early stopping, 2 of 3 classes" in few["detail"]


def test_the_report_has_the_curves_and_what_is_equal(out):
    points = {(r["encoder"], r["method"], r["labels"]): r for r in read(out / "label_budgets.csv")}
    assert len(points) == 3 * 2 * 4
    for point in points.values():
        assert float(point["low"]) <= float(point["value"]) <= float(point["high"])
    assert points["mfcc", "linear", "54"]["draws"] == "1"
    assert float(points["mfcc", "linear", "54"]["value"]) > float(
        points["mfcc", "linear", "2"]["value"]
    )
    page, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    for told in (page, text):
        assert "Numbers of labels" in told
        assert "2 labels on mfcc equal" in told
        assert "on random" in told
    assert page.count("accuracy by number of labels") == 2
    equal = [row for row in read(out / "equal_labels.csv") if row["encoder"] == "mfcc"]
    assert {row["other"] for row in equal} == {"tiny", "random"}


def test_it_continues_without_repeating(out, command, monkeypatch):
    from semisupcon.probing.methods.trained_heads import Linear

    before = (out / "budgets.csv").read_text()
    options = "--label_budget=[2,6,27,500,all]", "--budget_draws=3"
    monkeypatch.setattr(Linear, "run", lambda *_: pytest.fail("a probe was run again"))
    assert command("--methods=[linear,knn,prototypes]", *options) == 0
    assert (out / "budgets.csv").read_text() == before


@pytest.mark.parametrize(
    ("kind", "label", "metric"),
    [("regression", "frequency", "r2"), ("multilabel", "tags", "roc_auc"), ("binary", "loud", "")],
)
def test_other_kinds_of_labels(command, kind, label, metric):
    options = f"--task_kwargs.pitch.kind={kind}", f"--task_kwargs.pitch.label={label}"
    more = "--methods=knn", "--label_budget=[8,all]", "--budget_draws=2"
    assert command(*options, *more, out=kind) == 0
    rows = read(command.folder / kind / "label_budgets.csv")
    assert {row["labels"] for row in rows} == {"8", "54"}
    assert {row["metric"] for row in rows} == {metric or "roc_auc"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--label_budget=[10,some]"], "--label_budget takes whole numbers from 2, or all"),
        (["--label_budget=1"], "--label_budget takes whole numbers from 2"),
        (["--label_budget=-5"], "--label_budget takes whole numbers from 2"),
        (["--label_budget=10", "--budget_draws=0"], "--budget_draws must be at least 1"),
        (["--label_budget=10", "--methods=few_shot"], "does not apply to few_shot"),
    ],
)
def test_mistakes(command, capsys, options, said):
    assert command(*options, out="wrong") == 2
    assert said in capsys.readouterr().err
    assert not (command.folder / "wrong" / "budgets.csv").exists()


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "binary", "regression"])
def test_the_order_covers_classes_first_and_keeps_their_shares(kind):
    features = gaussian_features(kind, n=300)
    targets, names = features.train.targets, features.train.paths
    order = labelling_order(targets, kind, names, draw=1)
    assert sorted(order) == list(range(len(targets)))
    assert list(order) != list(labelling_order(targets, kind, names, draw=2))
    shuffled = np.random.default_rng(0).permutation(len(names))
    again = labelling_order(targets[shuffled], kind, [names[i] for i in shuffled], draw=1)
    assert [names[shuffled[i]] for i in again] == [names[i] for i in order]  # by name
    if kind == "regression":
        return
    first = targets[order[: 2 if kind == "binary" else 4]]
    assert (first.max(axis=0) == 1).all()
    if kind == "binary":
        assert (first.min(axis=0) == 0).all()
    if kind == "multiclass":
        share = targets.mean(axis=0)
        assert np.abs(targets[order[:60]].mean(axis=0) - share).max() < 0.04


def test_labels_held_out_for_early_stopping_are_among_the_number():
    features = gaussian_features(n=600)
    order = labelling_order(features.train.targets, "multiclass", features.train.paths, 0)
    few = with_labels(features, order[:200])
    assert (len(few.train), len(few.val)) == (160, 40)
    assert set(few.train.paths) | set(few.val.paths) <= set(features.train.paths)
    assert not set(few.train.paths) & set(few.val.paths)
    assert few.test is features.test
    rows = few.task.rows("train")
    assert [few.task.paths[i] for i in rows] == list(few.train.paths)
    np.testing.assert_array_equal(few.task.targets[rows], few.train.targets)
    assert len(with_labels(features, order[:100]).val) == 0
    alone = np.eye(250)
    assert not for_early_stopping(alone, "multiclass").any()  # every class has one clip


def test_numbers_of_labels_are_interpolated_on_the_logarithm():
    sizes = [10, 100, 1000]
    curve = np.array([[0.2, 0.4, 0.6]] * 5 + [[0.5, 0.3, 0.7]])
    wanted = np.array([0.1, 0.2, 0.3, 0.6, 0.7, 0.6])
    found = labels_for(wanted, curve, sizes)
    assert found == pytest.approx([0, 10, 10**1.5, 1000, np.inf, 10**2.5])


def test_sizes():
    budget = LabelBudget.of(["20", 10, "all", 10], 3)
    assert budget.sizes == (20, 10, None)
    assert budget.known(54, "t") == [10, 20, 54]
    assert budget.known(15, "t") == [10, 15]

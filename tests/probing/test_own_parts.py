"""A probe method and a data set that are not of this package: by import path, with their own name,
settings and metric."""

import csv
import re
import sys
from pathlib import Path

import pytest

from semisupcon.commands.probe import main
from semisupcon.probing.methods.by_name import METHODS, find_method, key_of
from semisupcon.probing.scores import bootstrap

ROOT = Path(__file__).resolve().parents[2]
# Beside the method of docs/probing.md, `Centroids`.
MODULE = '''
from dataclasses import replace

from semisupcon.datasets.any_table import csv
from semisupcon.probing.methods.base import Method, Outcome

class Width(Method):
    """A number that needs no scores."""

    name = "width"

    def run(self, case):
        width = float(case.features.test.chunks.mean().shape[1])
        return [Outcome(intervals={"width": (width, width, width)}, chance=1.0)]


class Short(Method):
    """Forgets a test track."""

    name = "short"

    def run(self, case):
        return [Outcome(case.features.test.targets[1:])]


class Linear(Method):
    """A second method of that name."""

    name = "linear"

    def run(self, case):
        raise AssertionError


class Wrong(Method):
    """Depends on what is no setting."""

    name = "wrong"
    depends = ("distanse",)


def f1_tones(root, metric: str = "f1"):
    return replace(csv(root), metric=metric)


def pitch_tones(root):
    return replace(csv(root, kind="regression", label="frequency"), metric="median_error")


def key_tones(root):
    return replace(csv(root), classes=("A minor", "C major", "G major"), metric="mirex_weighted, accuracy")
'''


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """The module of another project."""
    (example,) = re.findall(
        r"```python\n# my_methods.py\n(.*?)```",
        (ROOT / "docs" / "probing.md").read_text(),
        re.DOTALL,
    )
    (tmp_path / "my_parts.py").write_text(example + MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    import my_parts

    yield my_parts
    sys.modules.pop("my_parts")


@pytest.fixture
def run(tones, exported, cache, tmp_path, parts):
    """Probe the tiny encoder; returns the exit status, and the rows of results and summary."""

    def probe(*options, task="csv", seeds="[0]", checkpoints=str(exported)):
        where = [
            f"--data_dirs.tones={tones}",
            f"--out={tmp_path / 'out'}",
            f"--cache_dir={cache}",
            "--projection=none",
            "--resamples=50",
        ]
        status = main(
            [
                f"--tasks=[tones={task}]",
                f"--checkpoints={checkpoints}",
                f"--seeds={seeds}",
                *where,
                *options,
            ]
        )
        files = (tmp_path / "out" / "results.csv", tmp_path / "out" / "summary.csv")
        return status, *(
            list(csv.DictReader(file.open(newline=""))) if file.exists() else [] for file in files
        )

    return probe


def test_a_method_by_import_path(run, parts, tmp_path):
    status, rows, lines = run("--methods=[linear,my_parts.Centroids,my_parts.Width]", seeds="[0,1]")
    assert status == 0
    mine = [r for r in rows if r["method"] == "centroids"]
    assert {r["seed"] for r in mine} == {"0"}
    assert {r["metric"] for r in mine} == {"accuracy", "precision", "recall", "f1"}
    assert float(mine[0]["value"]) > 0.5
    assert mine[0]["aggregation"] == "embedding"
    assert (tmp_path / "out" / mine[0]["predictions"]).is_file()
    widths = [line for line in lines if line["method"] == "width"]
    assert [(line["metric"], line["value"], line["chance"], line["seeds"]) for line in widths] == [
        ("width", "16", "1", "2")
    ]


def test_a_method_runs_again_when_its_settings_change_only(run, parts, monkeypatch):
    ran, once = [], parts.Centroids.run
    monkeypatch.setattr(
        parts.Centroids,
        "run",
        lambda self, case: ran.append(case.settings.distance) or once(self, case),
    )
    for options in (
        ["--way=3"],
        ["--neighbours=[1]"],
        ["--distance=euclidean"],
        ["--distance=euclidean", "--way=2"],
    ):
        assert run("--methods=my_parts.Centroids", *options)[0] == 0
    assert ran == ["cosine", "euclidean"]


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        ("numpy.zeros", "'numpy.zeros' is not a probe method"),
        ("semisupcon.probing.methods.base.Method", "is not a probe method"),
        ("my_parts.Nothing", "cannot be imported"),
        ("nowhere.Nothing", "cannot be imported"),
        ("my parts", "Unknown method 'my parts'. Give one of linear"),
        (
            "my_parts.Wrong",
            "depends on 'distanse', which is not a setting. Did you mean 'distance'?",
        ),
        ("my_parts.Short", "returned scores of shape (17, 3); task 'tones' needs (18, 3)"),
        ("linear,my_parts.Linear", "Two methods are called 'linear'"),
    ],
)
def test_a_path_that_is_no_method_is_refused(run, capsys, methods, told):
    assert run(f"--methods={methods}")[0] == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.strip().splitlines()) <= 3


def test_methods_of_the_package_have_their_names():
    for name in METHODS:
        assert (find_method(name).name, key_of(find_method(name))) == (name, name)


def test_the_metric_of_a_data_set_is_the_main_one(run):
    status, rows, lines = run(
        "--methods=[linear,knn,few_shot]", "--way=3", "--episodes=50", task="my_parts.f1_tones"
    )
    assert status == 0
    linear = [r for r in rows if r["method"] == "linear"]
    assert [r["metric"] for r in linear] == [
        *("f1", "accuracy", "precision", "recall", "ece", "ece_scaled")
    ]
    # Of the three classes, one is always answered: precision 1/3, recall 1.
    assert [r["chance"] for r in linear] == [f"{1 / 6:.6g}", "nan", "nan", "nan", "nan", "nan"]
    assert [line["metric"] for line in lines if line["method"] == "linear"] == ["f1", "accuracy"]
    assert {line["metric"] for line in lines if line["method"].startswith("few_shot")} == {
        "accuracy"
    }


@pytest.mark.parametrize(
    ("task", "metrics"),
    [
        ("key_tones", ["mirex_weighted", "accuracy"]),
        ("pitch_tones", ["median_error frequency", "r2"]),
    ],
)
def test_metrics_of_keys_and_values(run, task, metrics):
    status, rows, lines = run("--methods=knn", task=f"my_parts.{task}")
    assert status == 0
    assert [line["metric"] for line in lines] == metrics
    assert rows[0]["chance"] != "nan"


def test_results_are_of_the_metric_that_the_data_set_names(run):
    first = {r["identity"] for r in run("--methods=linear")[1]}
    assert {
        r["identity"]
        for r in run(
            "--methods=linear", "--task_kwargs.tones.metric=accuracy", task="my_parts.f1_tones"
        )[1]
    } == first
    rows = run("--methods=linear", task="my_parts.f1_tones")[1]
    assert rows[0]["metric"] == "f1"
    assert {r["identity"] for r in rows}.isdisjoint(first)


def test_an_unknown_metric_is_refused(run, capsys):
    assert (
        run("--methods=linear", "--task_kwargs.tones.metric=acuracy", task="my_parts.f1_tones")[0]
        == 2
    )
    error = capsys.readouterr().err
    assert "names the metric 'acuracy'" in error
    assert "Did you mean 'accuracy'?" in error
    assert "accuracy, precision, recall, f1" in error
    assert len(error.strip().splitlines()) <= 3


def test_a_result_is_resampled_once(run, tones, tmp_path, monkeypatch):
    drawn = []
    draw = bootstrap.resamples
    monkeypatch.setattr(bootstrap, "resamples", lambda n, *more: drawn.append(n) or draw(n, *more))
    _, rows, lines = run("--methods=[linear,knn]", seeds="[0,1]")
    assert drawn == [18, 18, 18]  # linear with two seeds, kNN with one
    knn = next(row for row in rows if (row["method"], row["metric"]) == ("knn", "accuracy"))
    assert (float(lines[1]["low"]), float(lines[1]["high"])) == pytest.approx(
        [float(knn[side]) for side in ("low", "high")], abs=1e-5
    )
    run("--methods=[linear,knn]", seeds="[0,1]")
    assert len(drawn) == 3
    labels = [line.split(",") for line in (tones / "labels.csv").read_text().splitlines()]
    (tmp_path / "folds.csv").write_text("\n".join(f"{row[0]},{row[2]}" for row in labels) + "\n")
    drawn.clear()
    folds = [
        "--methods=linear",
        f"--task_kwargs.tones.file={tmp_path / 'folds.csv'}",
        "--task_kwargs.tones.folds=3",
    ]
    folds.append(f"--out={tmp_path / 'folds'}")
    run(*folds)
    assert drawn == [30, 30, 30, 90]  # every fold, and their clips together
    drawn.clear()
    run(*folds)
    assert drawn == []


def test_lost_or_damaged_draws_are_made_again(run, tmp_path):
    lines = run("--methods=linear")[2]
    (file,) = (tmp_path / "out" / "draws").glob("*.npz")
    for content in (None, b"no zip file", b""):
        file.unlink() if content is None else file.write_bytes(content)
        assert run("--methods=linear")[2] == lines

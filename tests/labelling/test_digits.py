"""Spoken digits of FSDD that nothing was trained or tuned on: from a few labels to predictions in one
command, beside a script with scikit-learn on the same embeddings.

The labels of all other clips are read here only, to score what both predict.
"""

import csv
import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torchmetrics.functional.classification import multiclass_calibration_error

import semisupcon
from semisupcon.__main__ import main
from semisupcon.labelling.linear import STRENGTHS, folds_of

KEPT = 10  # repetitions 0 to 9 are apart


def by_scikit_learn(labelled, labels, names, others):
    """Probabilities of the other clips: regularisation, temperature and probe from the labelled
    ones."""

    def score(estimator, x, y):
        return -log_loss(y, estimator.predict_proba(x), labels=range(10), normalize=False)

    fold = folds_of("multiclass", np.eye(10)[labels], names, None, 5)
    split = PredefinedSplit(fold)
    pipe = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-8, max_iter=10_000))
    grid = {"logisticregression__C": STRENGTHS}
    search = GridSearchCV(pipe, grid, scoring=score, cv=split).fit(labelled, labels)
    best = search.best_estimator_
    logits = cross_val_predict(best, labelled, labels, cv=split, method="decision_function")

    def loss(t):
        return -log_softmax(logits / t, axis=1)[np.arange(len(labels)), labels].mean()

    temperature = minimize_scalar(
        loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9}
    )
    return softmax(best.decision_function(others) / temperature.x, axis=1)


@pytest.mark.parametrize(
    ("speakers", "repetitions", "each"),
    [(2, 5, 3), pytest.param(6, 10, 6, marks=pytest.mark.slow)],
)
def test_digits_from_a_few_labels(shared, tmp_path, capsys, speakers, repetitions, each):
    recordings = shared("data/fsdd") / "recordings"
    names = sorted({file.stem.split("_")[1] for file in recordings.glob("*.wav")})[:speakers]
    (tmp_path / "kept").mkdir()
    for file in recordings.glob("*.wav"):
        _, speaker, repetition = file.stem.split("_")
        if speaker in names and int(repetition) < min(repetitions, KEPT):
            (tmp_path / "kept" / file.name).symlink_to(file)
    files = sorted(file.name for file in (tmp_path / "kept").iterdir())
    draw = np.random.default_rng(0)
    chosen = sorted(
        str(name)
        for digit in range(10)
        for name in draw.choice([f for f in files if f[0] == str(digit)], each, replace=False)
    )
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *((name, name[0]) for name in chosen)])
    words = ["--audio", str(tmp_path / "kept"), "--labels", str(tmp_path / "labels.csv")]
    out = ["--out", str(tmp_path / "tags.parquet")]
    assert main(["tag", *words, "--checkpoint", "mfcc", "--all", *out]) == 0
    printed = capsys.readouterr().out
    found = pd.read_parquet(tmp_path / "tags.parquet")
    ours = found.pivot_table(index="file", columns="label", values="probability")
    others = [name for name in files if name not in set(chosen)]
    assert [file.rsplit("/", 1)[1] for file in ours.index] == others
    assert len(others) == len(files) - 10 * each

    model = semisupcon.load("mfcc")
    embed = dict(zip(files, model.embed(tmp_path / "kept"), strict=True))
    matrices = [np.stack([embed[n] for n in part]).astype(float) for part in (chosen, others)]
    labels = np.array([int(name[0]) for name in chosen])
    theirs = by_scikit_learn(matrices[0], labels, chosen, matrices[1])
    truth = np.array([int(name[0]) for name in others])
    accuracy, error = (
        [measure(p) for p in (ours.to_numpy(), theirs)]
        for measure in (
            lambda p: accuracy_score(truth, p.argmax(axis=1)),
            lambda p: float(
                multiclass_calibration_error(
                    torch.from_numpy(p.astype(np.float64)), torch.from_numpy(truth), 10, 15
                )
            ),
        )
    )
    assert accuracy[0] == pytest.approx(accuracy[1], abs=1e-6)
    assert error[0] == pytest.approx(error[1], abs=1e-6)
    assert np.abs(ours.to_numpy() - theirs).max() < 2e-5
    low, high = map(float, re.search(r"accuracy .*interval ([\d.]+) to ([\d.]+)", printed).groups())
    print(
        f"accuracy {accuracy[0]:.4f}, calibration error {error[0]:.4f}, estimated {low} to {high}"
    )
    assert low <= accuracy[0] <= high

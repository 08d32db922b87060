"""Metrics of validation are those of all validation clips at once, equal to scikit-learn's; not
means over batches."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from semisupcon.batch import Scored
from semisupcon.commands.pretrain import main
from semisupcon.training.measures import metrics
from tests.pretraining.runs import rows, small


def draw(kind, clips=60, views=2, classes=4):
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(clips, views, classes, generator=generator)
    if kind == "multiclass":
        targets = torch.eye(classes)[torch.randint(classes, (clips,), generator=generator)]
    elif kind == "regression":
        targets = torch.randn(clips, classes, generator=generator)
    else:
        targets = (torch.rand(clips, classes, generator=generator) < 0.3).float()
    return scores, targets[:, None].repeat(1, views, 1)


@pytest.mark.parametrize("kind", ["multilabel", "binary", "multiclass", "regression"])
def test_they_are_those_of_scikit_learn_and_unknown_rows_do_not_count(kind):
    scores, targets = draw(kind, classes=1 if kind == "binary" else 4)
    s, t = scores.flatten(0, 1).numpy(), targets.flatten(0, 1).numpy()
    expected = {
        "multilabel": lambda: {
            "roc_auc": roc_auc_score(t, s),
            "map": average_precision_score(t, s),
        },
        "binary": lambda: {
            "roc_auc": roc_auc_score(t, s),
            "map": average_precision_score(t, s),
            "accuracy": np.mean((s > 0) == t),
        },
        "multiclass": lambda: {"accuracy": np.mean(s.argmax(1) == t.argmax(1))},
        "regression": lambda: {"r2": r2_score(t, s)},
    }[kind]()
    unknown = torch.full_like(targets[:5], torch.nan)
    found = metrics(
        Scored(torch.cat([scores, scores[:5] + 9]), torch.cat([targets, unknown]), kind, "a_")
    )
    assert {
        name.removeprefix("a_"): float(value) for name, value in found.items()
    } == pytest.approx(expected, abs=1e-6)


def test_tags_that_are_always_or_never_there_do_not_count():
    scores, targets = draw("multilabel")
    targets[..., 0], targets[..., 1] = 0, 1
    s, t = scores.flatten(0, 1)[:, 2:].numpy(), targets.flatten(0, 1)[:, 2:].numpy()
    found = metrics(Scored(scores, targets, "multilabel"))
    assert float(found["roc_auc"]) == pytest.approx(roc_auc_score(t, s), abs=1e-6)
    assert float(found["map"]) == pytest.approx(average_precision_score(t, s), abs=1e-6)


def test_nothing_known_is_no_metric():
    scores, targets = draw("multilabel")
    assert metrics(Scored(scores, torch.full_like(targets, torch.nan), "multilabel")) == {}


@pytest.mark.parametrize(
    ("recipe", "task", "names"),
    [
        ("supervised", "synthetic_tags", {"val_roc_auc", "val_map"}),
        ("supervised", "synthetic_instrument", {"val_accuracy"}),
        ("mtslvr/predictive", None, {"val_operator_map", "val_operator_roc_auc"}),
    ],
)
def test_a_run_logs_them(tmp_path, recipe, task, names):
    more = ["--data.sl_task", task] if task else []
    arguments = small(
        recipe, tmp_path, tmp_path / "runs", "--run_name", "a", *more, "--data.data_dir", "null"
    )
    limits = [
        "--trainer.max_steps",
        "2",
        "--trainer.limit_val_batches",
        "6",
        "--monitor",
        min(names),
    ]
    assert main([*arguments, *limits]) == 0
    logged = [row for row in rows(tmp_path / "runs" / "a") if row.get("val_loss")]
    assert names <= {name for name, value in logged[-1].items() if value}
    assert all(0 <= float(logged[-1][name]) <= 1 for name in names)

"""Draw the figures of a report, with their captions."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import nan
from pathlib import Path

import numpy as np

from semisupcon.errors import first_line
from semisupcon.plots import draw_confusion, draw_lines, draw_scatter
from semisupcon.probing.report.layers import is_one_layer, layer_pictures
from semisupcon.probing.report.picture import Picture
from semisupcon.probing.scores.metrics import confusion
from semisupcon.probing.scores.results import Row, main_rows, read_predictions
from semisupcon.probing.studies.maps import TITLES, load_map

log = logging.getLogger(__name__)


def pictures_of(task: str, rows: Sequence[Row], out: Path) -> Iterator[Picture]:
    """Yield the confusion matrices, learning curves, results by layer and maps of a task.

    Args:
        task: name of the task.
        rows: result rows of the task.
        out: folder of the results.
    """
    yield from _confusions(task, rows, out)
    yield from _curves(task, rows, out)
    yield from layer_pictures(task, rows)
    yield from _maps(task, out)


def _confusions(task: str, rows: Sequence[Row], out: Path) -> Iterator[Picture]:
    """Yield one confusion matrix per encoder, pooled over folds.

    The predictions are those of the first method with predictions, and of its first seed.
    """
    if rows[0].kind != "multiclass":
        return
    for who in dict.fromkeys((row.checkpoint, row.representation) for row in rows):
        mine = [
            row for row in rows if (row.checkpoint, row.representation) == who and row.predictions
        ]
        mine = [row for row in mine if not is_one_layer(row.method)] or mine
        if not mine:
            continue
        files = dict.fromkeys(
            row.predictions
            for row in mine
            if (row.method, row.seed) == (mine[0].method, mine[0].seed)
        )
        read = [read_predictions(out / file) for file in files]
        counts = np.sum([confusion(targets, scores) for _, targets, scores, *_ in read], axis=0)
        if len(counts) <= 60:
            caption = f"{who[0]}, {mine[0].method}: confusion matrix of the test clips"
            yield Picture(task, caption, draw_confusion(counts, read[0][3]))


def _curves(task: str, rows: Sequence[Row], out: Path) -> Iterator[Picture]:
    """Yield one figure per method with the training and validation losses of all encoders.

    The losses are those of the first fold and seed. Probes of single layers are left out.
    """
    curves: dict[str, dict[str, list[float]]] = {}
    for row in main_rows(rows):
        file = out / "curves" / (Path(row.predictions).stem + ".json")
        if (
            row.fold > 1
            or row.representation != "embedding"
            or is_one_layer(row.method)
            or not row.predictions
            or not file.exists()
        ):
            continue
        of = curves.setdefault(row.method, {})
        if f"{row.checkpoint}, training" not in of:
            if not (epochs := _epochs(file)):
                continue
            of[f"{row.checkpoint}, training"] = [e["train_loss"] for e in epochs]
            if any("val_loss" in e for e in epochs):
                of[f"{row.checkpoint}, validation"] = [
                    e.get("val_loss", float("nan")) for e in epochs
                ]
    for method, of in curves.items():
        if not of:
            continue
        longest = max(map(len, of.values()))
        ticks = [str(i + 1) for i in range(longest)]
        yield Picture(task, f"{method}: loss by epoch", draw_lines(ticks, of, x="epoch", y="loss"))


def _epochs(file: Path) -> list[dict[str, float]]:
    """Read the losses of each epoch from a file.

    The list is empty if the file is damaged (with a warning).
    """
    try:
        epochs = json.loads(file.read_text())
        return [
            {k: float(v) for k, v in epoch.items()} for epoch in epochs if "train_loss" in epoch
        ]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        log.warning("The curve %s is left out: %s", file, first_line(error, 160))
        return []


def _maps(task: str, out: Path) -> Iterator[Picture]:
    for file in sorted((out / "maps").glob("*.json")):
        found = load_map(file)
        if found is not None and found.task == task:
            kind = TITLES[found.method]
            drawn = draw_scatter(
                np.array(found.points),
                np.array(found.labels),
                label_title=found.label,
                names=found.paths,
                x=f"{kind} 1",
                y=f"{kind} 2",
            )
            yield Picture(
                task,
                f"{found.checkpoint}: {kind} of the test clips by {found.label}; point at a dot to "
                "see its clip",
                drawn,
            )


def robustness_pictures(rows: Sequence[Mapping[str, str]]) -> Iterator[Picture]:
    """Yield one figure per task and family of corruptions, with the main metric by corruption.

    Args:
        rows: rows of ``robustness.csv``.
    """
    for task, family in robustness_questions(rows):
        mine = robustness_rows(rows, task, family)
        ticks = list(dict.fromkeys(r["detail"].split("/", 1)[1] for r in mine))
        curves: dict[str, list[tuple[float, float, float]]] = {}
        for r in mine:
            name = f"{r['checkpoint']}, {method_of(r, family)}"
            curve = curves.setdefault(name, [(nan, nan, nan)] * len(ticks))
            at = ticks.index(r["detail"].split("/", 1)[1])
            curve[at] = float(r["value"]), float(r["low"]), float(r["high"])
        metric = mine[0]["metric"]
        drawn = draw_lines(
            ticks, curves, x="severity" if family == "severity" else "corruption", y=metric
        )
        yield Picture(
            task,
            f"{task}: {metric} on corrupted test audio ({family}); bands are 95\u00a0% intervals",
            drawn,
        )


def robustness_questions(rows: Iterable[Mapping[str, str]]) -> list[tuple[str, str]]:
    """Return the pairs of task and corruption family, in the order of the rows."""
    return list(dict.fromkeys((r["task"], r["detail"].split("/")[0]) for r in rows))


def robustness_rows(
    rows: Iterable[Mapping[str, str]], task: str, family: str
) -> list[Mapping[str, str]]:
    """Return the rows of the main metric, which comes first, for a task and corruption family."""
    mine = [r for r in rows if r["task"] == task and r["detail"].startswith(f"{family}/")]
    return [r for r in mine if r["metric"] == mine[0]["metric"]]


def method_of(row: Mapping[str, str], family: str) -> str:
    """Return the name of the method of a row, without the name of the corruption."""
    return row["method"].split(f", {family} ")[0]

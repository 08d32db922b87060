"""Store the bootstrap resamples of results, so that reports do not compute them again.

The name of a file is a hash of the predictions. If the predictions change, other files are used.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semisupcon.files import atomic_open
from semisupcon.probing.scores.bootstrap import Drawn, bootstrap
from semisupcon.probing.scores.results import read_predictions


def draws_file(kind: str, out: Path, predictions: Sequence[str], count: int) -> Path:
    """Return the path of the file with the resamples of predictions.

    Args:
        kind: label kind.
        out: folder of the results.
        predictions: files of the predictions, relative to ``out``: one file, or the files of all
            folds of one seed.
        count: number of resamples.
    """
    content = hashlib.sha256(f"{kind} {count}".encode())
    for file in predictions:
        content.update((out / file).read_bytes())
    return out / "draws" / f"{content.hexdigest()[:16]}.npz"


def save_draws(drawn: Drawn, file: Path) -> None:
    """Write the metrics and their resamples to a ``.npz`` file."""
    names = list(drawn.values)
    with atomic_open(file, "wb") as partial:
        np.savez(
            partial,
            names=np.array(names),
            values=list(drawn.values.values()),
            draws=[drawn.draws[name] for name in names],
            class_metrics=np.array([*drawn.by_class], dtype=str),
            by_class=np.array([*drawn.by_class.values()]),
        )


def load_draws(file: Path) -> Drawn | None:
    """Read a file written by `save_draws`; None if it does not exist or is invalid.

    Pickled data are not loaded, because they could run code.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            names, values, draws, class_metrics, by_class = (
                [*stored[key]] for key in ("names", "values", "draws", "class_metrics", "by_class")
            )
        return Drawn(
            {str(name): float(value) for name, value in zip(names, values, strict=True)},
            {str(name): of_name for name, of_name in zip(names, draws, strict=True)},
            {str(name): rows for name, rows in zip(class_metrics, by_class, strict=True)},
        )
    except Exception:  # `zipfile` raises exceptions of many types for a damaged archive.
        return None


def stored_bootstrap(kind: str, out: Path, predictions: Sequence[str], count: int) -> Drawn:
    """Return the resamples of predictions, pooled over the given files.

    Resamples that are not stored yet are computed and stored.
    """
    file = draws_file(kind, out, predictions, count)
    if (drawn := load_draws(file)) is None:
        read = [read_predictions(out / name) for name in predictions]
        targets, scores = (np.concatenate([part[i] for part in read]) for i in (1, 2))
        drawn = bootstrap(kind, targets, scores, read[0][3], count)
        save_draws(drawn, file)
    return drawn

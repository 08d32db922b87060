"""Bootstrap draws on disk: each result is resampled once; reports read the stored draws.

The file name is a hash of the predictions, so draws never belong to other predictions.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semisupcon.files import atomic_open
from semisupcon.probing.scores.bootstrap import Drawn, bootstrap
from semisupcon.probing.scores.results import read_predictions


def draws_file(kind: str, out: Path, predictions: Sequence[str], count: int) -> Path:
    """Path of the draws of one result, or of all folds of one seed.

    Args:
        kind: label kind.
        out: folder of the results.
        predictions: files of the predictions, relative to ``out``.
        count: number of resamples.
    """
    content = hashlib.sha256(f"{kind} {count}".encode())
    for file in predictions:
        content.update((out / file).read_bytes())
    return out / "draws" / f"{content.hexdigest()[:16]}.npz"


def save_draws(drawn: Drawn, file: Path) -> None:
    """Write metrics and resamples as NumPy arrays."""
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
    """Read a file of `save_draws`; None if it does not exist or is invalid.

    Pickled data are not read.
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
    except Exception:  # `zipfile` raises many types for a damaged archive.
        return None


def stored_bootstrap(kind: str, out: Path, predictions: Sequence[str], count: int) -> Drawn:
    """The draws of predictions with pooled folds; computed and written if they are not stored."""
    file = draws_file(kind, out, predictions, count)
    if (drawn := load_draws(file)) is None:
        read = [read_predictions(out / name) for name in predictions]
        targets, scores = (np.concatenate([part[i] for part in read]) for i in (1, 2))
        drawn = bootstrap(kind, targets, scores, read[0][3], count)
        save_draws(drawn, file)
    return drawn

"""Bootstrap draws on disk: a result is resampled once, when it is made, and reports read what was drawn then.

A file is named by the content of the predictions that it belongs to, so it is never taken for that of others.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from semisupcon.files import atomic_open
from semisupcon.probing.scores.bootstrap import Drawn, bootstrap
from semisupcon.probing.scores.results import read_predictions


def draws_file(kind: str, out: Path, predictions: Sequence[str], count: int) -> Path:
    """Where the draws of one result lie, or those of the folds of one seed together.

    Args:
        kind: of label.
        out: folder of the results.
        predictions: files of the predictions, relative to it.
        count: resamples.
    """
    content = hashlib.sha256(f"{kind} {count}".encode())
    for file in predictions:
        content.update((out / file).read_bytes())
    return out / "draws" / f"{content.hexdigest()[:16]}.npz"


def save_draws(drawn: Drawn, file: Path) -> None:
    """Write metrics and resamples as NumPy arrays, so that a report need not draw them again."""
    names = list(drawn.values)
    with atomic_open(file, "wb") as partial:
        np.savez(partial, names=np.array(names), values=list(drawn.values.values()), draws=[drawn.draws[name] for name in names])


def load_draws(file: Path) -> Drawn | None:
    """What `save_draws` wrote; None when there is no such file, or another one. Nothing pickled is read."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            names, values, draws = ([*stored[key]] for key in ("names", "values", "draws"))
        return Drawn(
            {str(name): float(value) for name, value in zip(names, values, strict=True)},
            {str(name): of_name for name, of_name in zip(names, draws, strict=True)},
        )
    except Exception:  # The many kinds that `zipfile` raises for a damaged archive.
        return None


def stored_bootstrap(kind: str, out: Path, predictions: Sequence[str], count: int) -> Drawn:
    """The draws of predictions, folds pooled; made and written where there are none yet."""
    file = draws_file(kind, out, predictions, count)
    if (drawn := load_draws(file)) is None:
        read = [read_predictions(out / name) for name in predictions]
        targets, scores = (np.concatenate([part[i] for part in read]) for i in (1, 2))
        drawn = bootstrap(kind, targets, scores, read[0][3], count)
        save_draws(drawn, file)
    return drawn

"""Draw results by layer, and the weights of a learned mixture of layers, for the report."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from semisupcon.plots import draw_lines
from semisupcon.probing.report.picture import Picture
from semisupcon.probing.scores.results import Row, main_rows
from semisupcon.probing.scores.summary import who_of

_LAYER = re.compile(r"(?P<method>.*), layer (?P<layer>\d+) of (?P<count>\d+)")
_WEIGHTS = re.compile(r"layer weights (?P<weights>[\d. ]+)")


def is_one_layer(method: str) -> bool:
    """Return whether the name of a method is that of a probe of one layer (``--layers all``)."""
    return _LAYER.fullmatch(method) is not None


def layer_pictures(task: str, rows: Sequence[Row]) -> Iterator[Picture]:
    """Yield the figures of a task about layers.

    For ``--layers all``, one figure per method shows the results by layer. For ``--layers
    weighted``, one figure per method shows the weight of each layer. Values are means over seeds
    and folds.
    """
    yield from _by_layer(task, rows)
    yield from _weights(task, rows)


def _by_layer(task: str, rows: Sequence[Row]) -> Iterator[Picture]:
    found: dict[str, dict[str, dict[int, list[Row]]]] = {}
    for row in main_rows(rows):
        if match := _LAYER.fullmatch(row.method):
            by_layer = found.setdefault(match["method"], {}).setdefault(who_of(row), {})
            by_layer.setdefault(int(match["layer"]), []).append(row)
    for method, encoders in found.items():
        most = max(max(by_layer) for by_layer in encoders.values())
        metric = next(row.metric for by in encoders.values() for of in by.values() for row in of)
        lines = {
            who: [_mean(by_layer.get(i + 1, [])) for i in range(most)]
            for who, by_layer in encoders.items()
        }
        ticks = [str(i + 1) for i in range(most)]
        caption = f"{method}: {metric} by layer; bands are 95\u00a0% intervals"
        yield Picture(task, caption, draw_lines(ticks, lines, x="layer", y=metric))


def _weights(task: str, rows: Sequence[Row]) -> Iterator[Picture]:
    found: dict[str, dict[str, list[list[float]]]] = {}
    for row in main_rows(rows):
        if row.method.endswith(", weighted layers") and (match := _WEIGHTS.match(row.detail)):
            method = row.method.removesuffix(", weighted layers")
            weights = [float(w) for w in match["weights"].split()]
            found.setdefault(method, {}).setdefault(who_of(row), []).append(weights)
    for method, encoders in found.items():
        lines = {who: np.mean(of, axis=0).tolist() for who, of in encoders.items()}
        ticks = [str(i + 1) for i in range(max(map(len, lines.values())))]
        drawn = draw_lines(ticks, lines, x="layer", y="weight")
        yield Picture(task, f"{method}: weight of each layer in the mixture", drawn)


def _mean(rows: Sequence[Row]) -> tuple[float, float, float]:
    if not rows:
        return (np.nan, np.nan, np.nan)
    value, low, high = np.mean([(row.value, row.low, row.high) for row in rows], axis=0)
    return float(value), float(low), float(high)

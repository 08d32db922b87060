"""Small vector pictures for the HTML report: every point, cell and line says in words what it is when pointed at."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from semisupcon.plots import COLOURS, class_style

_FONT = 'font-family="sans-serif" font-size="11"'
_SHAPES = {
    "o": '<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2"',
    "s": '<rect x="{l:.1f}" y="{t:.1f}" width="6" height="6"',
    "^": '<path d="M{x:.1f} {t:.1f}l3.6 6.4h-7.2z"',
    "D": '<path d="M{x:.1f} {t:.1f}l3.6 3.6l-3.6 3.6l-3.6-3.6z"',
}


def scatter(points: np.ndarray, labels: Sequence[str] | np.ndarray, names: Sequence[str], size: int = 420) -> str:
    """Points ``[n, 2]`` coloured by class, or by value where ``labels`` are numbers; each names its clip."""
    points, labels = np.asarray(points, dtype=float), np.asarray(labels)
    low, span = points.min(axis=0), np.ptp(points, axis=0).max() or 1.0
    place = 12 + (points - low - (np.ptp(points, axis=0) - span) / 2) / span * (size - 24)
    numeric = labels.dtype.kind == "f"
    classes = [] if numeric else sorted(dict.fromkeys(labels.tolist()), key=lambda c: (len(str(c)) if str(c).isdigit() else 99, str(c)))
    parts = []
    for (x, y), label, name in zip(place, labels.tolist(), names, strict=True):
        if numeric:
            colour, shape = _shade((label - labels.min()) / (np.ptp(labels) or 1.0)), "o"
        else:
            colour, shape = class_style(classes.index(label), len(classes))
        mark = _SHAPES.get(shape, _SHAPES["o"]).format(x=x, y=size - y, l=x - 3, t=size - y - 3.4)
        said = f"{label:.4g}" if numeric else label
        parts.append(f'{mark} fill="{colour}" fill-opacity=".8"><title>{escape(f"{name}: {said}")}</title></{mark[1:].split(" ", 1)[0]}>')
    for i, name in enumerate(classes[:40]):
        colour, shape = class_style(i, len(classes))
        x, y = size + 16 + 150 * (i // 20), 20 + 19 * (i % 20)
        mark = _SHAPES.get(shape, _SHAPES["o"]).format(x=x, y=y, l=x - 3, t=y - 3.4)
        parts.append(f'{mark} fill="{colour}"/><text x="{x + 10}" y="{y + 4}" {_FONT}>{escape(str(name)[:22])}</text>')
    width = size + (20 if numeric else 160 * (1 + (min(len(classes), 40) - 1) // 20))
    return _svg(width, size, f'<rect width="{size}" height="{size}" fill="none" stroke="#ccc"/>' + "".join(parts))


def confusion(counts: np.ndarray, classes: Sequence[str]) -> str:
    """Confusion matrix ``[C, C]``: colour is the share of the row (the true class), cells that hold something say what."""
    n = len(classes)
    cell, side = (26, 130) if n <= 20 else (12, 130)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    parts = [f'<rect x="{side}" y="{side}" width="{n * cell}" height="{n * cell}" fill="#f7f9fc" stroke="#ccc"/>']
    for row, column in np.argwhere(counts > 0):
        x, y, s = side + column * cell, side + row * cell, share[row, column]
        what = escape(f"{classes[row]} taken for {classes[column]}: {counts[row, column]} of {counts[row].sum()}")
        colour = f"rgb({247 - 239 * s:.0f},{249 - 201 * s:.0f},{252 - 145 * s:.0f})"
        parts.append(f'<rect x="{x}" y="{y}" width="{cell}" height="{cell}" fill="{colour}"><title>{what}</title></rect>')
        if n <= 20:
            ink = "#fff" if s > 0.5 else "#000"
            middle = f'x="{x + cell / 2}" y="{y + cell / 2 + 4}" text-anchor="middle"'
            parts.append(f'<text {middle} fill="{ink}" pointer-events="none" {_FONT}>{counts[row, column]}</text>')
    size = 11 if n <= 20 else 9
    for i, name in enumerate(classes):
        at, text = side + i * cell + cell / 2 + 4, escape(str(name)[:20])
        parts.append(f'<text x="{side - 6}" y="{at}" text-anchor="end" font-family="sans-serif" font-size="{size}">{text}</text>')
        parts.append(f'<text transform="translate({at},{side - 6}) rotate(-90)" font-family="sans-serif" font-size="{size}">{text}</text>')
    return _svg(side + n * cell + 8, side + n * cell + 8, "".join(parts))


def lines(ticks: Sequence[str], curves: Mapping[str, Sequence[float]], width: int = 420, height: int = 240) -> str:
    """Curves over named positions, with a legend; NaN breaks nothing."""
    values = np.array([v for curve in curves.values() for v in curve if np.isfinite(v)])
    if not len(values):
        return ""
    low, span = float(values.min()), float(np.ptp(values)) or 1.0
    left, bottom = 48, height - 34
    at = lambda i, v: (left + i / max(len(ticks) - 1, 1) * (width - left - 12), bottom - (v - low) / span * (bottom - 14))  # noqa: E731
    parts = [f'<path d="M{left} 10V{bottom}H{width - 8}" fill="none" stroke="#999"/>']
    for value in np.linspace(low, low + span, 4):
        parts.append(f'<text x="{left - 5}" y="{at(0, value)[1] + 4:.0f}" text-anchor="end" {_FONT}>{value:.3g}</text>')
    step = max(1, len(ticks) // (6 if max(map(len, ticks)) > 6 else 10))
    for i in range(0, len(ticks), step):
        parts.append(f'<text x="{at(i, low)[0]:.0f}" y="{bottom + 15}" text-anchor="middle" {_FONT}>{escape(str(ticks[i])[:12])}</text>')
    for k, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[k % len(COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*at(i, v)) for i, v in enumerate(curve) if np.isfinite(v))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.7"><title>{escape(name)}</title></polyline>')
        parts.append(f'<path d="M{width + 4} {18 + 17 * k}h16" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="{width + 25}" y="{22 + 17 * k}" {_FONT}>{escape(name[:30])}</text>')
    return _svg(width + 190, height, "".join(parts))


def _svg(width: float, height: float, inside: str) -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">{inside}</svg>'


def _shade(share: float) -> str:
    """From blue over green to yellow."""
    stops = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]])
    rgb = [np.interp(share, np.linspace(0, 1, len(stops)), stops[:, c]) for c in range(3)]
    return "rgb({:.0f},{:.0f},{:.0f})".format(*rgb)

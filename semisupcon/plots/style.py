"""Common style of all figures: colours, markers, text settings, hover texts."""

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

from semisupcon.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

# Palette of Okabe and Ito (2008). Its colours differ for people with any colour vision deficiency.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
MARKERS = "os^Dv<>PX*"
DASHES = ("-", "--", ":", "-.")
GRID: dict[str, Any] = {"color": "black", "alpha": 0.12, "linewidth": 0.6}
_HOVER = "hover:"

P = ParamSpec("P")


def require_matplotlib() -> None:
    """Raise a `ConfigError` if matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "Figures and reports need matplotlib. Install it: pip install matplotlib"
        ) from error


def draws(function: Callable[P, "Figure"]) -> Callable[P, "Figure"]:
    """Decorate a function that returns a figure.

    The decorated function raises a `ConfigError` if matplotlib is not installed, and draws ``$`` as
    text, not as the start of a formula.
    """

    @wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> "Figure":
        require_matplotlib()
        from matplotlib import rc_context

        with rc_context({"text.parse_math": False}):
            return function(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float, **kwargs: Any) -> tuple["Figure", "Axes"]:
    """Create a figure of ``width`` by ``height`` inches with one Axes object."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), **kwargs)
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def class_style(index: int, classes: int) -> tuple[str, str]:
    """Return the colour and marker of a class. They are unique for up to 80 classes."""
    if classes <= len(COLOURS):
        return COLOURS[index], "o"
    return COLOURS[index % len(COLOURS)], MARKERS[index // len(COLOURS) % len(MARKERS)]


def curve_style(index: int) -> dict[str, Any]:
    """Return the colour, dashes and width of a line. They are unique for up to 32 lines."""
    dashes = DASHES[index // len(COLOURS) % len(DASHES)]
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": dashes, "linewidth": 1.6}


def marker(index: int) -> str:
    """Return the marker of the line with this index."""
    return MARKERS[index % len(MARKERS)]


def draw_level(axes: "Axes", level: float, name: str) -> None:
    """Draw a thin horizontal line, such as the chance level, with its name at the right end."""
    axes.axhline(level, color="black", alpha=0.55, linewidth=1, linestyle=(0, (1, 2)))
    axes.annotate(
        short(name, 40), (1.0, level), xycoords=("axes fraction", "data"), fontsize=8,
        xytext=(-2, 2), textcoords="offset points", ha="right", alpha=0.7,
    )  # fmt: skip


def legend_below(figure: "Figure", lines: Sequence[Any], names: Sequence[str]) -> None:
    """Add a legend of the lines below the axes, in two columns."""
    legend = figure.legend(
        lines,
        [short(name, 40) for name in names],
        loc="outside lower center",
        ncols=2,
        fontsize=9,
        frameon=False,
    )
    tell_names(legend.get_texts(), names)


def short(name: object, most: int = 24) -> str:
    """Shorten a name for a legend or an axis: one line of at most ``most`` characters."""
    text = printable(name)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def printable(name: object) -> str:
    """Replace control characters and lone surrogates, which XML does not allow, by spaces."""
    return "".join(c if c.isprintable() else " " for c in str(name))


def hover(text: str) -> str:
    """Return a URL for a matplotlib artist that `svg_text` converts to the hover text ``text``.

    PNG files ignore URLs.
    """
    return _HOVER + printable(text)


def hover_text(url: str) -> str | None:
    """Return the text of a URL made by `hover`; None for any other URL."""
    return url.removeprefix(_HOVER) if url.startswith(_HOVER) else None


def tell_names(texts: Iterable["Text"], names: Sequence[object]) -> None:
    """Add the full name as a hover text to each text that `short` has shortened."""
    for text, name in zip(texts, names, strict=True):
        if text.get_text() != printable(name):
            text.set_url(hover(str(name)))

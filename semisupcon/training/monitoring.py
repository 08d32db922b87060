"""Decide whether a new value of the monitored metric is better than the best so far."""

import math
import re

from semisupcon.errors import ConfigError, UserError

# Words in the names of metrics for which lower, or higher, is better.
_LOWER = ("loss", "error", "eer", "uniformity", "alignment", "distance")
_HIGHER = ("top1", "accuracy", "acc", "auc", "ap", "map", "f1", "knn", "r2", "rank", "linear")


def mode_of(monitor: str | None, mode: str | None) -> str:
    """Return "min" if lower values of the monitored metric are better, else "max".

    Args:
        monitor: name of the monitored metric; None without monitoring.
        mode: "min", "max", or None to derive it from the name ("max" for unknown names).

    Raises:
        ConfigError: if the mode contradicts the name.
    """
    words = set(re.split(r"[^a-z0-9]+", (monitor or "").lower()))
    known = "min" if words & set(_LOWER) else "max" if words & set(_HIGHER) else None
    if mode and known and mode != known:
        better = "lower" if known == "min" else "higher"
        raise ConfigError(
            f"--monitor {monitor}: {better} is better, but --monitor_mode is {mode}.\nGive "
            f"--monitor_mode {known}, or leave it out."
        )
    return mode or known or "max"


def improves(value: float, best: float | None, mode: str) -> bool:
    """Return whether a value is better than the best so far; False for NaN and infinity.

    Every finite value is better than a ``best`` of None.
    """
    if not math.isfinite(value):
        return False
    return best is None or (value > best if mode == "max" else value < best)


class MonitorMissing(UserError):
    """Error: the monitored metric is not logged in validation."""

    def __init__(self, monitor: str, available: list[str]):
        super().__init__(
            f"--monitor {monitor} is not logged in validation. Logged values: "
            f"{', '.join(available)}"
        )

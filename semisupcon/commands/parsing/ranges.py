"""Check the ranges of numeric options before any work begins."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from semisupcon.errors import ConfigError

GREAT = 2**53  # float64 represents every whole number up to 2^53 exactly

MANY = 1_000_000  # bounds of at least this value are not printed in messages


class Range(NamedTuple):
    """An interval of numbers.

    Attributes:
        least: lower bound; None for no bound.
        most: upper bound; None for no bound.
        open: whether the lower and the upper bound are excluded.
    """

    least: float | None = None
    most: float | None = None
    open: tuple[bool, bool] = (False, False)

    def holds(self, value: float) -> bool:
        """Return whether a number is inside the interval; False for NaN and infinity."""
        if not math.isfinite(value):
            return False
        above = (
            self.least is None or value > self.least or (value == self.least and not self.open[0])
        )
        return above and (
            self.most is None or value < self.most or (value == self.most and not self.open[1])
        )

    def __str__(self) -> str:
        least, most = (f"{end:g}" if end is not None and end < MANY else None for end in self[:2])
        if least is not None and most is not None:
            return (
                f"lie between {least} and {most}"
                if not self.open[0]
                else f"be above {least} and at most {most}"
            )
        if least is not None:
            return f"be above {least}" if self.open[0] else f"be at least {least}"
        return "be a finite number"


COUNT = Range(1, GREAT)
NOT_NEGATIVE = Range(0, GREAT)
ABOVE_ZERO = Range(0, None, (True, False))
SHARE = Range(0, 1)
SHARE_ABOVE_ZERO = Range(0, 1, (True, False))
SAMPLE_RATE = Range(1_000, 768_000)  # Hz
FINITE = Range()


def check_numbers(values: Mapping[str, Any], ranges: Mapping[str, Range]) -> None:
    """Check that the values of numeric options are inside their ranges.

    Args:
        values: value of each option by full name. Every number of a list is checked; other values,
            such as None, are not.
        ranges: allowed range of each option by full name.

    Raises:
        ConfigError: for the first number outside its range, with option, range and value.
    """
    for name, allowed in ranges.items():
        given = values.get(name)
        for value in given if isinstance(given, list | tuple) else [given]:
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if math.isfinite(value) and allowed.most is not None and value > allowed.most >= MANY:
                raise ConfigError(f"--{name} is too large: {value}.")
            if not allowed.holds(value):
                raise ConfigError(f"--{name} must {allowed}, got {value}.")

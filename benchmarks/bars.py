"""What a benchmark found beside the bar it was asked to meet: a line each that people and programs
can read."""

from collections.abc import Iterable
from operator import ge, le
from typing import NamedTuple


class Bar(NamedTuple):
    """A figure and its bar: ``value`` must be ``relation`` (">=" or "<=") ``bar``."""

    name: str
    value: float
    bar: float
    relation: str = ">="

    @property
    def met(self) -> bool:
        """Whether it is; nothing is met by a figure that is not a number."""
        return {">=": ge, "<=": le}[self.relation](self.value, self.bar)


def all_met(bars: Iterable[Bar]) -> bool:
    """Print a ``RESULT name value >=bar`` line for each; True when every one is met."""
    bars = list(bars)
    for bar in bars:
        print(f"RESULT {bar.name} {bar.value:.4g} {bar.relation}{bar.bar:g}")
    return all(bar.met for bar in bars)

"""Results of benchmarks with the limits that they must meet."""

import re
from collections.abc import Iterable
from operator import ge, le
from typing import NamedTuple


class Bar(NamedTuple):
    """A result with its limit.

    Attributes:
        name: name of the result.
        value: measured value.
        bar: limit of the value.
        relation: ">=" or "<=", the required relation of value and limit.
    """

    name: str
    value: float
    bar: float
    relation: str = ">="

    @property
    def met(self) -> bool:
        """Whether the value meets the limit; False for NaN."""
        return {">=": ge, "<=": le}[self.relation](self.value, self.bar)


def all_met(bars: Iterable[Bar]) -> bool:
    """Print a line ``RESULT name value >=bar`` per result; return whether all limits are met."""
    bars = list(bars)
    for bar in bars:
        print(f"RESULT {bar.name} {bar.value:.4g} {bar.relation}{bar.bar:g}")
    return all(bar.met for bar in bars)


def read_bars(text: str) -> list[Bar]:
    """Return the results in the lines that `all_met` prints."""
    found = re.findall(r"^RESULT (\S+) (\S+) ([<>]=)(\S+)$", text, re.MULTILINE)
    return [Bar(name, float(value), float(bar), relation) for name, value, relation, bar in found]

"""Which combinations of a test `make test` tries; the others are left to `make test-slow`."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def mostly_slow(names: Iterable[Any], quick: Collection[Any]) -> list[Any]:
    """Parameters of a test: those of ``quick`` are always tried, the others are marked slow."""
    return [
        name if name in quick else pytest.param(*given(name), marks=pytest.mark.slow)
        for name in names
    ]


def given(name: Any) -> tuple[Any, ...]:
    """The values of a parameter."""
    return name if isinstance(name, tuple) else (name,)

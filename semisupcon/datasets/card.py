"""The line a data set has in ``python -m semisupcon data list``: what it is before any of it is on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from semisupcon.datasets.base import Kind, LabelledClips


@dataclass(frozen=True)
class Card:
    """What is known of a task without reading it; a test holds it against what the function returns.

    Attributes:
        kind: what the targets are.
        classes: number of classes (of regression: of values); None where the files decide.
        split: the split rule, in a few words.
        metric: what the field reports.
        licence: of the audio, in a few words.
        source: where it can be had.
        archives: official archives whose checksum is published; empty where there are none.
    """

    kind: Kind | str
    classes: int | None
    split: str
    metric: str
    licence: str
    source: str = ""
    archives: tuple["Archive", ...] = ()


@dataclass(frozen=True)
class Archive:
    """An official archive: its address, bytes, and checksum as ``algorithm:hexadecimal``."""

    url: str
    bytes: int
    checksum: str


class _WithCard(Protocol):
    card: Card


Function = TypeVar("Function", bound=Callable[..., LabelledClips])


def card(**fields: Any) -> Callable[[Function], Function]:
    """Give a data-set function its `Card`, as the attribute ``card``."""

    def attach(function: Function) -> Function:
        cast("_WithCard", function).card = Card(**fields)
        return function

    return attach


def card_of(function: Callable[..., LabelledClips]) -> Card:
    """The card of one of our data-set functions."""
    return cast("_WithCard", function).card

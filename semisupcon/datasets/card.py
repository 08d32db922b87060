"""Cards: facts about data sets for ``semisupcon data list``, which needs no files of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from semisupcon.datasets.base import Kind, LabelledClips


@dataclass(frozen=True)
class Card:
    """Facts about a task. A test compares them with the clips that the task returns.

    Attributes:
        kind: label kind.
        classes: number of classes (for regression: of values); None if the number depends on the
            files.
        split: short description of the split.
        metric: usual metric of the task.
        licence: short description of the licence of the audio.
        source: web address of the data set.
        archives: official archives with published checksums; may be empty.
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
    """An official archive: address, size in bytes, and checksum as ``algorithm:hexadecimal``."""

    url: str
    bytes: int
    checksum: str


class _WithCard(Protocol):
    card: Card


Function = TypeVar("Function", bound=Callable[..., LabelledClips])


def card(**fields: Any) -> Callable[[Function], Function]:
    """Return a decorator that sets the attribute ``card`` of a task's function to a `Card`."""

    def attach(function: Function) -> Function:
        cast("_WithCard", function).card = Card(**fields)
        return function

    return attach


def card_of(function: Callable[..., LabelledClips]) -> Card:
    """Return the card of a task's function in this package."""
    return cast("_WithCard", function).card

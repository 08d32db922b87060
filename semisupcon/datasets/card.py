"""The card of a data set: its line in ``semisupcon data list``, without any file on disk."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from semisupcon.datasets.base import Kind, LabelledClips


@dataclass(frozen=True)
class Card:
    """Facts about a task; a test compares them with the clips that its function returns.

    Attributes:
        kind: label kind.
        classes: number of classes (for regression: of values); None if it depends on the files.
        split: the split rule, in a few words.
        metric: usual metric of the task.
        licence: licence of the audio, in a few words.
        source: address of the data set.
        archives: official archives with a published checksum; may be empty.
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
    """An official archive: address, bytes, and checksum as ``algorithm:hexadecimal``."""

    url: str
    bytes: int
    checksum: str


class _WithCard(Protocol):
    card: Card


Function = TypeVar("Function", bound=Callable[..., LabelledClips])


def card(**fields: Any) -> Callable[[Function], Function]:
    """Decorate the function of a task with its `Card`, as the attribute ``card``."""

    def attach(function: Function) -> Function:
        cast("_WithCard", function).card = Card(**fields)
        return function

    return attach


def card_of(function: Callable[..., LabelledClips]) -> Card:
    """Return the card of a function of this package."""
    return cast("_WithCard", function).card

"""Show the progress of a command: an updated line on a terminal, else a new line every 30 s."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

EVERY_TERMINAL, EVERY_LOG = 0.2, 30.0  # seconds between two updates


class Progress:
    """Counts finished items and shows the count on standard error.

    Args:
        total: number of items.
        label: text that precedes the count.
        done: number of items that are already finished.
    """

    def __init__(self, total: int, label: str, done: int = 0):
        self.total, self.label, self.count, self._first = total, label, done, done
        self._begin = self._shown = time.monotonic()
        self._seconds = 0.0

    def advance(self, count: int = 1, seconds: float = 0.0) -> None:
        """Add a number of finished items, and their duration in seconds of audio if known."""
        self.count += count
        self._seconds += seconds
        now, on_terminal = time.monotonic(), sys.stderr.isatty()
        last = count > 0 and self.count == self.total
        if last or now - self._shown > (EVERY_TERMINAL if on_terminal else EVERY_LOG):
            self._shown = now
            self._print(self._text(max(now - self._begin, 1e-9)), last, on_terminal)

    def _text(self, taken: float) -> str:
        here = self.count - self._first
        parts = [f"{self.label}: {self.count}/{self.total}", f"{here / taken:.1f} per second"]
        if self._seconds:
            parts.append(f"{self._seconds / taken:.0f} s of audio per second")
        if self.count == self.total:
            parts.append(f"{taken:.0f} s")
        elif here:
            parts.append(f"{(self.total - self.count) * taken / here:.0f} s left")
        elif self._seconds:
            parts.append(f"{self._seconds:.0f} s of audio done")
        return ", ".join(parts)

    def _print(self, text: str, last: bool, on_terminal: bool) -> None:
        line = (f"\r{text} \033[K", "\n" if last else "") if on_terminal else (text, "\n")
        print(line[0], end=line[1], file=sys.stderr, flush=True)


def progress(items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
    """Yield the items, and show progress, rate and remaining time."""
    shown = Progress(total, label)
    for item in items:
        yield item
        shown.advance()

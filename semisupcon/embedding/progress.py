"""How far a command is: one line that is rewritten on a terminal, a plain line every so often elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

EVERY_TERMINAL, EVERY_LOG = 0.2, 30.0  # seconds between two lines


class Progress:
    """Counts what is done and shows it on standard error.

    Args:
        total: how many there are.
        label: what is being done.
        done: how many are done already.
    """

    def __init__(self, total: int, label: str, done: int = 0):
        self.total, self.label, self.count, self._first = total, label, done, done
        self._begin = self._shown = time.monotonic()
        self._seconds = 0.0

    def advance(self, count: int = 1, seconds: float = 0.0) -> None:
        """Add what was done: how many, and seconds of audio where they are known."""
        self.count += count
        self._seconds += seconds
        now, on_terminal = time.monotonic(), sys.stderr.isatty()
        last = count > 0 and self.count == self.total
        if last or now - self._shown > (EVERY_TERMINAL if on_terminal else EVERY_LOG):
            self._shown = now
            self._print(self._text(max(now - self._begin, 1e-9)), last, on_terminal)

    def _text(self, taken: float) -> str:
        here = self.count - self._first
        parts = [f"{self.label}: {self.count}/{self.total}", f"{here / taken:.1f} a second"]
        if self._seconds:
            parts.append(f"{self._seconds / taken:.0f} s of audio a second")
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
    """Pass items on and show how many of ``total`` are done, at what rate and for how long still."""
    shown = Progress(total, label)
    for item in items:
        yield item
        shown.advance()

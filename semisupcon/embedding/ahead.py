"""Reading ahead in threads, in order and within a budget of bytes (decoding and resampling release the interpreter)."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

BUDGET = 64 << 20  # bytes that wait to be used
WORKERS = 2
ITEMS_A_WORKER = 16


class Piece(NamedTuple):
    """Some rows of an item. The last piece of an item has None for rows, and an error where the item broke off."""

    item: int
    rows: Any
    last: bool = False
    error: BaseException | None = None


def pieces_ahead(
    produce: Callable[[Any], Iterable[Any]],
    items: Iterable[Any],
    workers: int = WORKERS,
    budget: int = BUDGET,
) -> Iterator[Piece]:
    """The pieces of ``produce(item)`` for every item, items numbered from 0 and in order, some of them made ahead.

    Args:
        produce: gives the arrays of an item; runs in a thread.
        items: what it is given.
        workers: threads.
        budget: bytes of arrays that wait; the item in use may always have one waiting, however large.

    Yields:
        The pieces of the first item and its last, then those of the second. What ``produce`` raises is the error of the last.
    """
    line = _Line(iter(items), budget, ITEMS_A_WORKER * workers)
    threads = [threading.Thread(target=line.work, args=(produce,), name="reading", daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        while (piece := line.get()) is not None:
            yield piece
    finally:
        line.stop()
        for thread in threads:
            thread.join()


def read_ahead(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    workers: int = WORKERS,
    budget: int = BUDGET,
) -> Iterator[Any]:
    """``function(item)`` for every item, in order, some ahead; what it raises is raised when its turn comes."""
    for piece in pieces_ahead(lambda item: [function(item)], items, workers, budget):
        if piece.error is not None:
            raise piece.error
        if not piece.last:
            yield piece.rows


class _Line:
    """The pieces that wait, by item. One condition guards all of it."""

    def __init__(self, items: Iterator[Any], budget: int, most: int):
        self._items, self._budget, self._most = items, budget, most
        self._changed = threading.Condition()
        self._waiting: dict[int, deque[Piece]] = {}
        self._current = self._started = self._bytes = 0
        self._exhausted = self._stopped = False

    def get(self) -> Piece | None:
        """The next piece, as soon as there is one; None after the last."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting.get(self._current) or self._done())
            if self._done():
                return None
            piece = self._waiting[self._current].popleft()
            self._bytes -= _size(piece)
            if piece.last:
                del self._waiting[self._current]
                self._current += 1
            self._changed.notify_all()
        return piece

    def stop(self) -> None:
        """Let the threads end."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def work(self, produce: Callable[[Any], Iterable[Any]]) -> None:
        """Make the pieces of item after item; what a thread does."""
        while (taken := self._take()) is not None:
            number, item = taken
            error = None
            try:
                for rows in produce(item):
                    if not self._put(Piece(number, rows)):
                        return
            except BaseException as found:
                error = found
            self._put(Piece(number, None, True, error))

    def _done(self) -> bool:
        return self._exhausted and self._current >= self._started

    def _take(self) -> tuple[int, Any] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._ended() or self._started < self._current + self._most)
            if self._ended():
                return None
            number = self._started
            try:
                item = next(self._items)
            except StopIteration:
                self._exhausted = True
                self._changed.notify_all()
                return None
            except BaseException as error:
                self._exhausted = True
                self._waiting[number] = deque([Piece(number, None, True, error)])
                self._started += 1
                self._changed.notify_all()
                return None
            self._waiting[number] = deque()
            self._started += 1
            return number, item

    def _ended(self) -> bool:
        return self._exhausted or self._stopped

    def _put(self, piece: Piece) -> bool:
        """Add a piece when there is room for it; False when nobody wants it any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._has_room(piece))
            if self._stopped:
                return False
            self._waiting[piece.item].append(piece)
            self._bytes += _size(piece)
            self._changed.notify_all()
            return True

    def _has_room(self, piece: Piece) -> bool:
        size = _size(piece)
        in_use = piece.item == self._current and not self._waiting[piece.item]
        return not size or in_use or self._bytes + size <= self._budget


def _size(piece: Piece) -> int:
    return getattr(piece.rows, "nbytes", 0)

"""Compute results in advance in threads, in order and within a memory budget.

Threads suffice, because decoding and resampling release the interpreter lock.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

BUDGET = 64 << 20  # maximum number of bytes that are read in advance
WORKERS = 2
ITEMS_A_WORKER = 16


class Piece(NamedTuple):
    """Some rows of an item.

    The last piece of an item has no rows (None). It has the error that ended the item, or None.
    """

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
    """Yield the pieces of ``produce(item)`` for every item, in order. Pieces are computed in
    advance.

    Args:
        produce: function that yields the arrays of an item. It runs in a thread.
        items: the items, numbered from 0.
        workers: number of threads.
        budget: maximum size of waiting arrays in bytes. The current item may always have one
            waiting array of any size.

    Yields:
        All pieces of the first item, then all pieces of the second item, and so on. If ``produce``
        raises an exception, it becomes the error of the last piece.
    """
    line = _Line(iter(items), budget, ITEMS_A_WORKER * workers)
    threads = [
        threading.Thread(target=line.work, args=(produce,), name="reading", daemon=True)
        for _ in range(workers)
    ]
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
    """Yield ``function(item)`` for every item, in order. Results are computed in advance.

    Errors of the function are raised in order.
    """
    for piece in pieces_ahead(lambda item: [function(item)], items, workers, budget):
        if piece.error is not None:
            raise piece.error
        if not piece.last:
            yield piece.rows


class _Line:
    """Queue of waiting pieces by item, shared by threads."""

    def __init__(self, items: Iterator[Any], budget: int, most: int):
        self._items, self._budget, self._most = items, budget, most
        self._changed = threading.Condition()
        self._waiting: dict[int, deque[Piece]] = {}
        self._current = self._started = self._bytes = 0
        self._exhausted = self._stopped = False

    def get(self) -> Piece | None:
        """Wait for the next piece and return it; return None after the last piece."""
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
        """Stop the threads that produce pieces."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def work(self, produce: Callable[[Any], Iterable[Any]]) -> None:
        """Produce the pieces of one item after another. This method runs in a thread."""
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
            self._changed.wait_for(
                lambda: self._ended() or self._started < self._current + self._most,
            )
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
        """Wait until the budget allows another piece and add it; return False after `stop`."""
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

"""The thread that reads ahead."""

import gc
import threading

import pytest

from semisupcon.data.loader import ReadAhead


class Slow:
    """Clips whose first batch is read at once, the others when ``go`` is set."""

    pin_memory = False

    def __init__(self):
        self.go, self.read = threading.Event(), []

    def __getitems__(self, item):
        if item:
            self.go.wait(60)
        self.read.append(item)
        return item


def test_an_iterator_that_is_thrown_away_does_not_wait_for_its_thread():
    clips = Slow()
    iterator = iter(ReadAhead(clips, range(100)))
    assert next(iterator) == 0
    cycle = [iterator]
    cycle.append(cycle)
    del iterator, cycle
    collecting = threading.Thread(target=gc.collect)
    collecting.start()
    collecting.join(30)
    waits = collecting.is_alive()
    clips.go.set()
    collecting.join(60)
    assert not waits


def test_a_read_in_progress_ends_and_no_other_begins():
    clips = Slow()
    iterator = iter(ReadAhead(clips, range(100)))
    clips.go.set()
    assert [next(iterator) for _ in range(3)] == [0, 1, 2]
    iterator.close()
    for thread in threading.enumerate():
        if thread.name.startswith("read-ahead"):
            thread.join(60)
    assert clips.read == list(range(len(clips.read)))
    assert len(clips.read) <= 3 + ReadAhead.depth + 1


def test_an_error_of_a_batch_reaches_the_consumer_in_its_place():
    class Broken(Slow):
        def __getitems__(self, item):
            if item == 3:
                raise ValueError("three")
            return item

    batches = iter(ReadAhead(Broken(), range(100)))
    assert [next(batches) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(batches)

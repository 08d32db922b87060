"""Audio that comes block by block is cut and embedded as if it had come whole, and what is read
ahead stays within its budget."""

import io
import threading
import time

import numpy as np
import pytest
import soundfile
import torch

from semisupcon.audio.blocks import BLOCK, read_blocks
from semisupcon.audio.reading import read
from semisupcon.embedding.ahead import Piece, pieces_ahead, read_ahead
from semisupcon.embedding.batches import BREAK, default_batch, embed_pieces
from semisupcon.embedding.cutting import cut, segments_of_blocks, windows_of_blocks
from semisupcon.embedding.parts import _Part
from semisupcon.errors import AudioError

draw = np.random.default_rng(0)


def blocks_of(audio, size):
    return [audio[i : i + size] for i in range(0, len(audio), size)]


@pytest.mark.parametrize("rate", [None, 44100, 16000, 48000, 8000])
@pytest.mark.parametrize(("suffix", "channels"), [("wav", 1), ("flac", 8), ("ogg", 2), ("mp3", 2)])
def test_blocks_joined_are_the_samples_of_the_whole_file(tmp_path, rate, suffix, channels):
    file = tmp_path / f"a.{suffix}"
    soundfile.write(file, 0.1 * draw.standard_normal((150_001, channels)), 44100)
    blocks = list(read_blocks(file, rate))
    assert all(0 < len(block) <= BLOCK + 1000 for block in blocks)
    assert np.array_equal(np.concatenate(blocks), read(file, sample_rate=rate))


def test_a_file_that_ends_early_is_told_and_silence_is_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros((1000, 2)), 8000)
    with pytest.raises(AudioError, match="ends early: 1000 samples instead of 1001"):
        list(read_blocks(tmp_path / "a.wav", frames=1001))
    said = []
    list(read_blocks(tmp_path / "a.wav", 16000, silent=said.append))
    assert said == ["silence only"]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
@pytest.mark.parametrize("length", [1, 6, 7, 8, 13, 14, 40])
def test_segments_of_blocks_are_those_of_the_clip(length, size):
    audio = draw.standard_normal(length).astype(np.float32)
    pieces = list(segments_of_blocks(blocks_of(audio, size), 7))
    assert np.array_equal(np.concatenate(pieces), cut(audio, 7))


def every_second(audio, segment, rate):
    """The windows from their definition."""
    seconds = -(-len(audio) // rate)
    if len(audio) <= segment:
        return np.broadcast_to(cut(audio, segment), (seconds, segment))
    starts = [
        min(max(0, s * rate + (rate - segment) // 2), len(audio) - segment) for s in range(seconds)
    ]
    return np.stack([audio[s : s + segment] for s in starts])


@pytest.mark.parametrize("size", [1, 7, 10, 1000])
@pytest.mark.parametrize("segment", [1, 6, 10, 11, 25])
@pytest.mark.parametrize("length", [1, 9, 10, 11, 25, 26, 99])
def test_windows_of_blocks_are_those_of_the_clip(length, segment, size):
    audio = draw.standard_normal(length).astype(np.float32)
    pieces = list(windows_of_blocks(blocks_of(audio, size), segment, 10))
    assert np.array_equal(np.concatenate(pieces), every_second(audio, segment, 10))


def test_a_window_is_not_kept_longer_than_it_is_needed():
    def blocks():
        for _ in range(1000):
            yield np.zeros(1000, np.float32)

    largest = max(
        piece.base.nbytes if piece.base is not None else piece.nbytes
        for piece in segments_of_blocks(blocks(), 1500)
    )
    assert largest <= 4 * 4000
    assert sum(len(piece) for piece in windows_of_blocks(blocks(), 1500, 1000)) == 1000


def test_what_waits_stays_within_the_budget():
    made, used, most, lock = [0], [0], [0], threading.Lock()

    def produce(item):
        for _ in range(50):
            with lock:
                made[0] += 1
                most[0] = max(most[0], made[0] - used[0])
            yield np.zeros(250, np.float32)

    for piece in pieces_ahead(produce, range(4), workers=3, budget=5000):
        time.sleep(0.0005)
        if not piece.last:
            used[0] += 1
    # Five wait, and one more of the item in use; each thread holds one that it cannot put; one is
    # being used.
    assert used[0] == 200
    assert most[0] <= 5 + 1 + 3 + 1


def test_one_piece_larger_than_the_budget_passes():
    assert [
        len(p.rows) for p in pieces_ahead(lambda n: [np.zeros(n)], [1000, 10], 2, 100) if not p.last
    ] == [1000, 10]


def test_an_error_comes_after_the_pieces_before_it_and_the_next_item_goes_on():
    def produce(item):
        yield np.full(2, item)
        if item == 1:
            raise AudioError("broken")

    seen = [(p.item, p.last, type(p.error)) for p in pieces_ahead(produce, range(3))]
    assert seen == [
        *[
            (0, False, type(None)),
            (0, True, type(None)),
            (1, False, type(None)),
            (1, True, AudioError),
        ],
        *[(2, False, type(None)), (2, True, type(None))],
    ]


def test_items_that_break_and_users_who_leave_end_the_threads():
    def items():
        yield 1
        raise KeyError("list")

    with pytest.raises(KeyError):
        list(read_ahead(lambda item: item, items()))
    for _ in read_ahead(lambda item: np.zeros(100), range(1000), budget=800):
        break
    assert not [
        thread for thread in threading.enumerate() if thread.name == "reading" and thread.is_alive()
    ]


def test_a_break_ends_the_batch_and_no_other_one():
    rows = draw.standard_normal((7, 5)).astype(np.float32)
    sizes = []

    def encode(x):
        sizes.append(len(x))
        return x[:, 0]

    pieces = [
        Piece(0, rows[:5]),
        Piece(0, None, True),
        BREAK,
        Piece(1, rows[5:]),
        Piece(1, None, True),
    ]
    done = list(embed_pieces(encode, pieces, 3))
    assert sizes == [3, 2, 2]
    assert np.array_equal(np.concatenate([p.rows for p in done if p.rows is not None]), rows)
    assert [p.item for p in done if p.rows is None] == [0, -1, 1]


def test_batches_on_a_cpu_hold_400_000_samples():
    assert [default_batch(n, "cpu") for n in (1000, 59049, 10**7)] == [32, 6, 1]
    assert default_batch(59049, torch.device("cuda", 0)) == 32


def test_a_first_file_that_fails_leaves_no_bytes():
    rows = np.ones((2, 3), np.float32)
    part, file = _Part(mean=False), io.BytesIO()
    part.add(Piece(0, rows, last=False), file)
    part.add(Piece(0, rows[:0], last=True, error=AudioError("broken", "broken")), file)
    assert file.getvalue() == b""
    part.add(Piece(1, rows, last=False), file)
    part.add(Piece(1, rows[:0], last=True), file)
    assert file.getvalue() == rows.astype("<f4").tobytes()
    assert part.sizes == [0, 2]

"""Opening audio so that its length is true, its samples are numbers, and seeking is exact; everything that reads audio goes through `open_audio`.

Lengths that libsndfile (1.2.2) guesses or does not know are found: mp3 by walking its frame headers (`semisupcon.audio.mpeg`), FLAC, wav, au
and caf of writers that died or wrote into a pipe (`semisupcon.audio.lengths`), Ogg streams one after the other (`semisupcon.audio.chains`).

What is opened is an `AudioFile`, whose samples are judged as they are read (`semisupcon.audio.values`).
"""

import contextlib
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import soundfile as sf

from semisupcon.audio import chains, lengths, mpeg
from semisupcon.audio.containers import claims_more_than_it_holds
from semisupcon.audio.decoding import AudioFile, Part, Sound, reason, unusable
from semisupcon.audio.sniffing import CONVERTIBLE, content_of, why_no_file
from semisupcon.audio.streams import Piece, stream_of
from semisupcon.files import system_path

RATES, MOST_CHANNELS = (1_000, 768_000), 64  # Hz; other headers are damaged, and would take a resampler minutes
_UNKNOWN = 1 << 62  # libsndfile's largest count stands for a length that it does not know


@contextlib.contextmanager
def open_audio(path: str | Path, frames: int | None = None) -> Iterator[AudioFile]:
    """An open file whose ``frames`` are true.

    Args:
        path: any file that libsndfile decodes, told by content and not by name.
        frames: what an earlier look found, where the file has not changed since; spares the search for its length.

    Raises:
        AudioError: naming the file, if it is missing, no audio, cut off, or says a sample rate or number of channels that no audio has; also
            for what libsndfile complains of while it is in use. Its ``problem`` is the reason alone.
    """
    try:
        with _open(path, frames) as file:
            yield file
    except sf.SoundFileError as error:
        raise unusable(path, f"its data cannot be decoded ({reason(error)})") from error
    except OSError as error:
        raise unusable(path, f"it cannot be read ({(error.strerror or str(error)).lower()})") from error


def _open(path: str | Path, known: int | None) -> AudioFile:
    place = system_path(path)
    if problem := why_no_file(place):
        raise unusable(path, problem)
    status = os.stat(place)
    if status.st_size == 0:
        raise unusable(path, "empty file")
    stamp = (os.fsencode(place), status.st_size, status.st_mtime_ns)
    try:
        file = _sound(place)
    except sf.SoundFileError as error:
        pieces = _mended(stamp)
        if pieces is None and claims_more_than_it_holds(place):
            raise unusable(path, "truncated: it promises more than it holds") from error
        if pieces is None:
            raise unusable(path, _no_audio(place, error)) from error
        file = _sound(place, pieces)
    with file:
        found, rate, channels = file.frames, file.samplerate, file.channels
        is_mpeg, in_wav, is_ogg = file.subtype.startswith("MPEG"), file.format == "WAV", file.format == "OGG"
    if not RATES[0] <= rate <= RATES[1] or channels > MOST_CHANNELS:
        raise unusable(path, f"a header that no audio has: {rate} Hz, {channels} channels")
    if known is not None and known <= found < _UNKNOWN:
        return AudioFile(path, [Part(lambda: _sound(place), known)])
    slack = max(rate // 100, 2304 if is_mpeg else 0)
    if is_mpeg and (walk := _walk(stamp, in_wav)) is not None:
        return _mpeg(path, place, walk, found, slack)
    if (pieces := _mended(stamp)) is not None:
        with _sound(place, pieces) as file:
            found = file.frames
        return AudioFile(path, [Part(lambda: _sound(place, pieces), found)], slack)
    if claims_more_than_it_holds(place):
        raise unusable(path, "truncated: it promises more than it holds")
    if is_ogg and len(links := _links(stamp)) > 1:
        return AudioFile(path, [_part(place, [link]) for link in links], slack)
    return AudioFile(path, [Part(lambda: _sound(place), found)], slack)


def _mpeg(path: str | Path, place: bytes, walk: mpeg.Walk, found: int, slack: int) -> AudioFile:
    if walk.cut:
        raise unusable(path, f"truncated: {walk.frames} of {walk.tag.frames} mp3 frames are there")
    if walk.mixed:
        raise unusable(path, "mp3 joined from parts of different sample rates or channels")
    trimmed = mpeg.TRIMMED if walk.tag is not None and walk.tag.frames == walk.frames else 0
    if walk.total - found <= trimmed and (walk.tag is None or found <= walk.total):
        return AudioFile(path, [Part(lambda: _sound(place), min(found, walk.total))], slack)
    start, stop = (walk.tag.start, walk.tag.stop) if walk.tag is not None else (walk.runs[0][0], walk.runs[0][0] + 4)
    with open(place, "rb") as file:
        file.seek(start)
        pieces = walk.pieces(file.read(stop - start))
    with _sound(place, pieces) as file:
        found = min(file.frames, walk.total)
    return AudioFile(path, [Part(lambda: _sound(place, pieces), found)], slack)


def _sound(place: bytes, pieces: list[Piece] | None = None) -> Sound:
    return Sound(place if pieces is None else stream_of(place, pieces))


def _part(place: bytes, pieces: list[Piece]) -> Part:
    with _sound(place, pieces) as file:
        return Part(lambda: _sound(place, pieces), file.frames)


# Training opens a file once a crop: what was found out is kept as long as the file stays the same.
@lru_cache(maxsize=4096)
def _walk(stamp: tuple[bytes, int, int], in_wav: bool) -> mpeg.Walk | None:
    span = lengths.data_of_wav(stamp[0]) if in_wav else (0, None)
    return mpeg.walk(stamp[0], *span) if span else None


@lru_cache(maxsize=4096)
def _mended(stamp: tuple[bytes, int, int]) -> list[Piece] | None:
    return lengths.with_length(stamp[0])


@lru_cache(maxsize=4096)
def _links(stamp: tuple[bytes, int, int]) -> list[tuple[int, int]]:
    return chains.links(stamp[0])


def _no_audio(place: bytes, error: Exception) -> str:
    content = content_of(place)
    if content in CONVERTIBLE:
        return f"{content}, which cannot be decoded; convert it: ffmpeg -i IN OUT.flac"
    return f"not audio, but {content}" if content else f"not audio ({reason(error)})"

"""Opening audio so that its length is true, its samples are numbers, and seeking is exact; everything that reads audio goes through `open_audio`.

Lengths that libsndfile (1.2.2) guesses or does not know are found: mp3 by walking its frame headers (`semisupcon.audio.mpeg`), FLAC, wav, au
and caf of writers that died or wrote into a pipe (`semisupcon.audio.lengths`), Ogg streams one after the other (`semisupcon.audio.chains`).

What is opened is an `AudioFile`, whose samples are judged as they are read (`semisupcon.audio.values`).
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import soundfile as sf

from semisupcon.audio import chains, mpeg
from semisupcon.audio.containers import claims_more_than_it_holds
from semisupcon.audio.decoding import AudioFile, Part, Sound, reason, unusable
from semisupcon.audio.lengths import data_of_wav, with_length
from semisupcon.audio.sniffing import CONVERTIBLE, content_of, why_no_file
from semisupcon.audio.streams import Piece, stream_of
from semisupcon.files import system_path

RATES, MOST_CHANNELS = (1_000, 768_000), 64  # Hz; other headers are damaged, and would take a resampler minutes
SHORTEST = 0.001  # seconds; less is a header without audio
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


class _Plan(NamedTuple):
    """How a file is opened: its streams, as pieces (None for the file itself) with their lengths, and how many samples may lack at its end."""

    streams: list[tuple[list[Piece] | None, int]]
    slack: int = 0


# Training opens a file once a crop: what was found out is kept as long as the file stays the same.
_plans: dict[tuple[bytes, int, int], _Plan] = {}
_MOST_PLANS = 4096


def _open(path: str | Path, known: int | None) -> AudioFile:
    place = system_path(path)
    if problem := why_no_file(place):
        raise unusable(path, problem)
    status = os.stat(place)
    if status.st_size == 0:
        raise unusable(path, "empty file")
    stamp = (place, status.st_size, status.st_mtime_ns)
    if stamp not in _plans:
        if known is not None and (sound := _as_it_is(place, known)) is not None:
            return AudioFile(path, [Part(_first(sound, place), known)])
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        _plans[stamp] = _plan(path, place)
    plan = _plans[stamp]
    file = AudioFile(path, [Part(partial(_sound, place, pieces), frames) for pieces, frames in plan.streams], plan.slack)
    if file.frames < SHORTEST * file.samplerate:
        file.close()
        raise unusable(path, f"no audio to speak of ({file.frames} samples)")
    return file


def _as_it_is(place: bytes, known: int) -> Sound | None:
    """The file as libsndfile opens it, where that reaches to its known length."""
    try:
        sound = _sound(place)
    except sf.SoundFileError:
        return None
    if known <= sound.frames < _UNKNOWN:
        return sound
    sound.close()
    return None


def _first(sound: Sound, place: bytes) -> Callable[[], Sound]:
    """A function that gives an open file, and opens it anew when called again."""
    held = [sound]
    return lambda: held.pop() if held else _sound(place)


def _plan(path: str | Path, place: bytes) -> _Plan:
    pieces = None
    try:
        sound = _sound(place)
    except sf.SoundFileError as error:
        if (pieces := with_length(place)) is None:
            cut = claims_more_than_it_holds(place)
            raise unusable(path, "truncated: it promises more than it holds" if cut else _no_audio(place, error)) from error
        sound = _sound(place, pieces)
    with sound:
        form = sound.format, sound.subtype, sound.samplerate, sound.channels
    kind, subtype, rate, channels = form
    if not RATES[0] <= rate <= RATES[1] or channels > MOST_CHANNELS:
        raise unusable(path, f"a header that no audio has ({rate} Hz, {channels} channels)")
    slack = rate // 100
    if subtype.startswith("MPEG"):
        span = data_of_wav(place) if kind == "WAV" else (0, None)
        if span and (walk := mpeg.walk(place, *span)) is not None:
            return _Plan([_mpeg(path, place, walk, sound.frames)], max(slack, 2304))
    pieces = pieces or with_length(place)
    if pieces is None and claims_more_than_it_holds(place):
        raise unusable(path, "truncated: it promises more than it holds")
    if kind == "OGG" and len(links := chains.links(place)) > 1:
        return _Plan([([link], _length(path, place, [link], form)) for link in links], slack)
    return _Plan([(pieces, sound.frames if pieces is None else _length(path, place, pieces, form))], slack)


def _length(path: str | Path, place: bytes, pieces: list[Piece], form: tuple) -> int:
    with _sound(place, pieces) as sound:
        if (sound.samplerate, sound.channels) != form[2:]:
            raise unusable(path, "joined from streams of different sample rates or channels")
        return sound.frames


def _mpeg(path: str | Path, place: bytes, walk: mpeg.Walk, found: int) -> tuple[list[Piece] | None, int]:
    if walk.cut and walk.tag is not None:
        raise unusable(path, f"truncated: {walk.frames} of {walk.tag.frames} mp3 frames are there")
    if walk.mixed:
        raise unusable(path, "joined from streams of different sample rates or channels")
    trimmed = mpeg.TRIMMED if walk.tag is not None and walk.tag.frames == walk.frames else 0
    if walk.total - found <= trimmed and (walk.tag is None or found <= walk.total):
        return None, min(found, walk.total)
    start, stop = (walk.tag.start, walk.tag.stop) if walk.tag is not None else (walk.runs[0][0], walk.runs[0][0] + 4)
    with open(place, "rb") as file:
        file.seek(start)
        pieces = walk.pieces(file.read(stop - start))
    with _sound(place, pieces) as file:
        return pieces, min(file.frames, walk.total)


def _sound(place: bytes, pieces: list[Piece] | None = None) -> Sound:
    return Sound(place if pieces is None else stream_of(place, pieces))


def _no_audio(place: bytes, error: Exception) -> str:
    content = content_of(place)
    if content in CONVERTIBLE:
        return f"{content}, which cannot be decoded; convert it: ffmpeg -i IN OUT.flac"
    return f"not audio, but {content}" if content else f"not audio ({reason(error)})"

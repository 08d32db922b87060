"""Open audio files with a correct length, checked samples and exact seeking.

The whole package reads audio through `open_audio`. It determines lengths that libsndfile (1.2.2)
estimates or does not know. For mp3, frame headers are counted (`semisupcon.audio.mpeg`).
`semisupcon.audio.lengths` handles FLAC, wav, au and caf files whose writer was killed or wrote into
a pipe, and `semisupcon.audio.chains` handles chained Ogg streams.

The result is an `AudioFile`, which checks samples as they are read (`semisupcon.audio.values`).
"""

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import soundfile as sf

from semisupcon.audio import chains, mpeg
from semisupcon.audio.containers import Head, claims_more_than_it_holds
from semisupcon.audio.decoding import AudioFile, Part, Sound, reason, unusable
from semisupcon.audio.lengths import data_of_wav, with_length
from semisupcon.audio.sniffing import CONVERTIBLE, content_of, why_no_file
from semisupcon.audio.streams import Piece, stream_of
from semisupcon.paths import system_path

# Hz. A header with a rate outside this range is damaged, and resampling from such a rate would take
# minutes.
RATES, MOST_CHANNELS = (1_000, 768_000), 64
SHORTEST = 0.001  # seconds; a shorter file has a header but no audio
_UNKNOWN = 1 << 62  # libsndfile reports an unknown length as this number or more


@contextlib.contextmanager
def open_audio(path: str | Path, frames: int | None = None) -> Iterator[AudioFile]:
    """Open an audio file; the result has the correct length in ``frames``.

    Args:
        path: any file that libsndfile decodes; the format is detected from the content, not the
            name.
        frames: length in samples from an earlier scan of the unchanged file. If given, the length
            is not determined again.

    Raises:
        AudioError: if the file is missing, not audio, truncated, or has an impossible sample rate
            or number of channels. Errors of libsndfile inside the ``with`` block are also raised as
            AudioError. The message names the file; the attribute ``problem`` is the reason alone.
    """
    try:
        with _open(path, frames) as file:
            yield file
    except sf.SoundFileError as error:
        raise unusable(path, f"its data cannot be decoded ({reason(error)})") from error
    except OSError as error:
        raise unusable(
            path,
            f"it cannot be read ({(error.strerror or str(error)).lower()})",
        ) from error


class _Plan(NamedTuple):
    """Instructions for opening a file.

    ``streams`` lists, for each stream, its pieces (None for the unchanged file) and its length in
    samples per channel. ``slack`` is the number of samples that may be missing at the end.
    ``proved`` is True if the size of the file proves the length.
    """

    streams: list[tuple[list[Piece] | None, int]]
    slack: int = 0
    proved: bool = False


# Training opens a file for every crop, so the plans of unchanged files are cached.
_plans: dict[tuple[bytes, int, int], _Plan] = {}
_MOST_PLANS = 4096


def _open(path: str | Path, known: int | None) -> AudioFile:
    place = system_path(path)
    status = _status(path, place)
    if status.st_size == 0:
        raise unusable(path, "empty file")
    stamp, sound = (place, status.st_size, status.st_mtime_ns), None
    if stamp not in _plans:
        if known is not None and (sound := _as_it_is(place, known)) is not None:
            return AudioFile(path, [Part(_first(sound, place), known)])
        if len(_plans) >= _MOST_PLANS:
            _plans.clear()
        _plans[stamp], sound = _plan(path, place, status.st_size)
    plan = _plans[stamp]
    parts = (
        [Part(partial(_sound, place, pieces), frames) for pieces, frames in plan.streams]
        if sound is None
        else [Part(_first(sound, place), plan.streams[0][1])]
    )
    file = AudioFile(path, parts, plan.slack, plan.proved)
    if file.frames < SHORTEST * file.samplerate:
        file.close()
        raise unusable(path, f"too short ({file.frames} samples)")
    return file


def _status(path: str | Path, place: bytes) -> os.stat_result:
    try:
        status = os.stat(place)
    except OSError:
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        raise unusable(path, why_no_file(place))
    return status


def _as_it_is(place: bytes, known: int) -> Sound | None:
    """Open a file with libsndfile; return None if libsndfile finds fewer than ``known`` samples."""
    try:
        sound = _sound(place)
    except sf.SoundFileError:
        return None
    if known <= sound.frames < _UNKNOWN:
        return sound
    sound.close()
    return None


def _first(sound: Sound, place: bytes) -> Callable[[], Sound]:
    """Return a function whose first call returns the open file; later calls open it again."""
    held = [sound]
    return lambda: held.pop() if held else _sound(place)


def _plan(path: str | Path, place: bytes, size: int) -> tuple[_Plan, Sound | None]:
    """Return how to open a file, and the file if it is open and decoded as it is."""
    head, pieces = Head.read(place, size), None
    try:
        sound = _sound(place)
    except sf.SoundFileError as error:
        if (pieces := with_length(place, head)) is None:
            cut = claims_more_than_it_holds(place, head)
            raise unusable(
                path,
                "truncated: shorter than its header states" if cut else _no_audio(place, error),
            ) from error
        sound = _sound(place, pieces)
    with contextlib.ExitStack() as opened:
        opened.enter_context(sound)
        plan = _plan_of(path, place, sound, pieces, head)
        if pieces is None and [part for part, _ in plan.streams] == [None]:
            opened.pop_all()
            return plan, sound
    return plan, None


def _plan_of(
    path: str | Path, place: bytes, sound: Sound, pieces: list[Piece] | None, head: Head
) -> _Plan:
    form = (sound.format, sound.subtype, sound.samplerate, sound.channels)
    kind, subtype, rate, channels = form
    if not RATES[0] <= rate <= RATES[1] or channels > MOST_CHANNELS:
        raise unusable(path, f"an impossible header ({rate} Hz, {channels} channels)")
    slack = rate // 100
    if subtype.startswith("MPEG"):
        span = data_of_wav(place) if kind == "WAV" else (0, None)
        if span and (walk := mpeg.walk(place, *span)) is not None:
            return _Plan([_mpeg(path, place, walk, sound.frames)], max(slack, 2304))
    pieces = pieces or with_length(place, head)
    if pieces is None and claims_more_than_it_holds(place, head):
        raise unusable(path, "truncated: shorter than its header states")
    if kind == "OGG" and len(links := chains.links(place)) > 1:
        return _Plan([([link], _length(path, place, [link], form)) for link in links], slack)
    return _Plan(
        [(pieces, sound.frames if pieces is None else _length(path, place, pieces, form))],
        slack,
        proved=kind in ("WAV", "WAVEX") and subtype.startswith("PCM_"),
    )


def _length(path: str | Path, place: bytes, pieces: list[Piece], form: tuple) -> int:
    with _sound(place, pieces) as sound:
        if (sound.samplerate, sound.channels) != form[2:]:
            raise unusable(path, "joined from streams of different sample rates or channels")
        return sound.frames


def _mpeg(
    path: str | Path,
    place: bytes,
    walk: mpeg.Walk,
    found: int,
) -> tuple[list[Piece] | None, int]:
    if walk.cut and walk.tag is not None:
        raise unusable(path, f"truncated: {walk.frames} of {walk.tag.frames} mp3 frames are there")
    if walk.mixed:
        raise unusable(path, "joined from streams of different sample rates or channels")
    trimmed = mpeg.TRIMMED if walk.tag is not None and walk.tag.frames == walk.frames else 0
    if walk.total - found <= trimmed and (walk.tag is None or found <= walk.total):
        return None, min(found, walk.total)
    start, stop = (
        (walk.tag.start, walk.tag.stop)
        if walk.tag is not None
        else (walk.runs[0][0], walk.runs[0][0] + 4)
    )
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

"""Make unusual files and folders as in real collections, for `benchmarks.odd_files` and tests.

They have invalid sample values, missing or wrong lengths, damaged headers, rare formats, or unusual
names. Others are links, or files that are not audio. All are made with numpy and soundfile.
"""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

RATE = 8000
SECONDS = 4


class Odd(NamedTuple):
    """An unusual file.

    Attributes:
        name: name of the file, or of a folder with the file.
        what: description.
        make: function that makes the file at a path.
        seconds: seconds of audio that the commands should use; 0 if they should not use the file.
    """

    name: str
    what: str
    make: Callable[[Path], None]
    seconds: float = 0.0


def noise(
    seconds: float = SECONDS, rate: int = RATE, channels: int = 1, seed: int = 0
) -> np.ndarray:
    """Return noise ``[samples, channels]`` that is loud only in its first quarter."""
    x = np.random.default_rng(seed).standard_normal((round(seconds * rate), channels)) * 0.1
    x[len(x) // 4 :] *= 0.05
    return x


def written(path: Path, audio: np.ndarray | None = None, rate: int = RATE, **options) -> bytes:
    """Write audio (default: noise) to a file, and return the content of the file."""
    sf.write(path, noise(rate=rate) if audio is None else audio, rate, **options)
    return path.read_bytes()


def sound(
    audio: Callable[[], np.ndarray] | None = None, rate: int = RATE, **options
) -> Callable[[Path], None]:
    """Return a function that writes audio to a path."""
    return lambda path: written(path, None if audio is None else audio(), rate, **options) and None


def altered(change: Callable[[bytes], bytes], **options) -> Callable[[Path], None]:
    """Return a function that writes audio to a path and changes the bytes of the file."""
    return lambda path: path.write_bytes(change(written(path, **options))) and None


def content(data: bytes) -> Callable[[Path], None]:
    """Return a function that writes bytes to a path."""
    return lambda path: path.write_bytes(data) and None


def with_value(value: float, where: slice = slice(9000, 9001)) -> Callable[[], np.ndarray]:
    """Return a function that makes noise in which some samples have another value."""

    def make() -> np.ndarray:
        x = noise()
        x[where] = value
        return x

    return make


def patched(mark: bytes, offset: int, data: bytes) -> Callable[[bytes], bytes]:
    """Return a function that replaces the bytes at an offset from a mark in a file."""

    def change(file: bytes) -> bytes:
        at = file.index(mark) + offset
        return file[:at] + data + file[at + len(data) :]

    return change


def without_tag(file: bytes) -> bytes:
    """Remove the first frame of an mp3 file, which has the number of frames."""
    at = max(file.find(b"Xing"), file.find(b"Info"))
    return file[file.index(file[:2], at) :]


def mp3(rate: int = 22050, seed: int = 0) -> Callable[[Path], bytes]:
    """Return a function that writes an mp3 file with a variable bit rate, and returns its bytes."""
    options = {"bitrate_mode": "VARIABLE", "compression_level": 0.3}
    return lambda path: written(path, noise(rate=rate, seed=seed), rate, format="MP3", **options)


def of_mp3(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return a function that writes an mp3 file with changed bytes to a path."""
    return lambda path: path.write_bytes(change(mp3()(path))) and None


def joined(*makers: Callable[[Path], bytes]) -> Callable[[Path], None]:
    """Return a function that writes several files, concatenated, to a path."""
    return lambda path: path.write_bytes(b"".join([make(path) for make in makers])) and None


def mp3_in_wav(path: Path) -> None:
    """Write mp3 audio in a wav container, which sound editors call "compressed wav"."""
    data = without_tag(mp3()(path))
    form = struct.pack("<HHIIHHHHIHHH", 0x55, 1, 22050, 8000, 1, 0, 12, 1, 2, 417, 1, 1393)
    fact = struct.pack("<4sII", b"fact", 4, SECONDS * 22050)
    chunks = (
        struct.pack("<4sI", b"fmt ", len(form))
        + form
        + fact
        + struct.pack("<4sI", b"data", len(data))
        + data
        + b"\0" * (len(data) % 2)
    )
    path.write_bytes(struct.pack("<4sI4s", b"RIFF", 4 + len(chunks), b"WAVE") + chunks)


def flac_of_unknown_length(file: bytes) -> bytes:
    """Remove length and checksum from a flac file, as if it were written to a pipe."""
    return file[:21] + bytes([file[21] & 0xF0]) + bytes(4) + bytes(16) + file[42:]


def ogg(subtype: str, seed: int) -> Callable[[Path], bytes]:
    """Return a function that writes an Ogg file and returns its bytes."""
    return lambda path: written(
        path, noise(rate=16000, seed=seed), 16000, format="OGG", subtype=subtype
    )


def opposite(path: Path) -> None:
    """Write a stereo file whose channels cancel each other out."""
    x = noise()
    written(path, np.hstack([x, -x]), subtype="PCM_16")


def linked(target: str, **options) -> Callable[[Path], None]:
    """Return a function that makes a symbolic link at a path."""
    return lambda path: path.symlink_to(target, **options)


def named(name: bytes) -> Callable[[Path], None]:
    """Return a function that writes a file with a name in bytes into the folder of a path."""

    def make(path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        made = path.parent / "made.wav"
        written(made)
        os.rename(os.fsencode(made), os.path.join(os.fsencode(path.parent), name))

    return make


def pipe(path: Path) -> None:
    """Make a named pipe without a writer."""
    os.mkfifo(path)


FLOAT = {"subtype": "FLOAT"}
VALUES = [
    Odd("nan.wav", "float, one sample NaN", sound(with_value(np.nan), **FLOAT)),
    Odd("infinite.wav", "float, one sample infinite", sound(with_value(-np.inf), **FLOAT)),
    Odd("huge.wav", "float, one sample 1e29", sound(with_value(1e29), **FLOAT)),
    Odd(
        "double.w64",
        "double precision, one sample 1e200",
        sound(with_value(1e200), subtype="DOUBLE", format="W64"),
    ),
    Odd(
        "int16_scale.wav",
        "float in the scale of 16-bit integers",
        sound(lambda: noise() * 32768, **FLOAT),
    ),
    Odd(
        "int8_scale.aiff",
        "float in the scale of 8-bit integers",
        sound(lambda: noise() * 640, format="AIFF", **FLOAT),
    ),
    Odd(
        "int16_lossy.ogg",
        "Vorbis made of floats in the scale of 16-bit integers",
        sound(lambda: noise() * 32768),
    ),
    Odd("loud.wav", "float, 24 dB above full scale", sound(lambda: noise() * 40, **FLOAT), SECONDS),
    Odd("zeros.wav", "all samples zero", sound(lambda: noise() * 0)),
    Odd("tiny.wav", "float, magnitude 1e-30", sound(lambda: noise() * 1e-30, **FLOAT)),
    Odd("opposite.wav", "stereo, the right channel the left one inverted", opposite),
    Odd("offset.wav", "a constant", sound(with_value(0.25, slice(None))), SECONDS),
]
LENGTHS = [
    Odd("untagged.mp3", "variable bit rate, no Xing tag", of_mp3(without_tag), SECONDS),
    Odd("tag_zero.mp3", "its tag counts 0 frames", of_mp3(patched(b"Xing", 8, bytes(4))), SECONDS),
    Odd(
        "tag_few.mp3",
        "its tag counts too few frames",
        of_mp3(patched(b"Xing", 8, struct.pack(">I", 40))),
        SECONDS,
    ),
    Odd(
        "tag_many.mp3",
        "its tag counts too many frames",
        of_mp3(patched(b"Xing", 8, struct.pack(">I", 900))),
        SECONDS,
    ),
    Odd(
        "joined.mp3", "two mp3 files, one after the other", joined(mp3(), mp3(seed=1)), 2 * SECONDS
    ),
    Odd("joined_rates.mp3", "two mp3 files of different sample rates", joined(mp3(), mp3(44100))),
    Odd(
        "cut_mpeg.mp3", "cut off, its tag counts more", of_mp3(lambda file: file[: len(file) // 2])
    ),
    Odd("mp3_in.wav", "mp3 inside a wav container", mp3_in_wav, SECONDS),
    Odd("pipe.flac", "FLAC of unknown length", altered(flac_of_unknown_length), SECONDS),
    Odd("cut.flac", "FLAC cut off", altered(lambda file: file[: len(file) // 2])),
    Odd(
        "chained.ogg",
        "two Vorbis streams, one after the other",
        joined(ogg("VORBIS", 0), ogg("VORBIS", 1)),
        2 * SECONDS,
    ),
    Odd(
        "chained.opus",
        "two Opus streams, one after the other",
        joined(ogg("OPUS", 0), ogg("OPUS", 1)),
        2 * SECONDS,
    ),
    Odd("cut.ogg", "Vorbis cut off", altered(lambda file: file[: len(file) * 2 // 3])),
    Odd("died.wav", "data length 0", altered(patched(b"data", 4, bytes(4))), SECONDS),
    Odd("streamed.wav", "data length 2^32 - 1", altered(patched(b"data", 4, b"\xff" * 4)), SECONDS),
    Odd("cut.wav", "cut off", altered(lambda file: file[: len(file) // 2])),
    Odd(
        "died.rf64",
        "rf64, lengths 0",
        altered(patched(b"ds64", 8, bytes(24)), format="RF64"),
        SECONDS,
    ),
    Odd(
        "died.au", "au, data length 0", altered(patched(b".snd", 8, bytes(4)), format="AU"), SECONDS
    ),
    Odd(
        "pipe.caf",
        "caf, data length unknown",
        altered(patched(b"data", 4, b"\xff" * 8), format="CAF"),
        SECONDS,
    ),
    Odd(
        "gsm.wav",
        "GSM 6.10, which cannot be decoded from the middle",
        sound(subtype="GSM610"),
        SECONDS,
    ),
    Odd(
        "g721.au",
        "G.721, which cannot be decoded from the middle",
        sound(subtype="G721_32", format="AU"),
        SECONDS,
    ),
    Odd("one_sample.wav", "one sample", sound(lambda: noise()[:1])),
    Odd("empty.wav", "no bytes", content(b"")),
    Odd("header.wav", "a header without samples", sound(lambda: noise()[:0])),
]
HEADERS = [
    Odd(
        "rate_1.wav", "a header that says 1 Hz", altered(patched(b"fmt ", 12, struct.pack("<I", 1)))
    ),
    Odd(
        "rate_2_million.wav",
        "a header that says 2 MHz",
        altered(patched(b"fmt ", 12, struct.pack("<I", 2_000_000))),
    ),
    Odd("channels_100.wav", "100 channels", sound(lambda: noise(channels=100))),
    Odd("channels_64.wav", "64 channels", sound(lambda: noise(channels=64)), SECONDS),
    Odd("rate_384000.wav", "384 kHz", sound(lambda: noise(rate=384_000), 384_000), SECONDS),
]
FORMATS = [
    Odd("a.au", "Sun/NeXT audio, as GTZAN", sound(format="AU"), SECONDS),
    Odd("a.snd", "the same, mu-law", sound(format="AU", subtype="ULAW"), SECONDS),
    Odd("a.oga", "Opus named oga", sound(format="OGG", subtype="OPUS"), SECONDS),
    Odd("a.caf", "Core Audio, ALAC", sound(format="CAF", subtype="ALAC_16"), SECONDS),
    Odd("a.w64", "Wave64, 24 bit", sound(format="W64", subtype="PCM_24"), SECONDS),
    Odd("a.AIFC", "AIFF-C, suffix in capitals", sound(format="AIFF", subtype="FLOAT"), SECONDS),
    Odd("a.sph", "NIST SPHERE", sound(format="NIST", subtype="PCM_16"), SECONDS),
    Odd("a.voc", "Creative Voice", sound(format="VOC", subtype="PCM_16"), SECONDS),
    Odd("mp3_named.wav", "an mp3 named wav", lambda path: mp3()(path) and None, SECONDS),
    Odd("wav_named.mp3", "a wav named mp3", sound(format="WAV"), SECONDS),
    Odd("a.m4a", "AAC in MPEG-4", content(b"\0\0\0\x1cftypM4A \0\0\2\0M4A isomiso2" + bytes(500))),
    Odd(
        "a.WMA",
        "Windows Media, suffix in capitals",
        content(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(500)),
    ),
    Odd("a.webm", "WebM", content(b"\x1a\x45\xdf\xa3" + bytes(500))),
    Odd("aac_named.mp3", "AAC named mp3", content(b"\xff\xf1\x50\x80\x2e\x7f\xfc" + bytes(500))),
]
NO_AUDIO = [
    Odd(
        "page.mp3",
        "a web page",
        content(b"<!DOCTYPE html><html><body>403 Forbidden</body></html>" * 20),
    ),
    Odd("answer.wav", "JSON", content(b'{"error": "quota exceeded"}')),
    Odd(
        "pointer.flac",
        "a pointer of Git LFS",
        content(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
    ),
    Odd("archive.wav", "a zip archive", content(b"PK\x03\x04" + bytes(500))),
    Odd("blank.wav", "zeros, as a crashed disk leaves them", content(bytes(5000))),
    Odd("link.wav", "a link to a file that is not there", linked("absent.wav")),
    Odd("pipe.wav", "a named pipe", pipe),
]
NAMES = [
    Odd("._track.wav", "a resource file of macOS", content(b"\0\5\x16\7" + bytes(200))),
    Odd(".hidden/in.wav", "audio in a hidden folder", named(b"in.wav")),
    Odd("again", "a link to the folder itself", linked(".", target_is_directory=True)),
    Odd("up", "a link to the folder above", linked("../..", target_is_directory=True)),
    Odd("folder.wav/in.wav", "a folder named wav", named(b"in.wav"), SECONDS),
    Odd("a\uefe9.wav", "a name in Latin-1", named(b"a\xe9.wav"), SECONDS),
    Odd("-o it's.wav", "a name with a hyphen, a blank and a quote", sound(), SECONDS),
]
ALL = [*VALUES, *LENGTHS, *HEADERS, *FORMATS, *NO_AUDIO, *NAMES]

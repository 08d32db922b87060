"""Files: ours complete or absent, where caches lie, which suffixes are audio, names that are no text, cells of CSV files.

Every file appears under its name only when it is complete and on disk (`atomic_path`, `atomic_open`). While it is written it lies beside its
place as ``.NAME.PID-TOKEN.partial``; a process that is killed leaves that file, and `sweep` removes it. A command whose output exists
already asks `semisupcon.outputs` first.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return as a formula. Names of files, classes and
checkpoints come from anywhere, so such a cell gets an apostrophe before it; `plain_cell` takes it off again.
"""

import contextlib
import csv
import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from semisupcon.errors import DiskError, UserError

# What libsndfile decodes. The order is that of preference, where one clip lies in several formats side by side. Suffixes that other kinds of
# files have too (.mat, .htk, .mpc, .iff, .raw, .sf) are left out; such files can be named one by one.
AUDIO_SUFFIXES = (
    *(".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus", ".oga", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64", ".bwf", ".wave"),
    *(".mp2", ".mp1", ".mpga", ".sph", ".nist", ".voc", ".avr", ".ircam", ".8svx", ".svx", ".paf", ".pvf", ".wve", ".xi", ".sds"),
)
# Audio, and video that may hold audio, which libsndfile does not decode.
OTHER_AUDIO_SUFFIXES = (
    *(".m4a", ".m4b", ".aac", ".mp4", ".wma", ".asf", ".webm", ".mka", ".mkv", ".3gp", ".amr", ".ac3", ".eac3", ".dts", ".ape", ".wv"),
    *(".tta", ".spx", ".dsf", ".dff", ".ra", ".rm"),
)

_FOREIGN = re.compile("[\uef80-\uefff]")
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_LEFTOVER = re.compile(
    r"\..+\.\d+(-[0-9a-f]{6})?\.partial"
    # Version 0.1 had these spellings too: checkpoints and weights, figures, metrics and shards, the index of a packed set.
    r"|\..+\.(ckpt|safetensors|json|csv|npy|npz|parquet|pcm|png|yaml)\.partial"
    r"|\.partial-.+\.png|(metrics|audio-\d{5,})\.partial"
    r"|(packed\.json|plan\.json|clips\.parquet|targets\.npy|audio-\d{5,}\.pcm\.json)\.\d+\.tmp"
)
# Tells apart processes of one number on several hosts, or in several containers, that share a disk.
_TOKEN = uuid.uuid4().hex[:6]
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# How file systems say that folders cannot be synced one by one, or not by this user.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES)


def cache_folder() -> Path:
    """Folder of files that can be computed again.

    ``$SEMISUPCON_CACHE``, else ``semisupcon`` in ``$XDG_CACHE_HOME``, else ``~/.cache/semisupcon``. A leading ``~`` is the home folder.
    """
    if own := os.environ.get("SEMISUPCON_CACHE"):
        return Path(os.path.expanduser(own))
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "semisupcon"
    except RuntimeError:  # The user has no home folder: nothing can be kept.
        return Path(os.devnull) / "semisupcon"


def text_of(path: str | bytes | Path) -> str:
    """A path as text that any table, hash or terminal takes: bytes that are not UTF-8 become letters of the private use area.

    They are U+EF80 to U+EFFF for 0x80 to 0xFF. `system_path` is the way back.
    """
    return "".join(chr(ord(c) - 0xDC00 + 0xEF00) if "\udc80" <= c <= "\udcff" else c for c in os.fsdecode(path))


def system_path(path: str | bytes | Path) -> bytes:
    """The name of a file as the operating system has it, from what `text_of` gave (or from any path)."""
    text = os.fsdecode(path)
    if _FOREIGN.search(text) and not os.path.lexists(text):
        text = _FOREIGN.sub(lambda m: chr(ord(m[0]) - 0xEF00 + 0xDC00), text)
    return os.fsencode(text)


@contextlib.contextmanager
def atomic_path(path: str | Path, needed: int = 0) -> Iterator[Path]:
    """Write a file through a library that takes a path; ``with atomic_path(path) as partial`` writes to ``partial``.

    At the end of the block the partial file is synced, renamed to ``path``, and the folder is synced. An exception, a crash or a full disk
    leaves an older file whole. Folders are made. Libraries that choose a format by the suffix need it said: the partial has another one.

    Args:
        path: of the file.
        needed: bytes that it will hold, for the message of a full disk; 0 where that is not known.

    Raises:
        DiskError: if the disk is full, read-only or broken, with the path, the reason of the operating system and the bytes needed.
    """
    path, partial = Path(path), partial_of(path)
    try:
        with disk_errors(path, needed):
            make_folders(path.parent)
            yield partial
            sync(partial)
            os.replace(partial, path)
            sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


@contextlib.contextmanager
def atomic_open(path: str | Path, mode: str = "w", newline: str | None = None, needed: int = 0) -> Iterator[IO[Any]]:
    """An open file, "w" or "wb", that appears as `atomic_path` says; raises the same."""
    with atomic_path(path, needed) as partial, partial.open(mode, newline=newline) as file:
        yield file


def write_text(path: str | Path, text: str) -> None:
    """Write a text file as `atomic_path` says; raises the same."""
    with atomic_open(path, needed=len(text)) as file:
        file.write(text)


def write_csv(path: str | Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table with its header as CSV, text as `cell` gives it, as `atomic_path` says; raises the same."""
    with atomic_open(path, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(cells(columns))
        writer.writerows(map(cells, rows))


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, on disk."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        sync(made.parent)


def sync(path: str | Path) -> None:
    """Wait until a file, or the list of names in a folder, is on disk (fsync)."""
    is_folder = os.path.isdir(path)
    if is_folder and os.name == "nt":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if not (is_folder and error.errno in _NO_FOLDER_SYNC):
            raise


@contextlib.contextmanager
def disk_errors(path: str | Path, needed: int = 0) -> Iterator[None]:
    """Errors of the disk in the block become a DiskError that says which file or folder cannot be written, why, and the bytes ``needed``."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        begun = max(map(_size, (Path(path), partial_of(path))))
        if number := _reason(error, Path(path)):
            room = _room(Path(path), needed, begun) if number in _NO_ROOM else ""
            raise DiskError(f"{path} cannot be written: {os.strerror(number)}.{room}") from error
        raise


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def amount_of(count: int) -> str:
    """Bytes in words: ``3.1 MB``, ``0.4 kB``."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _room(path: Path, needed: int, begun: int) -> str:
    """`` It needs 3.1 MB, 0.2 MB are free.``; a size that is not known is judged by the older file, or by what was written."""
    amount = amount_of(needed) if needed >= begun else f"at least {amount_of(begun)}"
    try:
        place = next(folder for folder in path.parents if folder.is_dir())
        if not needed and not begun:
            return f" {amount_of(shutil.disk_usage(place).free)} are free."
        return f" It needs {amount}, {amount_of(shutil.disk_usage(place).free)} are free."
    except (OSError, StopIteration):
        return f" It needs {amount}." if needed or begun else ""


def _reason(error: Exception, path: Path) -> int | None:
    """Why the operating system does not let us write; None if it does, and the error has another cause."""
    named, partial = getattr(error, "filename", None), partial_of(path)
    if isinstance(error, OSError) and error.errno and (named is None or Path(os.fsdecode(named)) in (path, partial, *path.parents)):
        return error.errno
    # Torch, numpy and libsndfile drop the reason of a write that fails: write a little more, and see.
    try:
        with partial.open("ab") as file:
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as found:
        return found.errno
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return None


def partial_of(path: str | Path) -> Path:
    """Where a file lies while it is written."""
    path = Path(path)
    return path.with_name(f".{path.name}.{os.getpid()}-{_TOKEN}.partial")


def leftovers(folder: Path) -> list[Path]:
    """The partial files in a folder, of this version and of 0.1, sorted; none if there is no folder."""
    return sorted(path for path in folder.iterdir() if _LEFTOVER.fullmatch(path.name)) if folder.is_dir() else []


def sweep(folder: Path) -> None:
    """Remove the partial files that killed processes have left in a folder; only for its only writer."""
    for partial in leftovers(folder):
        partial.unlink(missing_ok=True)


def inside(folder: Path, name: str, what: str) -> Path:
    """The path of a file that another file names, below its own folder.

    Raises:
        UserError: for a name that leads out of the folder.
    """
    path = Path(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise UserError(f"{what} names the file {name!r}, which lies outside its folder; it was not opened.\nIn: {folder}")
    return folder / path


def cell(value: Any) -> Any:
    """A value for a CSV file: text that a spreadsheet would run gets an apostrophe; numbers and other values stay."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) and not _is_number(value) else value


def plain_cell(text: str) -> str:
    """The text that `cell` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


def cells(row: Iterable[Any]) -> list[Any]:
    """`cell` of each value of a row."""
    return [cell(value) for value in row]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

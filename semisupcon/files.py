"""Files: ours complete or absent, where caches lie, which suffixes are audio, names that are no text, cells of CSV files.

Every file appears under its name only when it is complete and on disk (`atomic_path`, `atomic_open`). While it is written it lies beside its
place as ``.NAME.PID.partial``; a process that is killed leaves that file, and `sweep` removes it. A command whose output exists already asks
`refuse_existing` first, and `check_writable` before hours of work.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return as a formula. Names of files, classes and
checkpoints come from anywhere, so such a cell gets an apostrophe before it; `plain_cell` takes it off again.
"""

import contextlib
import csv
import errno
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from semisupcon.errors import UserError

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
    r"\..+\.\d+\.partial"
    # Version 0.1 had these spellings too: checkpoints and weights, figures, metrics and shards, the index of a packed set.
    r"|\..+\.(ckpt|safetensors|json|csv|npy|npz|parquet|pcm|png|yaml)\.partial"
    r"|\.partial-.+\.png|(metrics|audio-\d{5,})\.partial"
    r"|(packed\.json|plan\.json|clips\.parquet|targets\.npy|audio-\d{5,}\.pcm\.json)\.\d+\.tmp"
)
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
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Write a file through a library that takes a path; ``with atomic_path(path) as partial`` writes to ``partial``.

    At the end of the block the partial file is synced, renamed to ``path``, and the folder is synced. An exception, a crash or a full disk
    leaves an older file whole. Folders are made. Libraries that choose a format by the suffix need it said: the partial has another one.

    Raises:
        UserError: if the disk is full, read-only or broken, with the path and the reason of the operating system.
    """
    path, partial = Path(path), _partial(path)
    try:
        with disk_errors(path):
            make_folders(path.parent)
            yield partial
            sync(partial)
            os.replace(partial, path)
            sync(path.parent)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


@contextlib.contextmanager
def atomic_open(path: str | Path, mode: str = "w", newline: str | None = None) -> Iterator[IO[Any]]:
    """An open file, "w" or "wb", that appears as `atomic_path` says; raises the same."""
    with atomic_path(path) as partial, partial.open(mode, newline=newline) as file:
        yield file


def write_text(path: str | Path, text: str) -> None:
    """Write a text file as `atomic_path` says; raises the same."""
    with atomic_open(path) as file:
        file.write(text)


def write_csv(path: str | Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table with its header as CSV, text as `cell` gives it, as `atomic_path` says; raises the same."""
    with atomic_open(path, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(cells(columns))
        writer.writerows(map(cells, rows))


def refuse_existing(paths: Iterable[str | Path], overwrite: bool, option: str = "--out") -> None:
    """Refuse to replace files that exist, unless ``overwrite`` (what the user said with ``--overwrite``) is set.

    Raises:
        UserError: naming the first that exists, how many more do, and the option that names the output.
    """
    existing = [] if overwrite else [path for path in map(Path, paths) if os.path.lexists(path)]
    if existing:
        more = f", and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UserError(
            f"{existing[0]} exists already{more}; nothing was written.\nGive another {option}, or --overwrite to replace what is there."
        )


def check_writable(path: str | Path, option: str = "--out") -> None:
    """See whether a file can be written, by writing one beside it; nothing is left behind.

    Raises:
        UserError: if ``path`` is a folder, or its folder cannot be made or written, with the reason of the operating system.
    """
    if os.path.isdir(path):
        raise UserError(f"{option} must name a file, and {path} is a folder.")
    if problem := _why_not(Path(path)):
        raise UserError(f"{option}: {path} cannot be written: {problem}.")


def check_folder(folder: str | Path, option: str = "--out") -> None:
    """See whether a folder can be made and written, as `check_writable` does; raises the same."""
    if problem := _why_not(Path(folder) / "file"):
        raise UserError(f"{option} names a folder, and none can be made at {folder}: {problem}.")


def _why_not(path: Path) -> str | None:
    """Why a file cannot be written, found out by writing one beside it; None if it can."""
    missing = [place for place in path.parents if not place.exists()]
    if file := next((place for place in path.parents if place.exists() and not place.is_dir()), None):
        return f"{file} is a file"
    partial = _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("ab") as file:
            file.write(b"0")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or str(error)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
        for place in missing:
            with contextlib.suppress(OSError):
                place.rmdir()
    return None


def make_folders(folder: Path) -> None:
    """Make a folder and those above it, on disk."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        sync(made.parent)


def check_writable_folder(folder: Path, remedy: str) -> None:
    """Make a folder, and see whether files can be written into it.

    Raises:
        UserError: with the reason of the operating system and the remedy.
    """
    try:
        with disk_errors(folder):
            make_folders(folder)
        if reason := _reason(OSError(), folder / "any"):
            raise UserError(f"{folder} cannot be written: {reason}.")
    except UserError as error:
        raise UserError(f"{error}\n{remedy}") from error


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
def disk_errors(path: str | Path) -> Iterator[None]:
    """Errors of the disk in the block become a UserError that says which file or folder cannot be written, and why."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if reason := _reason(error, Path(path)):
            raise UserError(f"{path} cannot be written: {reason}.") from error
        raise


def _reason(error: Exception, path: Path) -> str | None:
    """Why the operating system does not let us write; None if it does, and the error has another cause."""
    named, partial = getattr(error, "filename", None), _partial(path)
    if isinstance(error, OSError) and error.errno and (named is None or Path(os.fsdecode(named)) in (path, partial, *path.parents)):
        return os.strerror(error.errno)
    # Torch, numpy and libsndfile drop the reason of a write that fails: write a little more, and see.
    try:
        with partial.open("ab") as file:
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as found:
        return os.strerror(found.errno)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    return None


def _partial(path: str | Path) -> Path:
    path = Path(path)
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


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

"""Write files atomically, and write CSV cells that are safe in spreadsheets.

A file gets its final name when it is complete and on disk (`atomic_path`, `atomic_open`). Until
then, its name is ``.NAME.PID-TOKEN.partial`` in the same folder. A killed process leaves this
partial file behind; `sweep` removes it. Commands check for existing output with
`semisupcon.outputs`.

Spreadsheet programs evaluate a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a
carriage return as a formula. Names of files, classes and checkpoints are untrusted, so `cell` puts
an apostrophe before such text; `plain_cell` removes the apostrophe.
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

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_LEFTOVER = re.compile(
    r"\..+\.\d+(-[0-9a-f]{6})?\.partial"
    # Partial files of version 0.1: of checkpoints and weights, of figures, of metrics and shards,
    # and of the index of a packed data set.
    r"|\..+\.(ckpt|safetensors|json|csv|npy|npz|parquet|pcm|png|yaml)\.partial"
    r"|\.partial-.+\.png|(metrics|audio-\d{5,})\.partial"
    r"|(packed\.json|plan\.json|clips\.parquet|targets\.npy|audio-\d{5,}\.pcm\.json)\.\d+\.tmp"
)
# Distinguishes processes that have the same process id on different hosts or containers with a
# shared disk.
_TOKEN = uuid.uuid4().hex[:6]
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Errors of file systems that cannot sync folders, or do not allow it to this user.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES)


@contextlib.contextmanager
def atomic_path(path: str | Path, needed: int = 0) -> Iterator[Path]:
    """Give a temporary path for writing a file atomically, for libraries that take a path.

    Use: ``with atomic_path(path) as partial``, and write the file to ``partial``.

    At the end of the block, the partial file is synced and renamed to ``path``, and the folder is
    synced. After an exception, a crash or a full disk, an existing file at ``path`` is unchanged.
    Missing folders are created. The partial file does not have the suffix of ``path``: if a library
    derives the format from the suffix, pass the format to it explicitly.

    Args:
        path: path of the file.
        needed: final size in bytes, shown in the error message if the disk is full; 0 if unknown.

    Raises:
        DiskError: if the disk is full, read-only or broken. The message has the path, the reason
            and the number of bytes needed.
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
def atomic_open(
    path: str | Path, mode: str = "w", newline: str | None = None, needed: int = 0
) -> Iterator[IO[Any]]:
    """Open a file for atomic writing in mode "w" or "wb". Raises the errors of `atomic_path`."""
    with atomic_path(path, needed) as partial, partial.open(mode, newline=newline) as file:
        yield file


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically. Raises the errors of `atomic_path`."""
    with atomic_open(path, needed=len(text)) as file:
        file.write(text)


def write_csv(path: str | Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table with a header as CSV, atomically. Raises the errors of `atomic_path`.

    `cell` makes text safe in spreadsheets.
    """
    with atomic_open(path, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(cells(columns))
        writer.writerows(map(cells, rows))


def make_folders(folder: Path) -> None:
    """Create a folder and its parents, and write them to disk (fsync)."""
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
    """Convert disk errors in a ``with`` block to a DiskError with path, reason and bytes needed."""
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
    """Format a number of bytes as text, such as ``3.1 MB`` or ``0.4 kB``."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"


def _room(path: Path, needed: int, begun: int) -> str:
    """Return a sentence such as `` It needs 3.1 MB, 0.2 MB are free.``

    An unknown size is estimated from the existing file or from the part already written.
    """
    amount = amount_of(needed) if needed >= begun else f"at least {amount_of(begun)}"
    try:
        place = next(folder for folder in path.parents if folder.is_dir())
        if not needed and not begun:
            return f" {amount_of(shutil.disk_usage(place).free)} are free."
        return f" It needs {amount}, {amount_of(shutil.disk_usage(place).free)} are free."
    except (OSError, StopIteration):
        return f" It needs {amount}." if needed or begun else ""


def _reason(error: Exception, path: Path) -> int | None:
    """Return the operating system's error number if ``path`` cannot be written.

    Return None if the error has another cause.
    """
    named, partial = getattr(error, "filename", None), partial_of(path)
    if (
        isinstance(error, OSError)
        and error.errno
        and (named is None or Path(os.fsdecode(named)) in (path, partial, *path.parents))
    ):
        return error.errno
    # Torch, NumPy and libsndfile do not report the reason of a failed write, so try to write 64 KiB
    # and read the reason from that error.
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
    """Return the path of the partial file that becomes ``path`` when it is complete."""
    path = Path(path)
    return path.with_name(f".{path.name}.{os.getpid()}-{_TOKEN}.partial")


def leftovers(folder: Path) -> list[Path]:
    """Return the partial files in a folder, sorted, including those of version 0.1.

    The list is empty if the folder does not exist.
    """
    return (
        sorted(path for path in folder.iterdir() if _LEFTOVER.fullmatch(path.name))
        if folder.is_dir()
        else []
    )


def sweep(folder: Path) -> None:
    """Remove the partial files of killed processes from a folder.

    Call this function only if no other process writes to the folder.
    """
    for partial in leftovers(folder):
        partial.unlink(missing_ok=True)


def cell(value: Any) -> Any:
    """Convert a value for a CSV file.

    Text that a spreadsheet would evaluate as a formula gets an apostrophe in front. Other values
    are unchanged.
    """
    return (
        f"'{value}"
        if isinstance(value, str) and _FORMULA.match(value) and not _is_number(value)
        else value
    )


def plain_cell(text: str) -> str:
    """Return the original text of a CSV cell, without the apostrophe that `cell` added."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


def cells(row: Iterable[Any]) -> list[Any]:
    """Apply `cell` to each value of a row."""
    return [cell(value) for value in row]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

"""Checks of output paths before a command begins its work.

They refuse to overwrite existing files, and detect paths that cannot be written.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from semisupcon.errors import UserError
from semisupcon.files import disk_errors, make_folders, partial_of


def refuse_existing(paths: Iterable[str | Path], overwrite: bool, option: str = "--out") -> None:
    """Refuse to replace files that exist.

    Args:
        paths: files to be written.
        overwrite: value of ``--overwrite``.
        option: name of the output option, for the message.

    Raises:
        UserError: if a file exists. The message has the first existing file and the number of
            others.
    """
    existing = [] if overwrite else [path for path in map(Path, paths) if os.path.lexists(path)]
    if existing:
        more = f", and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UserError(
            f"{existing[0]} exists already{more}; nothing was written.\nGive another {option}, or "
            "--overwrite to replace existing files."
        )


def check_writable(path: str | Path, option: str = "--out") -> None:
    """Check that a file can be written, by writing a temporary file in the same folder.

    Raises:
        UserError: if ``path`` is a folder, or if its folder cannot be created or written. The
            message has the reason.
    """
    if os.path.isdir(path):
        raise UserError(f"{option} must be a file, but {path} is a folder.")
    if problem := _why_not(Path(path)):
        raise UserError(f"{option}: {path} cannot be written: {problem}.")


def check_folder(folder: str | Path, option: str = "--out") -> None:
    """Check that a folder can be created and written to. The check leaves no files or folders.

    Raises:
        UserError: if the folder cannot be created or written to. The message has the reason.
    """
    if problem := _why_not(Path(folder) / "file"):
        raise UserError(
            f"{option} must be a folder, but it cannot be created: {folder}: {problem}."
        )


def _why_not(path: Path) -> str | None:
    """Try to write a temporary file in the folder of ``path``; return the reason of a failure, or
    None.
    """
    missing = [place for place in path.parents if not place.exists()]
    for place in path.parents:
        if place.exists() and not place.is_dir():
            return f"{place} is a file"
    partial = partial_of(path)
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


def check_writable_folder(folder: Path, remedy: str) -> None:
    """Check that a folder can be created and written to. The check leaves no files or folders.

    Raises:
        UserError: if the folder cannot be created or written to. The message has the reason and the
            remedy.
    """
    missing = [place for place in (folder, *folder.parents) if not os.path.exists(place)]
    try:
        with disk_errors(folder):
            make_folders(folder)
        if reason := _why_not(folder / "any"):
            raise UserError(f"{folder} cannot be written: {reason}.")
    except UserError as error:
        raise UserError(f"{error}\n{remedy}") from error
    finally:
        with contextlib.suppress(OSError):
            for place in missing:
                place.rmdir()

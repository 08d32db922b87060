"""Outputs of commands: nothing of others is overwritten unasked, and what cannot be written is told before the work begins."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from semisupcon.errors import UserError
from semisupcon.files import disk_errors, make_folders, partial_of


def refuse_existing(paths: Iterable[str | Path], overwrite: bool, option: str = "--out") -> None:
    """Refuse to replace files that exist.

    Args:
        paths: files that are going to be written.
        overwrite: what the user said with ``--overwrite``.
        option: the option that names the output, for the message.

    Raises:
        UserError: naming the first that exists, and how many more do.
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
    """See whether a folder can be made and written; nothing is left behind.

    Raises:
        UserError: if it cannot, with the reason of the operating system.
    """
    if problem := _why_not(Path(folder) / "file"):
        raise UserError(f"{option} names a folder, and none can be made at {folder}: {problem}.")


def _why_not(path: Path) -> str | None:
    """Why a file cannot be written, found out by writing one beside it; None if it can."""
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
    """See whether a folder can be made and files written into it; nothing is left behind.

    Raises:
        UserError: with the reason of the operating system and the remedy.
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

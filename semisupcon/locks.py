"""Locks on files and folders, so that no two processes write to one place at the same time.

The lock is a POSIX record lock (``fcntl.lockf``) on a hidden file: the kernel drops it when its process ends, however it ends, and the network
file systems that have locks (NFS with lockd, or version 4) keep it between hosts. Processes that are forked do not inherit it. The file says who
holds the lock (process, host, start), is removed at the end, and means nothing when a killed process leaves it behind. On file systems without
locks the text of the file has to do: another process that still runs on this host is refused, and a process of another host is warned of.
"""

import contextlib
import errno
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from semisupcon.errors import UserError
from semisupcon.files import make_folders

try:
    import fcntl
except ImportError:  # Windows: only the text of the file
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"  # in a folder; `.NAME.lock` beside a file
_BUSY = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_EVERY = 0.05  # seconds between two attempts
# What this process holds, device and inode, and the thread that does: record locks do not hold between threads.
_held: dict[tuple[int, int], int] = {}
_one_thread = threading.Lock()
log = logging.getLogger(__name__)


@contextlib.contextmanager
def folder_lock(folder: str | Path, what: str, remedy: str, wait: float = 0.0) -> Iterator[None]:
    """Be the only process that writes into a folder, which is made and, if it is still empty at the end, removed again.

    Args:
        folder: to write into.
        what: the work, such as "run" or "pack", for the message.
        remedy: what else one could do than wait, such as "give another --out".
        wait: seconds to wait for another process to end.

    Raises:
        UserError: if another process (or thread) holds the lock, saying which; or if the folder cannot be written to.
    """
    folder = Path(folder)
    with _lock(folder, folder / LOCK, what, remedy, wait):
        yield


@contextlib.contextmanager
def file_lock(path: str | Path, what: str, remedy: str, wait: float = 0.0) -> Iterator[None]:
    """Be the only process that writes one file; arguments and errors as `folder_lock`."""
    path = Path(path)
    with _lock(path, path.with_name(f".{path.name}.lock"), what, remedy, wait):
        yield


@contextlib.contextmanager
def _lock(place: Path, file: Path, what: str, remedy: str, wait: float) -> Iterator[None]:
    present = _key_of(file)
    if present is not None and _held.get(present) == threading.get_ident():  # This work is a part of that which holds it.
        yield
        return
    made = [folder for folder in (file.parent, *file.parent.parents) if not folder.exists()]
    until, descriptor = time.monotonic() + wait, None
    try:
        while descriptor is None:
            try:
                make_folders(file.parent)
                with _one_thread:
                    descriptor, holder = _take(file)
            except OSError as error:
                raise UserError(f"{place} cannot be written: {error.strerror}.") from error
            if descriptor is None and time.monotonic() >= until:
                raise UserError(f"{place} is in use by another {what}{_told(holder)}.\nWait until that one has ended, or {remedy}.")
            if descriptor is None:
                time.sleep(_EVERY)
        key = _key(os.fstat(descriptor))
        try:
            yield
        finally:
            if _key_of(file) == key:
                with contextlib.suppress(OSError):
                    file.unlink()
            _held.pop(key, None)
    finally:
        if descriptor is not None:
            os.close(descriptor)
        for folder in made:
            with contextlib.suppress(OSError):  # Not empty, or of somebody else by now.
                folder.rmdir()


def _take(file: Path) -> tuple[int | None, dict]:
    """The descriptor of the locked file, or None and what the file says of the process that holds it."""
    # Closing any descriptor of a file drops all record locks that this process has on it, so it is not opened again.
    if _key_of(file) in _held:
        return None, _me()
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        holder = _read(descriptor)
        if not _try(descriptor, file, holder):
            os.close(descriptor)
            return None, holder
        key = _key(os.fstat(descriptor))
        # The one before removes the file when it ends; a lock on a removed file would keep nobody out.
        if _key_of(file) != key:
            os.close(descriptor)
            return _take(file)
        with contextlib.suppress(OSError):  # A full disk: the lock holds without the text.
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_me()).encode(), 0)
    except OSError:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        raise
    _held[key] = threading.get_ident()
    return descriptor, {}


def _try(descriptor: int, file: Path, holder: dict) -> bool:
    if fcntl is not None:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno in _BUSY:
                return False
            if error.errno not in _NO_LOCKS:
                raise
    pid, host = holder.get("pid"), holder.get("host")
    if not isinstance(pid, int) or pid == os.getpid():
        return True
    if host == socket.gethostname():
        return not _runs(pid)
    log.warning("The file system of %s has no locks%s. Make sure that no other process writes there.", file, _told(holder))
    return True


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _me() -> dict:
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z")}


def _read(descriptor: int) -> dict:
    try:
        said = json.loads(os.pread(descriptor, 4096, 0))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _told(holder: dict) -> str:
    """``: process 12 on HOST, since TIME``, as far as it is known."""
    parts = [f"process {holder['pid']}" if holder.get("pid") else "", f"on {holder['host']}" if holder.get("host") else ""]
    told = " ".join(filter(None, parts)) + (f", since {holder['since']}" if holder.get("since") else "")
    return f": {told}" if told else ""


def _key_of(file: Path) -> tuple[int, int] | None:
    """Device and inode of the file that has this name now."""
    try:
        return _key(file.stat())
    except OSError:
        return None


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_held.clear)

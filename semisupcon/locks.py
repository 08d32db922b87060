"""Locks on files and folders, so that only one process at a time writes to them.

The lock is a POSIX record lock (``fcntl.lockf``) on a hidden file. The kernel releases the lock
when the process ends for any reason. On network file systems with locks (NFS with lockd, or NFS
version 4), the lock also holds for other hosts. Forked processes do not inherit the lock. The lock
file contains the process id, host and start time of the process that holds the lock, and is removed
at the end. A lock file of a killed process has no effect.

On file systems without locks, only the content of the lock file is used. If it names a process that
still runs on this host, the lock is refused. If it names a process on another host, a warning is
logged.
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
except ImportError:  # on Windows, only the content of the lock file is used
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"  # name in a locked folder; the lock of a file is `.NAME.lock` in its folder
_BUSY = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_EVERY = 0.05  # seconds between two attempts
# Maps (device, inode) of each lock file of this process to the thread that holds the lock. Record
# locks do not exclude other threads of the same process.
_held: dict[tuple[int, int], int] = {}
_one_thread = threading.Lock()
log = logging.getLogger(__name__)


@contextlib.contextmanager
def folder_lock(folder: str | Path, what: str, remedy: str, wait: float = 0.0) -> Iterator[None]:
    """Lock a folder for writing.

    The folder is created if needed. A folder created by this function is removed at the end if it
    is still empty.

    Args:
        folder: folder to lock.
        what: kind of work, for the error message, such as "run" or "pack".
        remedy: alternative to waiting, for the error message, such as "give another --out".
        wait: seconds to wait until the lock is free.

    Raises:
        UserError: if another process or thread holds the lock (the message has the process id), or
            if the folder is not writable.
    """
    folder = Path(folder)
    with _lock(folder, folder / LOCK, what, remedy, wait):
        yield


@contextlib.contextmanager
def file_lock(path: str | Path, what: str, remedy: str, wait: float = 0.0) -> Iterator[None]:
    """Lock one file for writing. The other arguments and the errors are those of `folder_lock`."""
    path = Path(path)
    with _lock(path, path.with_name(f".{path.name}.lock"), what, remedy, wait):
        yield


@contextlib.contextmanager
def _lock(place: Path, file: Path, what: str, remedy: str, wait: float) -> Iterator[None]:
    present = _key_of(file)
    # The same thread already holds the lock.
    if present is not None and _held.get(present) == threading.get_ident():
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
                raise UserError(
                    f"{place} is in use by another {what}{_told(holder)}.\nWait until it has "
                    f"ended, or {remedy}."
                )
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
            with contextlib.suppress(OSError):  # The folder is not empty or is in use.
                folder.rmdir()


def _take(file: Path) -> tuple[int | None, dict]:
    """Try to lock a file; return its descriptor and an empty dictionary.

    If another process or thread holds the lock, return None and the file's information on that
    process.
    """
    # Do not open the file a second time: closing any descriptor of a file releases all record locks
    # that this process has on the file.
    if _key_of(file) in _held:
        return None, _me()
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        holder = _read(descriptor)
        if not _try(descriptor, file, holder):
            os.close(descriptor)
            return None, holder
        key = _key(os.fstat(descriptor))
        # The process that held the lock before may have removed the file. A lock on a removed file
        # has no effect, so try again.
        if _key_of(file) != key:
            os.close(descriptor)
            return _take(file)
        with contextlib.suppress(OSError):  # If the disk is full, the lock works without content.
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
    log.warning(
        "The file system of %s has no locks%s. Make sure that no other process writes there.",
        file,
        _told(holder),
    )
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
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %z"),
    }


def _read(descriptor: int) -> dict:
    try:
        said = json.loads(os.pread(descriptor, 4096, 0))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _told(holder: dict) -> str:
    """Return ``: process 12 on HOST, since TIME``; unknown parts are omitted."""
    parts = [
        f"process {holder['pid']}" if holder.get("pid") else "",
        f"on {holder['host']}" if holder.get("host") else "",
    ]
    told = " ".join(filter(None, parts)) + (
        f", since {holder['since']}" if holder.get("since") else ""
    )
    return f": {told}" if told else ""


def _key_of(file: Path) -> tuple[int, int] | None:
    """Return the device and inode of a file; None if it does not exist."""
    try:
        return _key(file.stat())
    except OSError:
        return None


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_held.clear)

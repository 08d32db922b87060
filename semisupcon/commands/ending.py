"""The end of a command after a signal or a closed pipe: no traceback, and the usual exit status.

``semisupcon data list | head`` closes the pipe while the command still writes. The exit status is
then 141 (128 + SIGPIPE), as for ``cat``. SIGTERM and SIGHUP raise SystemExit, so that partial files
and locks are removed. The exit status is 143 or 129; after Ctrl-C it is 130.
"""

import contextlib
import errno
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any

PIPE, INTERRUPTED = 141, 130
_ENDING = ("SIGTERM", "SIGHUP")


def ended_well(command: Callable[[], int]) -> int:
    """Run a command and return its exit status, or the status of the signal or closed pipe that
    ended it.

    Args:
        command: returns an exit status. A ``SystemExit`` that it raises is raised again.
    """
    before = _listen()
    try:
        try:
            return _flushed(command())
        except SystemExit as end:
            raise SystemExit(_flushed(end.code)) from None
    except BrokenPipeError:
        if not any(map(_reader_gone, (sys.stdout, sys.stderr))):
            raise  # Not the pipe of stdout or stderr.
        _discard_output()
        return PIPE
    except OSError as error:
        if error.filename is not None or not _refuses(sys.stdout, error.errno):
            raise
        return _unwritten(error)
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _flushed(status: Any) -> int:
    """Flush stdout and return the exit status.

    A message instead of a status is printed to stderr, as Python does.
    """
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno != errno.EIO:
            return _unwritten(error)
        _discard_output()  # The terminal is closed.
    except ValueError:  # stdout is closed.
        pass
    return status or 0


def _unwritten(error: OSError) -> int:
    _discard_output()
    print(f"error: The output cannot be written: {error.strerror}.", file=sys.stderr)
    return 2


def _refuses(stream: Any, number: int | None) -> bool:
    """Whether a write to a stream fails with this error number, as on a full disk."""
    try:
        os.write(stream.fileno(), b"\n")
    except OSError as error:
        return error.errno == number
    except (ValueError, AttributeError):
        pass
    return False


def _reader_gone(stream: Any) -> bool:
    """Whether a stream is a pipe or socket whose other end is closed."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return False


def _discard_output() -> None:
    """Redirect buffered output to the null device: else Python reports an error when it flushes at
    exit.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
            continue
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _listen() -> dict[int, Any]:
    """Make SIGTERM and SIGHUP raise SystemExit.

    Ignored signals (nohup) stay ignored. Returns the previous handlers.
    """
    before: dict[int, Any] = {}

    def end(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    with contextlib.suppress(ValueError):  # Signals can be set in the main thread only.
        for name in _ENDING:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    return before

"""End a command after a signal or a closed pipe without a traceback.

In ``semisupcon data list | head``, ``head`` closes the pipe while the command still writes. The
exit status is then 141 (128 + SIGPIPE), as for ``cat``. It is 130 after Ctrl-C, 143 after SIGTERM
and 129 after SIGHUP. SIGTERM and SIGHUP raise SystemExit, so that partial files and locks are
removed.
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
    """Run a command and return its exit status.

    If Ctrl-C or a closed pipe ends the command, the status is 130 or 141.

    Args:
        command: function that returns an exit status.

    Raises:
        SystemExit: if the command raises it, or after SIGTERM (status 143) or SIGHUP (129).
    """
    before = _listen()
    try:
        try:
            return _flushed(command())
        except SystemExit as end:
            # Lightning converts Ctrl-C before the first step to SystemExit.
            if isinstance(end.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise SystemExit(_flushed(end.code)) from None
    except BrokenPipeError:
        if not any(map(_reader_gone, (sys.stdout, sys.stderr))):
            raise  # The broken pipe is neither stdout nor stderr.
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

    A message instead of a status is printed to stderr and gives exit status 1, as in ``sys.exit``.
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
        _discard_output()  # EIO means that the terminal is closed.
    except ValueError:  # stdout is closed.
        pass
    return status or 0


def _unwritten(error: OSError) -> int:
    _discard_output()
    print(f"error: The output cannot be written: {error.strerror}.", file=sys.stderr)
    return 2


def _refuses(stream: Any, number: int | None) -> bool:
    """Return whether a write to a stream fails with the given error number (disk full, ...)."""
    try:
        os.write(stream.fileno(), b"\n")
    except OSError as error:
        return error.errno == number
    except (ValueError, AttributeError):
        pass
    return False


def _reader_gone(stream: Any) -> bool:
    """Return whether a stream is a pipe or socket whose other end is closed."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return False


def _discard_output() -> None:
    """Redirect stdout and stderr to the null device if they cannot be flushed.

    Otherwise Python would flush them at exit and report an error.
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

    Signals that are ignored, as under ``nohup``, stay ignored. Returns the previous handlers by
    signal number.
    """
    before: dict[int, Any] = {}

    def end(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    with contextlib.suppress(ValueError):  # Only the main thread can set handlers.
        for name in _ENDING:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    return before

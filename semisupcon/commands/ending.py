"""How a command ends: by a signal or a closed pipe, quietly and with the status that other programs have.

``semisupcon data list | head`` closes the pipe while the command still writes: it ends with 141 (128 and SIGPIPE), as ``cat`` does in a shell.
SIGTERM and SIGHUP unwind the command, so that partial files and locks are removed, and end it with 143 and 129; Ctrl-C with 130.
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
    """Run a command; returns its exit status, or that of the signal or closed pipe that ended it.

    Args:
        command: gives an exit status; a ``SystemExit`` of its own is raised again.
    """
    before = _listen()
    try:
        try:
            return _flushed(command())
        except SystemExit as end:
            raise SystemExit(_flushed(end.code)) from None
    except BrokenPipeError:
        if not any(map(_reader_gone, (sys.stdout, sys.stderr))):
            raise  # Another pipe than that of the output.
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
    """The status, once what was printed is out; a message in the place of a status is printed, as Python would."""
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
        _discard_output()  # The terminal is gone, and nobody reads.
    except ValueError:  # It is closed.
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
    """Whether a stream is a pipe, or a socket, whose other end is closed."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):
        return False


def _discard_output() -> None:
    """Let what is still to be written go nowhere, so that Python does not complain at its end."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
            continue
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _listen() -> dict[int, Any]:
    """Turn signals that would end the process at once into an exit; what is ignored (nohup) stays so."""
    before: dict[int, Any] = {}

    def end(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    with contextlib.suppress(ValueError):  # Not the main thread: whoever runs us there handles signals.
        for name in _ENDING:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, end)
    return before

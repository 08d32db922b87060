"""The processor and its number of cores."""

import os
import platform
from pathlib import Path


def all_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor() -> str:
    """Return the name of the processor; "unknown" where the system does not tell."""
    return first_line("/proc/cpuinfo", "model name") or platform.processor() or "unknown"


def first_line(file: str, start: str) -> str:
    """Return the text after the colon in the first line of a file that begins with ``start``.

    The text is empty if there is no such line.
    """
    try:
        lines = Path(file).read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(start)), "")

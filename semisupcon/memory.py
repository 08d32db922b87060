"""Memory of the process on a CPU: what is freed is kept for the next step."""

import ctypes
import os
import sys

M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1  # of malloc.h


def keep_freed_memory() -> bool:
    """Tell the C library to hand out freed memory again, instead of returning each large block to the system and asking for it anew.

    Activations are such blocks, and a fresh one costs a page fault for every 4 KiB: up to half of the time of a step of SampleCNN. In return the
    process grows, up to twice as large; ``SEMISUPCON_KEEP_MEMORY=0`` in the environment leaves everything as it is. Not for processes that train
    on a GPU, whose blocks are few.

    Returns:
        Whether it was done: only glibc (Linux) knows how.
    """
    if not sys.platform.startswith("linux") or os.environ.get("SEMISUPCON_KEEP_MEMORY") == "0":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))

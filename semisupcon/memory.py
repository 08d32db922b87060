"""Memory allocation on a CPU: reuse freed memory."""

import ctypes
import os
import sys

M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1  # constants of malloc.h


def keep_freed_memory() -> bool:
    """Make the C library reuse freed memory, instead of returning large blocks to the system and
    requesting them again.

    Activations are large blocks, and a new block costs a page fault per 4 KiB: up to half of the
    time of a SampleCNN step. In return, the process becomes up to twice as large.
    ``SEMISUPCON_KEEP_MEMORY=0`` in the environment disables it. Not useful for training on a GPU,
    which allocates few such blocks.

    Returns:
        Whether it was set; only glibc (Linux) supports it.
    """
    if not sys.platform.startswith("linux") or os.environ.get("SEMISUPCON_KEEP_MEMORY") == "0":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))

"""Faster memory allocation on a CPU: freed memory is reused."""

import ctypes
import os
import sys

M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1  # constants of malloc.h


def keep_freed_memory() -> bool:
    """Make the C library reuse freed memory instead of returning large blocks to the operating
    system.

    Activations are large blocks, and a new block costs one page fault per 4 KiB. This takes up to
    half of the time of a SampleCNN training step. The drawback is that the process needs up to
    twice as much memory. The environment variable ``SEMISUPCON_KEEP_MEMORY=0`` disables this
    function. It is not useful for training on a GPU, which allocates few such blocks.

    Returns:
        Whether the setting was made; only glibc (Linux) supports it.
    """
    if not sys.platform.startswith("linux") or os.environ.get("SEMISUPCON_KEEP_MEMORY") == "0":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # the C library musl does not have it
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))

"""How this process frees memory: blocks of draws are allocated and freed all the time."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's numbers, see malloc.h
_LARGEST = 2**24  # bytes of a block that is recycled


def keep_freed_memory() -> None:
    """Have glibc recycle blocks that are freed instead of unmapping them.

    The arrays of a block exceed its default threshold of 128 KiB, above which each temporary is
    mapped and page-faulted anew, at half the speed. It rises by itself where large blocks are
    freed, but not in workers of dask, whose environment sets MALLOC_TRIM_THRESHOLD_. Elsewhere than
    on glibc this does nothing.
    """
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGEST)
        mallopt(_TRIM_THRESHOLD, 2 * _LARGEST)

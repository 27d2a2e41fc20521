"""What the C library does with the memory that a chunk of draws leaves behind."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT = 32 * 2**20  # bytes; glibc admits no larger threshold for mappings


@cache
def keep_freed_memory() -> None:
    """Have this process keep the arrays of a chunk for those of the next.

    dask's nannies start workers with ``MALLOC_TRIM_THRESHOLD_=65536``. Then every array is given
    back to the kernel and faulted in anew, page by page, which takes longer than drawing does.
    Where the C library is not glibc nothing happens.
    """
    if sys.platform != "linux":
        return
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        for threshold in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            mallopt(threshold, _KEPT)

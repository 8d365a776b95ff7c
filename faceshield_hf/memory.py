"""Freed memory that a program keeps for what comes next.

glibc hands every large freed array back to the kernel, which gives it out again page by page, each zeroed first. A
tower's feature maps are such arrays: kept, an image costs a sixth to a third less. It knows nothing of images.

Example:
    >>> keep_freed_memory()
"""

import ctypes
import sys


KEPT_BYTES = 1 << 28
"""What a program holds of freed memory at most, and the size from which an array is handed back on its own."""
_GROWN_BYTES = 1 << 26
# glibc's malloc.h
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def keep_freed_memory() -> None:
    """Keep up to 256 MB of freed memory for reuse, in this process and from now on.

    A setting of glibc for the whole process, so that it is for programs to make (`faceshield`, the Space, the
    simulator's workers), not for a library in somebody else's. Elsewhere than on Linux with glibc it does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return
    for option, value in (
        (_M_MMAP_THRESHOLD, KEPT_BYTES),
        (_M_TRIM_THRESHOLD, KEPT_BYTES),
        (_M_TOP_PAD, _GROWN_BYTES),
    ):
        mallopt(option, value)

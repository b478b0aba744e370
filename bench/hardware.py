"""What this machine has, found out without importing PyTorch."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def gpu_count() -> int:
    """NVIDIA GPUs that the driver shows this process, and that the installed PyTorch can use."""
    try:
        if importlib.metadata.version("torch").endswith("+cpu"):
            return 0
        driver = ctypes.CDLL("libcuda.so.1")
    except (OSError, importlib.metadata.PackageNotFoundError):
        return 0
    count = ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def core_count() -> int:
    """CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_memory() -> None:
    """Have this process keep the memory that it frees, for the tensors of its next step.

    glibc hands large blocks back to the system, which maps and clears them anew: a seventh of the
    time of a step on a CPU. Where another C library is, nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the largest that it takes
    mallopt(_M_TRIM_THRESHOLD, 1 << 30)

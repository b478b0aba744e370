"""What this machine has, found out without importing PyTorch."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os


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

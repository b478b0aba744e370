"""What this machine has and how its time is told, found out without importing PyTorch."""

import contextlib
import ctypes
import importlib.metadata
import multiprocessing
import threading
import time
from collections.abc import Iterator
from typing import Self

# Constants of glibc's malloc.h.
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
    """CPU cores that this process may use.

    As joblib counts them: within its affinity, the quota of its control group (``docker --cpus``)
    and ``LOKY_MAX_CPU_COUNT``.
    """
    from joblib import cpu_count

    return int(cpu_count())


def has_workers() -> bool:
    """Whether worker processes can be started: they share semaphores, which live in /dev/shm."""
    try:
        multiprocessing.get_context().Semaphore(1)
    except (ImportError, OSError):
        return False
    return True


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


class Stopwatch:
    """Counts the seconds in which this process could run.

    A thread looks at the clock every :data:`_TICK` seconds. Where far more have passed since it
    last looked, the process was stopped or the machine asleep, and that time is not counted.
    """

    def __init__(self) -> None:
        """Not running yet, see :meth:`running`."""
        self._paused = 0.0
        self._seen = time.monotonic()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """Look at the clock within, from a thread of its own."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()

    def seconds(self) -> float:
        """Seconds that count, from some point in the past on."""
        with self._lock:
            now = time.monotonic()
            if now - self._seen > _PAUSE:
                self._paused += now - self._seen - _TICK
            self._seen = now
            return now - self._paused

    def _watch(self) -> None:
        while not self._stop.wait(_TICK):
            self.seconds()


# Seconds between two looks at the clock, and how many more are a pause: a busy machine may be late.
_TICK, _PAUSE = 0.5, 5.0

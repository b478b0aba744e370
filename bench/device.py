"""Threads and devices: what can be used, and whether an error says that one has failed."""

import torch
from threadpoolctl import threadpool_limits

from bench.errors import BenchError, Terminated

# cuDNN, cuBLAS, the driver and the CPU's allocator report missing memory in these words, and not
# by a torch.OutOfMemoryError.
_NO_MEMORY = (
    "out of memory",
    "alloc_failed",
    "allocation_failed",
    "memory allocation",
    "can't allocate memory",
    "not enough memory",
    # Their handles need memory, as an engine of cuDNN's does.
    "status_not_initialized",
    "cusolverdncreate",
    "unable to find an engine",
)
_FAILED = ("cuda error", "cudnn_status", "cudnn error", "cublas_status", "device-side assert")
# What cannot be captured in a CUDA graph is refused in these words, and the GPU goes on.
_NOT_CAPTURED = ("captur",)


def use_threads(count: int) -> None:
    """Have PyTorch, and NumPy's products, compute with so many CPU threads from here on.

    How sums are rounded depends on the number of threads.
    """
    torch.set_num_threads(count)
    threadpool_limits(count, user_api="blas")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of any type says that memory did not suffice."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _says(error, _NO_MEMORY)


def is_device_failure(error: BaseException) -> bool:
    """Whether a GPU itself failed, so that every later computation on it fails too.

    Memory that did not suffice is no such failure, nor a step that no CUDA graph can repeat.
    """
    if is_out_of_memory(error) or _says(error, _NOT_CAPTURED):
        return False
    # PyTorch has this type from 2.8 on.
    accelerator = getattr(torch, "AcceleratorError", ())
    if isinstance(error, accelerator):
        return True
    return isinstance(error, RuntimeError) and _says(error, _FAILED)


def _says(error: BaseException, phrases: tuple[str, ...]) -> bool:
    text = str(error).lower()
    return any(phrase in text for phrase in phrases)


def raise_unless_of_run(error: BaseException, doing: str, *others: type[Exception]) -> None:
    """Raise an error that is not a run's own, and so ends the command: nothing is lost.

    Raises:
        BenchError: the GPU failed while ``doing`` this (``"training mnist-ae-d128-s0"``).
        Terminated: the program was told to end meanwhile; likewise errors of these other types.
    """
    if isinstance(error, (Terminated, *others)):
        raise error
    if is_device_failure(error):
        raise BenchError(
            f"the GPU failed while {doing} ({_first_sentence(error)}); checkpoints and weights are "
            "kept, and the same command goes on from them"
        ) from error


def why_unusable(device: torch.device) -> str:
    """Why nothing can be computed on a device, in one line; empty where it can.

    Counting GPUs does not tell: with a driver that is too old for the installed PyTorch they are
    counted as usual, and the first computation fails.
    """
    try:
        values = torch.ones(2, 2, device=device)
        (values @ values).sum().item()
    except Exception as error:  # noqa: BLE001 - a driver fails in many ways
        return _first_sentence(error) or type(error).__name__
    return ""


def _first_sentence(error: BaseException) -> str:
    return " ".join(str(error).split()).partition(". ")[0]

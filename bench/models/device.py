"""What a device says when it cannot go on, and whether it can be used at all."""

from __future__ import annotations

import torch

from bench.errors import BenchError

# Beside torch.OutOfMemoryError: of cuDNN and cuBLAS, of the driver, of the CPU's allocator.
_NO_MEMORY = (
    "out of memory",
    "alloc_failed",
    "memory allocation",
    "can't allocate memory",
    "not enough memory",
)
_OF_DEVICE = ("cuda error", "cudnn_status", "cudnn error", "cublas_status", "device-side assert")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, however it is called, says that memory did not suffice."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(t in str(error).lower() for t in _NO_MEMORY)


def is_of_device(error: BaseException) -> bool:
    """Whether a GPU itself failed, so that whatever is tried on it next fails too.

    Memory that did not suffice is no such failure.
    """
    if is_out_of_memory(error):
        return False
    accelerator = getattr(torch, "AcceleratorError", None)
    if accelerator is not None and isinstance(error, accelerator):
        return True
    return isinstance(error, RuntimeError) and any(t in str(error).lower() for t in _OF_DEVICE)


def raise_if_of_device(error: BaseException, doing: str) -> None:
    """End the command where a GPU itself failed: nothing of the run is at fault, or lost.

    Raises:
        BenchError: it did.
    """
    if is_of_device(error):
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise BenchError(
            f"the GPU failed while {doing} ({reason}); checkpoints and weights are kept, and the "
            "same command goes on from them"
        ) from error


def why_unusable(device: torch.device) -> str:
    """Why nothing can be computed on a device, in one line; empty where it can.

    With a driver that is too old for the installed PyTorch, GPUs are counted as usual and the
    first computation fails.
    """
    try:
        values = torch.ones(2, 2, device=device)
        (values @ values).sum().item()
    except Exception as error:  # noqa: BLE001 - a driver fails in many ways
        return " ".join(str(error).split()).partition(". ")[0] or type(error).__name__
    return ""

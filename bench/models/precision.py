"""The precision in which PyTorch computes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from bench.errors import UsageError


@contextlib.contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Compute in a precision of :data:`bench.experiments.spec.PRECISIONS`; switches are put back.

    Said for fp32 too: unless it is told otherwise, PyTorch's convolutions on a GPU are in tf32.

    Raises:
        UsageError: ``tf32`` on a device other than a GPU.
    """
    if precision == "tf32" and device.type != "cuda":
        raise UsageError("--precision tf32 needs a GPU; use fp32 or bf16")
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    bf16 = precision == "bf16"
    try:
        # Its cache holds weights as they were when first used, for as long as this lasts.
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16, cache_enabled=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul
        torch.backends.cudnn.allow_tf32 = cudnn

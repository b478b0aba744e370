"""The precision in which PyTorch computes."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from bench.errors import UsageError


@contextlib.contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Compute in a precision of :data:`bench.experiments.spec.PRECISIONS` within the context.

    PyTorch's switches for tf32 are set for every precision, since its convolutions on a GPU use
    tf32 by default, and are reset at the end.

    Raises:
        UsageError: ``tf32`` on a device other than a GPU.
    """
    tf32 = precision == "tf32"
    if tf32 and device.type != "cuda":
        raise UsageError("precision=tf32 needs a GPU; use fp32 or bf16")
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    switches: list[tuple[Any, str, str | bool]]
    switches = [(owner, "allow_tf32", tf32) for owner in (matmul, cudnn)]
    conv = getattr(cudnn, "conv", None)
    if hasattr(conv, "fp32_precision"):
        # PyTorch 2.9 has new ones. Once a program has set a new one, reading an old one raises.
        new = "tf32" if tf32 else "ieee"
        switches = [(owner, "fp32_precision", new) for owner in (matmul, conv)]
    bf16 = precision == "bf16"
    with contextlib.ExitStack() as stack:
        for owner, name, value in switches:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        # With its cache, autocast would use the first step's weights in every later step.
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16, cache_enabled=False):
            yield


@contextlib.contextmanager
def subnormals_flushed() -> Iterator[None]:
    """Have this thread's CPU take numbers below 1.2e-38 (float32) for zero within the context.

    It computes many times slower with them. Adam's moments of weights whose gradients have become
    zero shrink to such numbers and stay there, and no weight moves for them.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)

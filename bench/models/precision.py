"""The precision in which PyTorch computes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
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
    if precision == "tf32" and device.type != "cuda":
        raise UsageError("precision=tf32 needs a GPU; use fp32 or bf16")
    switches = _switches()
    before = [getattr(owner, name) for owner, name, _, _ in switches]
    for owner, name, on, off in switches:
        setattr(owner, name, on if precision == "tf32" else off)
    bf16 = precision == "bf16"
    try:
        # With its cache, autocast would use the first step's weights in every later step.
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16, cache_enabled=False):
            yield
    finally:
        for (owner, name, _, _), value in zip(switches, before, strict=True):
            setattr(owner, name, value)


def _switches() -> Sequence[tuple[Any, str, str | bool, str | bool]]:
    """PyTorch's switches for tf32: owner, name, and the values for on and off.

    PyTorch 2.9 has new ones. Once a program has set a new one, reading an old one raises.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    conv = getattr(cudnn, "conv", None)
    if hasattr(conv, "fp32_precision"):
        return [(owner, "fp32_precision", "tf32", "ieee") for owner in (matmul, conv)]
    return [(owner, "allow_tf32", True, False) for owner in (matmul, cudnn)]

"""Tensors on disk: whole or absent, checksummed, and read without running code from them."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from bench.files import set_aside, write_bytes

_MAGIC = b"irmae-tensors-1\n"
_HEAD = len(_MAGIC) + 32


def save_tensors(path: Path, value: object) -> None:
    """Write nested dicts and lists of tensors and numbers, with their SHA-256."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    content = buffer.getvalue()
    write_bytes(path, _MAGIC + hashlib.sha256(content).digest() + content)


def load_tensors(path: Path) -> Any | None:  # noqa: ANN401 - what save_tensors was given
    """Read what :func:`save_tensors` wrote, on the CPU.

    Returns:
        The value, or None where there is no file or it is damaged. These files are caches and
        checkpoints: one that cannot be trusted is set aside, to be computed anew.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    body = content[_HEAD:]
    if content[:_HEAD] != _MAGIC + hashlib.sha256(body).digest():
        set_aside(path, "damaged, or of another version")
        return None
    return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)


def digest(value: dict[str, torch.Tensor]) -> str:
    """SHA-256 over the names and values of a state dict, in hex."""
    result = hashlib.sha256()
    for name in sorted(value):
        result.update(name.encode())
        result.update(value[name].detach().cpu().contiguous().numpy().tobytes())
    return result.hexdigest()

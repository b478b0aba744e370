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


def on_cpu(value: Any) -> Any:  # noqa: ANN401 - nested dicts and lists
    """The same value with each tensor on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, dict):
        return {key: on_cpu(each) for key, each in value.items()}
    return [on_cpu(each) for each in value] if isinstance(value, list | tuple) else value


def save_state(path: Path, state: dict[str, torch.Tensor]) -> None:
    """Write a state dict as PyTorch has it, for ``torch.load(path, weights_only=True)``."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def load_state(path: Path, sha256: str) -> dict[str, torch.Tensor] | None:
    """Read a state dict whose :func:`digest` is known, on the CPU.

    Returns:
        The state dict; None where there is no file, or another is in its place or it is damaged,
        and was set aside.
    """
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        matches = digest(state) == sha256
    except PermissionError:
        raise
    except Exception:  # noqa: BLE001 - a damaged file fails in many ways
        matches = False
    if not matches:
        set_aside(path, "damaged, or not the weights that its record names")
        return None
    return state


def digest(value: dict[str, torch.Tensor]) -> str:
    """SHA-256 over the names and values of a state dict, in hex."""
    result = hashlib.sha256()
    for name in sorted(value):
        result.update(name.encode())
        result.update(value[name].detach().cpu().contiguous().numpy().tobytes())
    return result.hexdigest()

"""Tensors on disk: whole or absent, checksummed, and read without running code from them."""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from bench.device import is_out_of_memory
from bench.errors import BenchError, refused
from bench.files import set_aside, write_bytes

_MAGIC = b"irmae-tensors-1\n"
_HEAD = len(_MAGIC) + 32


def save_tensors(path: Path, value: object) -> None:
    """Write nested dicts and lists of tensors and numbers, with their SHA-256."""
    content = _serialized(value)
    write_bytes(path, _MAGIC + hashlib.sha256(content).digest() + content)


def load_tensors(path: Path) -> Any | None:  # noqa: ANN401 - what save_tensors was given
    """Read onto the CPU what :func:`save_tensors` wrote.

    Returns:
        The value; None where there is no file, or where it is damaged. These files are caches and
        checkpoints: a damaged one is set aside, and what it held is computed again.

    Raises:
        BenchError: the system refuses to read it.
    """
    if (content := _content(path)) is None:
        return None
    body = content[_HEAD:]
    if content[:_HEAD] != _MAGIC + hashlib.sha256(body).digest():
        set_aside(path, "damaged, or of another version")
        return None
    return torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)


def save_state(path: Path, state: dict[str, torch.Tensor]) -> None:
    """Write a state dict in PyTorch's format, for ``torch.load(path, weights_only=True)``."""
    write_bytes(path, _serialized(state))


def load_state(path: Path, sha256: str) -> dict[str, torch.Tensor] | None:
    """Read onto the CPU a state dict whose :func:`state_sha256` is known.

    Returns:
        The state dict; None where there is no file, or where it is damaged or holds other weights,
        and was set aside.

    Raises:
        BenchError: the system refuses to read it, or memory does not suffice.
    """
    try:
        if (content := _content(path)) is None:
            return None
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        matches = state_sha256(state) == sha256
    except BenchError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            what = "memory does not suffice to read it; free some, or try fewer --jobs"
            raise BenchError(f"{path}: {what}") from error
        matches = False
    if not matches:
        set_aside(path, "damaged, or not the weights that its record names")
        return None
    return state


def _content(path: Path) -> bytes | None:
    """A file's bytes, None where there is none; a disk that fails for now is no damaged file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refused(f"cannot read {path}", error) from error


def _serialized(value: object) -> bytes:
    # In memory, since PyTorch says nothing of a full disk that could be acted on.
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def state_sha256(state: dict[str, torch.Tensor]) -> str:
    """SHA-256 over the names and values of a state dict, in hex."""
    result = hashlib.sha256()
    for name in sorted(state):
        result.update(name.encode())
        result.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return result.hexdigest()

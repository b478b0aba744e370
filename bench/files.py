"""Files that are whole or absent, and locks that die with their holder."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bench.errors import BenchError


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only once it is complete.

    A temporary file in the same folder is written, flushed to disk and renamed; on any exception
    it is removed and an earlier file of that name stays as it was.

    Raises:
        BenchError: the folder cannot be made or written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror}") from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; results are to be as readable as any other file here.
        temporary.chmod(0o644)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise BenchError(f"cannot write {path}: {error.strerror or error}") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, so that what was written survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file at once, see :func:`atomic`."""
    with atomic(path) as file:
        file.write(content)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, which need not exist yet; only :func:`sync` makes sure of it."""
    try:
        with path.open("a") as file:
            file.write(f"{line}\n")
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror}") from error


@contextlib.contextmanager
def lock(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold an exclusive lock on a file; the system releases it when its holder dies.

    Args:
        path: the lock file, made where it is missing and left in place afterwards.
        wait: whether to wait for another holder.

    Yields:
        Whether the lock is held: False only where ``wait`` is False and another holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

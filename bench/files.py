"""Files that are whole or absent, and locks that die with their holder."""

import contextlib
import errno
import fcntl
import functools
import hashlib
import itertools
import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bench.errors import BenchError, refused

# Ending of files while they are written.
TEMPORARY = ".irmae-tmp"


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only once it is complete.

    A temporary file in the same folder is written, flushed to disk and renamed; on any exception
    it is removed and an earlier file of that name stays as it was.

    Raises:
        BenchError: the folder cannot be made or written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            # Locked while it is written, where the disk knows locks: --gc removes the others.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        # Some network disks flush no folders.
        with contextlib.suppress(OSError):
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise refused(f"cannot write {path}", error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def temporaries(folder: Path) -> list[Path]:
    """Files in a folder that :func:`atomic` has begun and not yet ended."""
    return sorted(folder.glob(f".*{TEMPORARY}"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file at once, see :func:`atomic`."""
    with atomic(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, whatever the user's locale; what is no character becomes an escape."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, which need not exist yet; a power cut may lose it."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
    except OSError as error:
        raise refused(f"cannot write {path}", error) from error


@contextlib.contextmanager
def lock(path: Path, wait: bool = True) -> Iterator[bool]:
    """Hold an exclusive lock on a file; the system releases it when its holder dies.

    The file is made where it is missing, and left in place afterwards.

    Yields:
        Whether the lock is held: False only where ``wait`` is False and another holds it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    except OSError as error:
        raise refused(f"cannot write {path}", error) from error
    with file:
        held = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            held = False
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise refused(f"cannot lock {path}", error) from error
            # Two processes at once may then do the same work; what they write is whole anyway.
            _warn_of_locks(path.parent, error.strerror or "")
        yield held


# What disks say that know no locks: not supported, not implemented, none available.
_NO_LOCKS = (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK)


@functools.lru_cache
def _warn_of_locks(folder: Path, why: str) -> None:
    logging.getLogger(__name__).warning(
        "%s: the disk locks no files (%s); going on without locks", folder, why
    )


def set_aside(path: Path, why: str) -> None:
    """Take a file that cannot be trusted out of the way, without losing it, and say so.

    Raises:
        BenchError: it cannot be renamed.
    """
    names = itertools.chain([""], (f".{number}" for number in itertools.count(2)))
    places = (path.with_name(f"{path.name}{number}.corrupt") for number in names)
    aside = next(place for place in places if not place.exists())
    try:
        path.replace(aside)
    except FileNotFoundError:
        # Another process was first.
        return
    except OSError as error:
        raise refused(f"cannot rename {path}", error) from error
    logging.getLogger(__name__).warning("%s: %s; kept as %s", path, why, aside.name)


def is_locked(path: Path) -> bool:
    """Whether a living process holds a lock on a file; False where there is none."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    return False


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_sha256(path: Path, sha256: str, remedy: str) -> None:
    """Raise BenchError, with what to do, unless a file is there and has this SHA-256, in hex."""
    if not path.is_file() or file_sha256(path) != sha256:
        raise BenchError(f"{path}: not the weights that the suite is pinned to; {remedy}")

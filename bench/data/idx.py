"""The idx format of MNIST and its relatives: big-endian header, then unsigned bytes."""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from bench.errors import BenchError

# Of a header of four dimensions, the largest that is read.
_HEADER_BYTES = 20
# Larger than any data set of this format: EMNIST has half a gigabyte.
MAX_BYTES = 4 << 30


def read_bytes(path: Path) -> bytes:
    """Content of an idx file, uncompressed where its name ends in .gz.

    Raises:
        BenchError: the file cannot be read, or its compression is broken.
    """
    try:
        if path.suffix != ".gz":
            return path.read_bytes()
        with gzip.open(path) as file:
            head = file.read(_HEADER_BYTES)
            # As much as the header declares and a byte: what is longer is refused for it, and a
            # small file cannot become a huge one.
            start, size = _declared(head)
            return head + file.read(max(0, min(start + size, MAX_BYTES) + 1 - len(head)))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BenchError(f"{path}: truncated or altered ({error}); fetch it again") from error
    except OSError as error:
        raise BenchError(f"{path}: cannot be read ({error.strerror})") from error


def _shape(content: bytes) -> tuple[int, ...] | None:
    """Shape in a header; None where there is none."""
    if len(content) < 4 or content[:3] != b"\0\0\x08" or not 1 <= content[3] <= 4:
        return None
    start = 4 + 4 * content[3]
    return struct.unpack(f">{content[3]}I", content[4:start]) if len(content) >= start else None


def _declared(content: bytes) -> tuple[int, int]:
    """Bytes of a header, and of the data that it declares; 0 of either where there is none."""
    shape = _shape(content)
    # Python's integers: a forged header must not overflow into a plausible size.
    return (4 + 4 * len(shape), math.prod(shape)) if shape is not None else (0, 0)


def read_verified(path: Path, sha256: str) -> bytes:
    """Content of an idx file whose uncompressed bytes must have the given SHA-256.

    Raises:
        BenchError: unreadable, truncated, or not that content; the message names the file.
    """
    content = read_bytes(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BenchError(
            f"{path}: truncated or altered (SHA-256 of its {len(content):,} uncompressed bytes "
            "is not the published one); delete it or fetch it again"
        )
    return content


def parse(content: bytes, name: str) -> np.ndarray:
    """Array in an idx file of unsigned bytes, in the shape that its header declares.

    Raises:
        BenchError: not idx, not unsigned bytes, or shorter or longer than declared.
    """
    shape = _shape(content)
    if shape is None:
        raise BenchError(f"{name}: not an idx file of unsigned bytes, or truncated in its header")
    start, size = _declared(content)
    if len(content) - start != size:
        raise BenchError(
            f"{name}: {len(content) - start} bytes of data, its header declares {size}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)

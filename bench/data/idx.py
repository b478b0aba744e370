"""The idx format of MNIST and its relatives: big-endian header, then unsigned bytes."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np

from bench.errors import BenchError


def read_bytes(path: Path) -> bytes:
    """Content of an idx file, uncompressed where its name ends in .gz.

    Raises:
        BenchError: the file cannot be read, or its compression is broken.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BenchError(f"{path}: truncated or altered ({error}); fetch it again") from error
    except OSError as error:
        raise BenchError(f"{path}: cannot be read ({error.strerror})") from error


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
    if len(content) < 4 or content[:3] != b"\0\0\x08" or not 1 <= content[3] <= 4:
        raise BenchError(f"{name}: not an idx file of unsigned bytes")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise BenchError(f"{name}: truncated in its header")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    # Python's integers: a forged header must not overflow into a plausible size.
    size = 1
    for length in shape:
        size *= length
    if len(content) - start != size:
        raise BenchError(
            f"{name}: {len(content) - start} bytes of data, its header declares {size}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)

"""The idx format of MNIST and its relatives: big-endian header, then unsigned bytes."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np

from bench.errors import BenchError

# Of a header of four dimensions, the largest that is read.
_HEADER_BYTES = 20
# Larger than any data set of this format: EMNIST has half a gigabyte.
MAX_BYTES = 4 << 30
FILES = tuple(
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)
# 7-Zip writes train-images.idx3-ubyte; EMNIST puts a name in front and calls the second part test.
_SPELLING = re.compile(
    r"(?:.*[-_.])?(train|t10k|test)[-_.](images[-_.]idx3|labels[-_.]idx1)[-_.]ubyte(?:\.gz)?",
    re.IGNORECASE,
)
_GZIP = b"\x1f\x8b"


def find_files(folder: Path) -> dict[str, Path]:
    """Those of the four :data:`FILES` that a folder has, by their usual names.

    Their names may be spelled as unpackers, EMNIST and upper-case systems do; what is in them is
    for the caller to verify. A file with the usual name goes before others.

    Raises:
        BenchError: several files, none with the usual name, can be meant.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _SPELLING.fullmatch(path.name)
        if match and path.is_file():
            part, kind = match[1].lower().replace("test", "t10k"), match[2].lower()
            found.setdefault(f"{part}-{kind[:6]}-{kind[7:]}-ubyte", []).append(path)
    files = {}
    for name, paths in found.items():
        usual = [path for path in paths if path.name in (name, f"{name}.gz")]
        if not usual and len(paths) > 1:
            named = " or ".join(path.name for path in paths)
            raise BenchError(f"{folder}: which is {name}, {named}? Keep one of them in the folder")
        files[name] = (usual or paths)[0]
    return files


def missing_files(folder: Path, found: dict[str, Path]) -> str:
    """Which of the four files a folder lacks, with names that come near, for a message."""
    others = [path.name for path in folder.iterdir() if path not in found.values()]
    lacking = [name for name in FILES if name not in found]
    near = [match for name in lacking for match in difflib.get_close_matches(name, others, 1, 0.7)]
    hint = f" ({', '.join(dict.fromkeys(near))} is not called so)" if near else ""
    return f"no {', '.join(lacking)}{hint}"


def read_bytes(path: Path) -> bytes:
    """Content of an idx file, uncompressed where it is compressed, whatever it is called.

    Raises:
        BenchError: the file cannot be read, or its compression is broken.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(len(_GZIP)) == _GZIP
        with gzip.open(path) if compressed else path.open("rb") as file:
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
            f"{path}: truncated or altered, or of other data (SHA-256 of its {len(content):,} "
            "uncompressed bytes is not the published one); fetch it again, or run the tables on "
            f"other data by --dataset idx:{path.parent}"
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

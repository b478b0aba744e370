"""The idx format of MNIST and its relatives: a big-endian header, then the numbers."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.data import IDX_FILES
from bench.errors import BenchError

# Larger than any data set of this format: EMNIST has half a gigabyte.
MAX_BYTES = 4 << 30
# 7-Zip writes train-images.idx3-ubyte; EMNIST and QMNIST put a name in front and call the second
# part test; QMNIST's labels are rows of 32-bit integers.
_SPELLING = re.compile(
    r"(?:.*[-_.])?(train|t10k|test)[-_.](images[-_.]idx3[-_.]ubyte"
    r"|labels[-_.]idx1[-_.]ubyte|labels[-_.]idx2[-_.]int)(?:\.gz)?",
    re.IGNORECASE,
)
_GZIP = b"\x1f\x8b"
# Types of numbers by the first three bytes.
_TYPES: dict[bytes, np.dtype[Any]] = {b"\0\0\x08": np.dtype("u1"), b"\0\0\x0c": np.dtype(">i4")}


def find_files(folder: Path) -> dict[str, Path]:
    """Those of the four :data:`bench.data.IDX_FILES` that a folder has, by their usual names.

    Their names may be spelled as unpackers, EMNIST, QMNIST and upper-case systems do; what is in
    them is for the caller to verify. A file with the usual name goes before others.

    Raises:
        BenchError: several files, none with the usual name, can be meant.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = _SPELLING.fullmatch(path.name)
        if match and path.is_file():
            part = "train" if match[1].lower() == "train" else "t10k"
            kind = "images-idx3" if match[2].lower().startswith("images") else "labels-idx1"
            found.setdefault(f"{part}-{kind}-ubyte", []).append(path)
    files = {}
    for name, paths in found.items():
        usual = [path for path in paths if path.name in (name, f"{name}.gz")]
        if not usual and len(paths) > 1:
            named = " or ".join(path.name for path in paths)
            raise BenchError(f"{folder}: which is {name}, {named}? Keep one of them in the folder")
        files[name] = (usual or paths)[0]
    return files


def folder_of_files(folder: Path) -> Path:
    """The folder that has the files: the given one, or the only such one up to two below it.

    Raises:
        BenchError: several folders below it have such files.
    """
    if not find_files(folder):
        below = [path for path in sorted([*folder.glob("*"), *folder.glob("*/*")]) if path.is_dir()]
        having = [path for path in below if find_files(path)]
        if len(having) > 1:
            named = ", ".join(str(path.relative_to(folder)) for path in having)
            raise BenchError(f"{folder}: several folders have idx files ({named}); name one")
        folder = having[0] if having else folder
    return folder


def missing_files(folder: Path, found: dict[str, Path]) -> str:
    """Name the files that a folder lacks, and names that come near, for a message."""
    others = [path.name for path in folder.iterdir() if path not in found.values()]
    lacking = [name for name in IDX_FILES if name not in found]
    near = [match for name in lacking for match in difflib.get_close_matches(name, others, 1, 0.7)]
    hint = f" ({', '.join(dict.fromkeys(near))} is not called so)" if near else ""
    return f"no {', '.join(lacking)}{hint}"


class Idx(NamedTuple):
    """An idx file's array, uint8 or 32-bit integers, and the SHA-256 of its uncompressed bytes."""

    array: np.ndarray
    sha256: str


def read(path: Path) -> Idx:
    """Read an idx file, compressed or not, whatever it is called.

    Raises:
        BenchError: it cannot be read, is not idx or of other numbers, or is shorter or longer than
            its header declares.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(len(_GZIP)) == _GZIP
        with gzip.open(path) if compressed else path.open("rb") as file:
            head = file.read(4)
            kind = _TYPES[head[:3]]
            head += file.read(4 * head[3])
            shape = struct.unpack(f">{head[3]}I", head[4:])
            size = math.prod(shape) * kind.itemsize
            # As much as the header declares and a byte: what is longer is refused for it, and a
            # small file cannot become a huge one.
            data = file.read(min(size, MAX_BYTES) + 1)
    except (KeyError, IndexError, struct.error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BenchError(
            f"{path}: truncated or altered, or not an idx file of unsigned bytes or 32-bit integers"
        ) from error
    except OSError as error:
        raise BenchError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) != size:
        raise BenchError(
            f"{path}: truncated or altered ({len(data)} bytes of data, its header declares {size})"
        )
    digest = hashlib.sha256(head)
    digest.update(data)
    return Idx(np.frombuffer(data, kind).reshape(shape), digest.hexdigest())


def classes_of(labels: np.ndarray) -> np.ndarray:
    """Classes (n,), int64, of a label file; of QMNIST's rows the first number is the digit."""
    return (labels[:, 0] if labels.ndim == 2 else labels).astype(np.int64)

"""The idx format of MNIST and its relatives: a big-endian header, then unsigned bytes."""

import gzip
import hashlib
import math
import re
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.errors import BenchError

# 7-Zip writes train-images.idx3-ubyte; EMNIST and QMNIST put a name in front and call the second
# part test.
_SPELLING = re.compile(
    r"(?:.*[-_.])?(train|t10k|test)[-_.](images[-_.]idx3|labels[-_.]idx1)[-_.]ubyte(?:\.gz)?",
    re.IGNORECASE,
)
# Larger than any data set of this format: EMNIST has half a gigabyte.
MAX_BYTES = 4 << 30


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


class Idx(NamedTuple):
    """An idx file's array, uint8, and the SHA-256 of its uncompressed bytes."""

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
            compressed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if compressed else path.open("rb") as file:
            head = file.read(4)
            # More dimensions than images have, or than NumPy takes, are no idx file of theirs.
            if not head.startswith(b"\0\0\x08") or head[3] > 8:
                raise BenchError(f"{path}: truncated or altered, or not an idx file of bytes")
            head += file.read(4 * head[3])
            shape = struct.unpack(f">{head[3]}I", head[4:])
            size = math.prod(shape)
            # As much as the header declares and a byte: what is longer is refused for it, and a
            # small file cannot become a huge one.
            data = file.read(min(size, MAX_BYTES) + 1)
    except (IndexError, struct.error, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BenchError(f"{path}: truncated or altered, or not an idx file ({error})") from error
    except OSError as error:
        raise BenchError(f"{path}: cannot be read ({error.strerror})") from error
    if len(data) != size:
        raise BenchError(
            f"{path}: truncated or altered ({len(data)} bytes of data, its header declares {size})"
        )
    digest = hashlib.sha256(head)
    digest.update(data)
    return Idx(np.frombuffer(data, np.uint8).reshape(shape), digest.hexdigest())

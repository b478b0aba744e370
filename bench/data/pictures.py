"""Picture files as they lie on the disk, in a folder or a zip, and what becomes of them."""

from __future__ import annotations

import functools
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")
# No photograph is larger; what claims to be is not read.
MAX_BYTES = 64 * 2**20

_UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error)


class BadPictureError(ValueError):
    """A picture that cannot be used; the message says why, without its name."""


@dataclass(frozen=True)
class File:
    """A picture file: its name within its source, its size in bytes, and when it changed last."""

    name: str
    size: int
    stamp: int


@dataclass(frozen=True)
class Source:
    """Where pictures are: a folder, whose subfolders count too, or a zip.

    Attributes:
        path: the folder or the zip file.
    """

    path: Path

    def files(self) -> list[File]:
        """Every picture, sorted by name; links that lead out of the folder are left out.

        Raises:
            BenchError: the folder or the zip cannot be read.
        """
        try:
            found = self._zipped() if self.path.is_file() else self._in_folder()
            return sorted(found, key=lambda file: file.name)
        except _UNREADABLE as error:
            raise BenchError(f"{self.path}: cannot be read ({error})") from error

    def _zipped(self) -> Iterator[File]:
        with zipfile.ZipFile(self.path) as archive:
            for member in archive.infolist():
                if is_picture(member.filename):
                    yield File(member.filename, member.file_size, member.CRC)

    def _in_folder(self) -> Iterator[File]:
        root = os.path.realpath(self.path)
        folders = [root]
        while folders:
            for entry in os.scandir(folders.pop()):
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif is_picture(entry.name) and entry.is_file():
                    if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(root):
                        continue
                    status = entry.stat()
                    name = entry.path[len(root) + 1 :].replace(os.sep, "/")
                    yield File(name, status.st_size, status.st_mtime_ns)

    def read(self, files: list[File]) -> Iterator[bytes | BadPictureError]:
        """Contents of files, in their order; what cannot be read says why instead."""
        archive = None
        if self.path.is_file():
            archive = _archive(self.path, self.path.stat().st_mtime_ns)
        for file in files:
            if file.size > MAX_BYTES:
                yield BadPictureError(f"larger than {MAX_BYTES // 2**20} MiB")
                continue
            try:
                yield _member(archive, file) if archive else (self.path / file.name).read_bytes()
            except (*_UNREADABLE, ValueError, RuntimeError) as error:
                yield BadPictureError(f"cannot be read ({error})")


# Reading the list of 200,000 members takes seconds, and a worker reads a zip chunk by chunk.
@functools.lru_cache(maxsize=1)
def _archive(path: Path, stamp: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def _member(archive: zipfile.ZipFile, file: File) -> bytes:
    """A member's content, unpacked no further than it declares."""
    with archive.open(file.name) as member:
        return member.read(file.size + 1)


def is_picture(name: str) -> bool:
    """Whether a file's name is that of a picture."""
    base = name.rpartition("/")[2]
    # macOS leaves files of that kind, which hold no picture.
    return base.lower().endswith(ENDINGS) and not base.startswith("._")


@dataclass(frozen=True)
class Form:
    """What pictures are turned into.

    Attributes:
        size: width and height, in pixels.
        channels: 1 (grey) or 3 (RGB).
        crop: ``celeba``, the square of 148 pixels in the middle of 178x218, in proportion where
            the picture is smaller or larger; or ``square``, the largest in the middle.
    """

    size: int
    channels: int
    crop: str

    @property
    def mode(self) -> str:
        """PIL's name of the channels."""
        return "L" if self.channels == 1 else "RGB"

    @property
    def description(self) -> str:
        """How the pictures were prepared, part of their identity."""
        colour = "grey" if self.channels == 1 else "RGB"
        square = "the central 148 of 178x218" if self.crop == "celeba" else "the central square"
        return f"{square} to {self.size}x{self.size} {colour}, bilinear, antialiased"

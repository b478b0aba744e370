"""Picture files as they lie on the disk, in a folder or a zip, and what becomes of them."""

import functools
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from bench.errors import BenchError, printable

ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp"),
    *(".ppm", ".pgm", ".tif", ".tiff", ".gif", ".avif"),
)
TAKEN = f"pictures are taken from a folder or a zip, with the endings {' '.join(ENDINGS)}"
# What systems leave beside pictures: thumbnails and the like, in folders that are not the user's.
_LEFT_BY_SYSTEMS = ("@eaDir", "__MACOSX")
# No photograph is larger; what claims to be is not read.
MAX_BYTES = 64 * 2**20

# zipfile raises the last two for names, versions and passwords that it cannot deal with.
_BROKEN = (EOFError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError)
UNREADABLE = (OSError, *_BROKEN)


class BadPictureError(ValueError):
    """A picture that cannot be used; the message says why, without its name."""


@dataclass(frozen=True)
class File:
    """A picture file.

    Attributes:
        name: within its source, with slashes between folders, whatever the user's locale: bytes
            that are not UTF-8 are surrogates, see :func:`bench.errors.printable`.
        size: in bytes.
        stamp: when it changed last; a zip's checksum of it.
    """

    name: str
    size: int
    stamp: int


class Listing(NamedTuple):
    """Every picture of a source, sorted by name, and one line on what else lies there."""

    files: tuple[File, ...]
    remark: str


@dataclass(frozen=True)
class Source:
    """Where pictures are: a folder or a zip.

    Attributes:
        path: the folder or the zip file.
        outputs: folders below it that the suite itself writes to, resolved.
        deep: whether a folder's subfolders count too.
    """

    path: Path
    outputs: tuple[Path, ...] = ()
    deep: bool = True

    def listing(self) -> Listing:
        """Every picture, and what was passed over.

        Passed over are hidden files and folders, what systems leave beside pictures, the suite's
        own outputs, links to folders or to nothing, and files with other endings.

        Raises:
            BenchError: the folder or the zip cannot be read.
        """
        try:
            found = list(self._in_folder() if self.path.is_dir() else self._in_zip())
        except UNREADABLE as error:
            raise BenchError(f"{self.path}: cannot be read ({error}); {TAKEN}") from error
        files = sorted((f for f in found if isinstance(f, File)), key=lambda file: file.name)
        others = sorted(printable(name) for name in found if isinstance(name, str))
        named = ", ".join(others[:3]) + (", ..." if others[3:] else "")
        remark = (
            f"passed over {len(others):,} that are hidden, the suite's or no pictures ({named})"
        )
        return Listing(tuple(files), remark if others else "")

    def _in_zip(self) -> Iterator[File | str]:
        """Pictures, and names of what else there is."""
        with zipfile.ZipFile(self.path) as archive:
            for member in archive.infolist():
                # Whichever system it was written on.
                name = member.filename.replace("\\", "/")
                if not name.endswith("/"):
                    yield File(name, member.file_size, member.CRC) if is_picture(name) else name

    def _in_folder(self) -> Iterator[File | str]:
        # Bytes, since what a name's bytes are as text depends on the user's locale.
        root = os.fsencode(os.path.realpath(self.path))
        outputs = {os.fsencode(path) for path in self.outputs}
        folders = [root]
        while folders:
            for entry in os.scandir(folders.pop()):
                name = entry.path[len(root) :].lstrip(b"/").decode(errors="surrogateescape")
                base = name.rpartition("/")[2]
                # Links to folders may lead in circles.
                below = entry.is_dir(follow_symlinks=False)
                if below and not self.deep:
                    continue
                if below and not _left_by_others(base) and entry.path not in outputs:
                    folders.append(entry.path)
                elif is_picture(base) and entry.is_file():
                    yield File(name, entry.stat().st_size, entry.stat().st_mtime_ns)
                else:
                    yield name

    def read(self, file: File) -> bytes:
        """Content of a file.

        Raises:
            BadPictureError: it is too large, gone, or broken.
            OSError: the system refused it for the moment.
        """
        if file.size > MAX_BYTES:
            raise BadPictureError(f"larger than {MAX_BYTES // 2**20} MiB")
        try:
            if self.path.is_dir():
                name = file.name.encode(errors="surrogateescape")
                return (self.path / os.fsdecode(name)).read_bytes()
            archive, members = _opened(self.path, self.path.stat().st_mtime_ns, os.getpid())
            with archive.open(members[file.name]) as member:
                # Unpacked no further than it declares.
                return member.read(file.size + 1)
        except (FileNotFoundError, PermissionError, KeyError, *_BROKEN) as error:
            raise BadPictureError(f"cannot be read ({error})") from error


# Reading the list of 200,000 members takes seconds, and a zip is read file by file. A process
# that was forked opens it anew: it would share the reading position with the others.
@functools.lru_cache(maxsize=1)
def _opened(
    path: Path, stamp: int, process: int
) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """An open zip, and its members by their names with slashes."""
    archive = zipfile.ZipFile(path)
    return archive, {each.filename.replace("\\", "/"): each for each in archive.infolist()}


def is_picture(name: str) -> bool:
    """Whether a file's name, with its folders, is that of a picture of the user's."""
    return name.lower().endswith(ENDINGS) and not any(map(_left_by_others, name.split("/")))


def _left_by_others(part: str) -> bool:
    """Whether a file or folder is hidden or left by a system, by its name."""
    return part in _LEFT_BY_SYSTEMS or (part.startswith(".") and part not in (".", ".."))


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
        """How the pictures are prepared, part of their identity."""
        colour = "grey" if self.channels == 1 else "RGB"
        square = "the central 148 of 178x218" if self.crop == "celeba" else "the central square"
        return f"{square} to {self.size}x{self.size} {colour}, bilinear, antialiased"

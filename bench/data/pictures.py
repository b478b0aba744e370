"""Picture files as they lie on the disk, in a folder or a zip, and what becomes of them."""

from __future__ import annotations

import functools
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError

JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
ENDINGS = (*JPEG, ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif", ".avif")
# What systems leave beside pictures: thumbnails and the like, in folders that are not the user's.
_LEFT_BY_SYSTEMS = ("@eaDir", "__MACOSX")
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
class Listing:
    """What a source holds.

    Attributes:
        files: every picture, sorted by name.
        passed_over: names of what else lies there, by the reason why it does not count.
    """

    files: tuple[File, ...]
    passed_over: Mapping[str, tuple[str, ...]]

    @property
    def remark(self) -> str:
        """What was passed over, in one line; empty where nothing was."""
        parts = [
            f"{len(names):,} {reason} ({printable(names[0])}{', ...' if names[1:] else ''})"
            for reason, names in sorted(self.passed_over.items())
        ]
        return f"passed over: {', '.join(parts)}" if parts else ""


@dataclass(frozen=True)
class Source:
    """Where pictures are: a folder, whose subfolders count too, or a zip.

    Attributes:
        path: the folder or the zip file.
        outputs: folders below it that the suite itself writes to, resolved.
    """

    path: Path
    outputs: tuple[Path, ...] = ()

    def listing(self) -> Listing:
        """Every picture, and what was passed over.

        Passed over are hidden files and folders, what systems leave beside pictures, the suite's
        own outputs, links to folders or out of the folder, and files with other endings.

        Raises:
            BenchError: the folder or the zip cannot be read.
        """
        files, passed_over = [], dict[str, list[str]]()
        try:
            for found, reason in self._zipped() if self.path.is_file() else self._in_folder():
                if isinstance(found, File):
                    files.append(found)
                else:
                    passed_over.setdefault(reason, []).append(found)
        except _UNREADABLE as error:
            raise BenchError(f"{self.path}: cannot be read ({error})") from error
        return Listing(
            tuple(sorted(files, key=lambda file: file.name)),
            {reason: tuple(sorted(names)) for reason, names in passed_over.items()},
        )

    @property
    def empty(self) -> bool:
        """Whether there is no picture at all, found without listing the others."""
        if self.path.is_file():
            return False
        return not any(isinstance(found, File) for found, _ in self._in_folder())

    def _zipped(self) -> Iterator[tuple[File | str, str]]:
        """Pictures, and names of other members with the reason why they do not count."""
        with zipfile.ZipFile(self.path) as archive:
            for member in archive.infolist():
                if member.is_dir() or member.filename.endswith("\\"):
                    continue
                name = _slashed(member.filename)
                reason = _passed_over(name)
                yield name if reason else File(name, member.file_size, member.CRC), reason

    def _in_folder(self) -> Iterator[tuple[File | str, str]]:
        """Likewise, of a folder and those below it."""
        root = os.path.realpath(self.path)
        folders = [root]
        while folders:
            for entry in os.scandir(folders.pop()):
                name = entry.path[len(root) + 1 :].replace(os.sep, "/")
                reason = _left_by_others(entry.name)
                if not reason and entry.is_symlink():
                    if not entry.is_file():
                        reason = "links to folders or to nothing"
                    elif not Path(entry.path).resolve().is_relative_to(root):
                        reason = "links that lead out of the folder"
                if not reason and entry.is_dir():
                    if Path(entry.path) not in self.outputs:
                        folders.append(entry.path)
                        continue
                    reason = "folders of the suite's outputs"
                reason = reason or _passed_over(entry.name)
                if reason:
                    yield name, reason
                    continue
                status = entry.stat()
                yield File(name, status.st_size, status.st_mtime_ns), ""

    def read(self, files: Sequence[File]) -> Iterator[bytes | BadPictureError]:
        """Contents of files, in their order; what cannot be read says why instead."""
        archive = None
        if self.path.is_file():
            archive = _archive(self.path, self.path.stat().st_mtime_ns)
        for file in files:
            if file.size > MAX_BYTES:
                yield BadPictureError(f"larger than {MAX_BYTES // 2**20} MiB")
                continue
            try:
                yield archive.read(file) if archive else (self.path / file.name).read_bytes()
            except (*_UNREADABLE, ValueError, RuntimeError) as error:
                yield BadPictureError(f"cannot be read ({error})")


def _slashed(name: str) -> str:
    """A member's name with slashes between its folders, whichever system it was written on."""
    return name.replace("\\", "/")


class _Archive:
    """An open zip, whose members are found by their names with slashes."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)
        self._members = {_slashed(member.filename): member for member in self._zip.infolist()}

    def read(self, file: File) -> bytes:
        """A member's content, unpacked no further than it declares."""
        with self._zip.open(self._members[file.name]) as member:
            return member.read(file.size + 1)


# Reading the list of 200,000 members takes seconds, and a worker reads a zip chunk by chunk.
@functools.lru_cache(maxsize=1)
def _archive(path: Path, stamp: int) -> _Archive:
    return _Archive(path)


def is_picture(name: str) -> bool:
    """Whether a file's name, with its folders, is that of a picture."""
    return not _passed_over(name)


def _passed_over(name: str) -> str:
    """Why a file does not count, by its name with its folders; empty where it does."""
    reasons = (_left_by_others(part) for part in name.split("/"))
    other = "" if name.lower().endswith(ENDINGS) else "without a picture's ending"
    return next((reason for reason in reasons if reason), other)


def _left_by_others(part: str) -> str:
    """Why a file or folder of that name does not count, whatever is in it."""
    if part in _LEFT_BY_SYSTEMS:
        return "left by other programs"
    return "hidden" if part.startswith(".") and part not in (".", "..") else ""


def printable(name: str) -> str:
    """A file's name for people: what is not UTF-8 in it is shown as an escape."""
    return os.fsencode(name).decode(errors="backslashreplace")


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

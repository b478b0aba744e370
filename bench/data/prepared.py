"""Pictures prepared once: decoded and resized into two memory-mapped files of bytes.

<cache>/images-<source>/  train.bin, test.bin  uint8 (n, size, size, channels)
                          index.json           what they are; where it is, they are complete
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from bench.data.pictures import BadPictureError, File, Form, Source
from bench.errors import BenchError, described, printable
from bench.files import atomic, file_sha256, lock, write_bytes
from bench.hashing import canonical_json, sha256
from bench.machine import core_count, has_workers
from bench.screen import say

if TYPE_CHECKING:
    from bench.data import Dataset
    from bench.data.images import LoadedData

# Raised when anything here changes what a prepared image is.
VERSION = 3
# More bad pictures than this are not an accident of a few files.
MAX_BAD_SHARE = 0.01
_CHUNK = 256
# Images of a split: a covariance takes two.
_LEAST = 2


@dataclass(frozen=True)
class Index:
    """What a cache holds.

    Attributes:
        key: hash of the source's files and of what was made of them.
        train: number of training images.
        test: number of test images.
        digest: SHA-256 over the SHA-256 of every picture file, in order, however it was stored.
        bad: names of the pictures that were left out, each with the reason.
        converted: pictures whose colours were converted.
        repeated: pictures that were left out because another has the same content.
        checksums: SHA-256 of the cache's own files, by name.
        unused: pages and frames of files beyond their first, which were left out.
    """

    key: str
    train: int
    test: int
    digest: str
    bad: tuple[tuple[str, str], ...]
    converted: int
    repeated: int
    checksums: dict[str, str]
    unused: int = 0

    @property
    def remarks(self) -> list[str]:
        """What a reader must know of pictures that were left out or converted."""
        names = ", ".join(name for name, _ in self.bad[:3]) + (", ..." if self.bad[3:] else "")
        counts = {
            f"bad pictures left out ({names})": len(self.bad),
            "copies of other pictures left out": self.repeated,
            "pictures converted in colour": self.converted,
            "pages or frames beyond a file's first left out": self.unused,
        }
        return [f"{count} {remark}" for remark, count in counts.items() if count]


@dataclass(frozen=True)
class Task:
    """What is to be prepared.

    Attributes:
        distinct: take one of several pictures of the same content, so that none is in both splits;
            the files of a split are sorted by name then.
    """

    source: Source
    train: Sequence[File]
    test: Sequence[File]
    form: Form
    distinct: bool = False

    @functools.cached_property
    def key(self) -> str:
        """Identity of the work; changed files, and files of another place, have another."""
        listed = [[file.name, file.size, file.stamp] for file in (*self.train, *self.test)]
        place = str(self.source.path.resolve())
        parts = [VERSION, place, listed, len(self.train), asdict(self.form), self.distinct]
        return sha256(canonical_json(parts))[:16]

    def folder(self, cache: Path) -> Path:
        """Where the prepared images lie."""
        return cache / f"images-{self.key}"


def prepare(task: Task, cache: Path, make: bool = True) -> Index | None:
    """Decode and resize every picture, in parallel, or find that it is done.

    A second process waits for the first; an interrupted preparation starts over. Without ``make``
    nothing is prepared: where it is not done, one line says so and there is None.

    Raises:
        BenchError: more than 1 % of the pictures are bad, a split has fewer than two images, or
            the cache cannot be written.
    """
    folder, pictures = task.folder(cache), f"pictures of {task.source.path}"
    count = len(task.train) + len(task.test)
    # Before anything is locked: a cache that is complete may be where nothing can be written.
    if index := _index(task, folder):
        return index
    if not make:
        say(f"{count:,} {pictures} are to be prepared first, which tells whether runs are done")
        return None
    with lock(folder.with_suffix(".lock")):
        # Another process may have prepared them while this one waited.
        if index := _index(task, folder):
            return index
        say(f"preparing {count:,} {pictures}")
        try:
            return _prepare(task, folder)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker (pid"):
                raise
            raise BenchError(
                f"a process was killed while it prepared {pictures}, most likely for want of "
                "memory; give the same command again"
            ) from error


def _index(task: Task, folder: Path) -> Index | None:
    """The index of a task's images, or None where they are not prepared yet, or altered since."""
    try:
        value = json.loads((folder / "index.json").read_bytes())
        index = Index(**value | {"bad": tuple(map(tuple, value["bad"]))})
        whole = all(file_sha256(folder / name) == sha for name, sha in index.checksums.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return index if whole and index.key == task.key else None


def _prepare(task: Task, folder: Path) -> Index:
    files, training, seen = [*task.train, *task.test], set(task.train), set[str]()
    if task.distinct:
        # The copy whose name comes first is taken, whichever split it is in.
        files.sort(key=lambda file: file.name)
    taken: dict[bool, list[_Picture]] = {True: [], False: []}
    bad: list[tuple[str, str]] = []
    with atomic(folder / "train.bin") as train, atomic(folder / "test.bin") as test:
        for file, picture in zip(files, _pictures(task, files), strict=True):
            if picture.refused:
                raise BenchError(
                    f"{task.source.path}: {printable(file.name)}: {picture.refused}; give the same "
                    "command again"
                )
            if task.distinct and picture.digest in seen:
                continue
            seen.update({picture.digest} - {""})
            if picture.problem:
                bad.append((printable(file.name), picture.problem))
            else:
                (train if file in training else test).write(picture.pixels)
                taken[file in training].append(picture._replace(pixels=b""))
        trained, tested = len(taken[True]), len(taken[False])
        repeated = len(files) - trained - tested - len(bad)
        _require_enough(task, trained, tested, bad, repeated)
    pictures = taken[True] + taken[False]
    index = Index(
        key=task.key,
        train=trained,
        test=tested,
        digest=sha256("".join(picture.digest for picture in pictures)),
        bad=tuple(bad),
        converted=sum(picture.converted for picture in pictures),
        repeated=repeated,
        checksums={name: file_sha256(folder / name) for name in ("train.bin", "test.bin")},
        unused=sum(picture.unused for picture in pictures),
    )
    write_bytes(folder / "index.json", f"{json.dumps(asdict(index), indent=1)}\n".encode())
    if bad:
        say(f"{len(bad)} bad pictures were left out, see {folder / 'index.json'}")
    return index


class _Picture(NamedTuple):
    """What became of a file: its SHA-256, why there is no image, or the image's bytes.

    ``refused`` is what the system said where it could not be read for the moment.
    """

    digest: str = ""
    problem: str = ""
    refused: str = ""
    pixels: bytes = b""
    converted: bool = False
    unused: int = 0


def _decoded(source: Source, form: Form, files: Sequence[File]) -> list[_Picture]:
    """What becomes of each file."""
    # Imported here, so that looking for prepared pictures needs no PyTorch.
    from bench.data.decoding import decode

    pictures = []
    for file in files:
        digest = ""
        try:
            content = source.read(file)
            digest = hashlib.sha256(content).hexdigest()
            pixels, converted, unused = decode(content, form)
            picture = _Picture(digest, pixels=pixels.tobytes(), converted=converted, unused=unused)
            pictures.append(picture)
        except BadPictureError as error:
            pictures.append(_Picture(digest, " ".join(str(error).split())))
        except (OSError, MemoryError) as error:
            pictures.append(_Picture(refused=described(error)))
    return pictures


def _pictures(task: Task, files: Any) -> Iterator[_Picture]:  # noqa: ANN401 - a data set to PyTorch
    """Every file's picture, in order, prepared by a process for each core."""
    from torch.utils.data import DataLoader

    jobs = core_count() if has_workers() else 1
    decoded = functools.partial(_decoded, task.source, task.form)
    chunks = DataLoader[File](
        files, _CHUNK, num_workers=jobs if jobs > 1 else 0, collate_fn=decoded
    )
    with tqdm(total=len(files), unit=" pictures", disable=not sys.stderr.isatty()) as bar:
        for chunk in chunks:
            yield from chunk
            bar.update(len(chunk))


def _require_enough(
    task: Task, train: int, test: int, bad: Sequence[tuple[str, str]], repeated: int
) -> None:
    """Refuse what has too many bad pictures, or too few others, see :func:`prepare`."""
    source, listed = task.source.path, len(task.train) + len(task.test)
    if len(bad) > MAX_BAD_SHARE * listed:
        raise BenchError(
            f"{source}: {len(bad):,} of {listed:,} pictures cannot be used, more than "
            f"{MAX_BAD_SHARE:.0%}; the first is {bad[0][0]}: {bad[0][1]}"
        )
    if min(train, test) < _LEAST:
        copies = f", {repeated} copies of others left out" if repeated else ""
        raise BenchError(
            f"{source}: {train} training and {test} test pictures are too few{copies}; at least "
            f"{_LEAST} of each are needed, a fifth of the pictures is for testing"
        )


def load(dataset: Dataset, data_dir: Path) -> LoadedData:
    """Map the prepared images into memory, see :meth:`bench.data.Dataset.load`.

    Batches are read from the disk when they are asked for; the system keeps them in memory as far
    as there is room.
    """
    import torch

    from bench.data import NETWORKS
    from bench.data.images import LoadedData, Split

    if not dataset.folder:
        raise BenchError(
            f"the pictures of {dataset.name}, which finished runs tell of, are not at hand; give "
            "--data-dir for CelebA, --dataset images:FOLDER for your own"
        )
    channels, size, _ = NETWORKS[dataset.network]

    def mapped(part: str, count: int) -> Split:
        path, wanted = Path(dataset.folder) / f"{part}.bin", count * size * size * channels
        if not path.is_file() or path.stat().st_size != wanted:
            raise BenchError(f"{path}: not what was prepared; give the same command again")
        pixels = torch.from_file(str(path), size=wanted, dtype=torch.uint8)
        images = pixels.view(count, size, size, channels).permute(0, 3, 1, 2)
        return Split(images, torch.empty(count, 0, dtype=torch.int64))

    train, test = mapped("train", dataset.train), mapped("test", dataset.test)
    return LoadedData(train, test, f"prepared in {dataset.folder}")

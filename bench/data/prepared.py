"""Pictures prepared once: decoded and resized into one memory-mapped file of bytes.

<cache>/images-<source>/  images.npy   uint8 (n, size, size, channels), training images first
                          labels.npy   uint8 (n, labels), where there are any
                          index.json   what they are; its presence means that they are complete
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import joblib
import numpy as np
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from bench.data.pictures import BadPictureError, File, Form, Source, printable
from bench.errors import BenchError
from bench.files import atomic, file_sha256, lock, write_bytes
from bench.hashing import canonical_json, sha256
from bench.machine import core_count, has_workers
from bench.screen import say

if TYPE_CHECKING:
    from bench.data import Dataset
    from bench.data.images import LoadedData

# Raised when anything here changes what a prepared image is.
VERSION = 2
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
        train: number of training images, which come first.
        test: number of test images.
        digest: SHA-256 over the SHA-256 of every picture file, in order: the content, however it
            was stored.
        bad: names of the pictures that were left out, each with the reason.
        converted: pictures whose colours were converted.
        repeated: pictures that were left out because another has the same content.
        checksums: SHA-256 of the cache's own files, by name.
    """

    key: str
    train: int
    test: int
    digest: str
    bad: tuple[tuple[str, str], ...]
    converted: int
    repeated: int
    checksums: dict[str, str]

    @property
    def remarks(self) -> list[str]:
        """What a reader must know of pictures that were left out or converted."""
        result = []
        if self.bad:
            names = ", ".join(name for name, _ in self.bad[:3]) + (", ..." if self.bad[3:] else "")
            result.append(f"{len(self.bad)} bad pictures left out ({names})")
        if self.repeated:
            result.append(f"{self.repeated} copies of other pictures left out")
        if self.converted:
            result.append(f"{self.converted} pictures converted in colour")
        return result


@dataclass(frozen=True)
class Task:
    """What is to be prepared.

    Attributes:
        source: where the pictures are.
        train: files of the training split, in order.
        test: files of the test split, in order.
        form: what the pictures are turned into.
        labels: uint8 row of labels of each file name; empty where there are none.
        distinct: take one of several pictures of the same content, so that none is in both splits.
    """

    source: Source
    train: Sequence[File]
    test: Sequence[File]
    form: Form
    labels: Mapping[str, np.ndarray]
    distinct: bool = False

    @functools.cached_property
    def key(self) -> str:
        """Identity of the work; changed files have another."""
        listed = [[file.name, file.size, file.stamp] for file in (*self.train, *self.test)]
        rows = hashlib.sha256()
        for name in sorted(self.labels):
            rows.update(self.labels[name].tobytes())
        parts = [VERSION, listed, len(self.train), asdict(self.form), rows.hexdigest()]
        parts.append(self.distinct)
        return sha256(canonical_json(parts))[:16]

    def folder(self, cache: Path) -> Path:
        """Where the prepared images lie."""
        return cache / f"images-{self.key}"


def prepared(task: Task, cache: Path) -> Index | None:
    """The index of a task's images, or None where they are not prepared yet, or altered since."""
    folder = task.folder(cache)
    try:
        value = json.loads((folder / "index.json").read_bytes())
        index = Index(**value | {"bad": tuple(map(tuple, value["bad"]))})
        whole = all(file_sha256(folder / name) == sha for name, sha in index.checksums.items())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return index if whole and index.key == task.key else None


def prepare(task: Task, cache: Path, jobs: int | None = None) -> Index:
    """Decode and resize every picture, in parallel, or find that it is done.

    A second process waits for the first; an interrupted preparation starts over.

    Args:
        task: what.
        cache: folder for the result.
        jobs: worker processes; one for each core where it is None.

    Raises:
        BenchError: more than 1 % of the pictures are bad, a split has fewer than two images, or
            the cache cannot be written.
    """
    folder = task.folder(cache)
    with lock(folder.with_suffix(".lock")):
        index = prepared(task, cache)
        if index is not None:
            return index
        return _prepare(task, folder, jobs or (core_count() if has_workers() else 1))


def _prepare(task: Task, folder: Path, jobs: int) -> Index:
    files = [*task.train, *task.test]
    repeated = _repeated(task.source, files) if task.distinct else set()
    chosen = [file for file in files if file.name not in repeated]
    digests: list[str] = []
    kept: list[File] = []
    bad: list[tuple[str, str]] = []
    converted = 0
    say(f"preparing {len(chosen):,} pictures of {task.source.path}")
    with atomic(folder / "images.npy") as target:
        # As long as the final one: it is written again once the number of good pictures is known.
        _write_header(target, len(chosen), task.form)
        for file, result in zip(chosen, _rendered(task, chosen, jobs), strict=True):
            if isinstance(result, _Image):
                target.write(result.pixels)
                digests.append(result.digest)
                kept.append(file)
                converted += result.converted
            else:
                bad.append((printable(file.name), result))
        in_training = set(task.train)
        train = sum(file in in_training for file in kept)
        _require_enough(task, train, len(kept) - train, bad, len(repeated))
        target.seek(0)
        _write_header(target, len(kept), task.form)
    checksums = {"images.npy": file_sha256(folder / "images.npy")}
    if task.labels:
        with atomic(folder / "labels.npy") as target:
            np.save(target, np.stack([task.labels[file.name] for file in kept]))
        checksums["labels.npy"] = file_sha256(folder / "labels.npy")
    index = Index(
        key=task.key,
        train=train,
        test=len(kept) - train,
        digest=sha256("".join(digests)),
        bad=tuple(bad),
        converted=converted,
        repeated=len(repeated),
        checksums=checksums,
    )
    write_bytes(folder / "index.json", f"{json.dumps(asdict(index), indent=1)}\n".encode())
    if bad:
        say(f"{len(bad)} bad pictures were left out, see {folder / 'index.json'}")
    return index


def _repeated(source: Source, files: Sequence[File]) -> set[str]:
    """Names of files whose content another has, whose name comes first.

    The split of the others is as it was, whichever side they are on.
    """
    first: dict[bytes, str] = {}
    repeated = set()
    by_name = sorted(files, key=lambda file: file.name)
    for file, content in zip(by_name, source.read(by_name), strict=True):
        if isinstance(content, BadPictureError):
            continue
        if first.setdefault(hashlib.sha256(content).digest(), file.name) != file.name:
            repeated.add(file.name)
    return repeated


@dataclass(frozen=True)
class _Image:
    """A picture that was prepared: its pixels, the SHA-256 of its file, whether colours changed."""

    pixels: bytes
    digest: str
    converted: bool


def _rendered(task: Task, files: Sequence[File], jobs: int) -> Iterator[_Image | str]:
    """Every picture, in order, prepared by several processes; or why it cannot be used."""
    starts = range(0, len(files), _CHUNK)
    work = (
        joblib.delayed(_render_chunk)(task.source, files[start : start + _CHUNK], task.form)
        for start in starts
    )
    try:
        with (
            _workers(jobs),
            tqdm(total=len(files), unit=" pictures", disable=not sys.stderr.isatty()) as bar,
        ):
            for chunk in joblib.Parallel(jobs, batch_size=1, return_as="generator")(work):
                yield from chunk
                bar.update(len(chunk))
    except TerminatedWorkerError as error:
        raise BenchError(
            f"a process was killed while it prepared pictures of {task.source.path}, most likely "
            "for want of memory; give the same command again"
        ) from error
    finally:
        if jobs > 1:
            get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)


def _workers(jobs: int) -> AbstractContextManager[object]:
    """Have joblib start processes of one thread each; one job needs none."""
    if jobs == 1:
        return joblib.parallel_config("sequential")
    return joblib.parallel_config("loky", inner_max_num_threads=1)


def _render_chunk(source: Source, files: Sequence[File], form: Form) -> list[_Image | str]:
    """Prepare the pictures of some files. Runs in a worker process."""
    # Imported here, so that looking for prepared pictures needs no PyTorch.
    from bench.data.decoding import render

    contents = list(source.read(files))
    results: list[_Image | str] = []
    for content, result in zip(contents, render(contents, form), strict=True):
        if isinstance(content, BadPictureError) or isinstance(result, BadPictureError):
            results.append(" ".join(str(result).split()))
        else:
            image, converted = result
            results.append(_Image(image.tobytes(), hashlib.sha256(content).hexdigest(), converted))
    return results


def _write_header(target: IO[bytes], count: int, form: Form) -> None:
    """Head of an array file of so many images; of the same length whatever the number."""
    shape = (count, form.size, form.size, form.channels)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(target, header)


def _require_enough(
    task: Task, train: int, test: int, bad: Sequence[tuple[str, str]], repeated: int
) -> None:
    """Refuse what has too many bad pictures, or too few others.

    Raises:
        BenchError: see :func:`prepare`.
    """
    listed = len(task.train) + len(task.test)
    if len(bad) > MAX_BAD_SHARE * listed:
        raise BenchError(
            f"{task.source.path}: {len(bad):,} of {listed:,} pictures cannot be used, more "
            f"than {MAX_BAD_SHARE:.0%}; the first is {bad[0][0]}: {bad[0][1]}"
        )
    if min(train, test) < _LEAST:
        copies = f", {repeated} copies of others left out" if repeated else ""
        raise BenchError(
            f"{task.source.path}: {train} training and {test} test pictures are too few{copies}; "
            f"at least {_LEAST} of each are needed, a fifth of the pictures is for testing"
        )


def load(dataset: Dataset, data_dir: Path) -> LoadedData:
    """Map the prepared images into memory, see :meth:`bench.data.Dataset.load`.

    Batches are read from the disk when they are asked for; the system keeps them in memory as far
    as there is room.
    """
    import torch

    from bench.data.images import LoadedData, Split

    if not dataset.folder:
        raise BenchError(
            f"the pictures of {dataset.name}, which finished runs tell of, are not at hand; give "
            "--data-dir for CelebA, --dataset images:FOLDER for your own"
        )
    folder = Path(dataset.folder)
    try:
        # Copy on write: PyTorch takes no array that is read-only.
        images = np.load(folder / "images.npy", mmap_mode="c")
        labels = np.load(folder / "labels.npy") if dataset.classes else np.empty((len(images), 0))
    except (OSError, ValueError) as error:
        raise BenchError(f"{folder}: cannot be read ({error}); delete the folder") from error
    if len(images) != dataset.train + dataset.test or len(labels) != len(images):
        raise BenchError(f"{folder}: not the images that were prepared; delete the folder")
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    targets = torch.from_numpy(labels.astype(np.int64))
    return LoadedData(
        Split(pixels[: dataset.train], targets[: dataset.train]),
        Split(pixels[dataset.train :], targets[dataset.train :]),
        f"prepared in {folder}",
    )

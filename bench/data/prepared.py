"""Pictures prepared once: decoded and resized into one memory-mapped file of bytes.

<cache>/images-<source>/  images.npy   uint8 (n, size, size, channels), training images first
                          labels.npy   uint8 (n, labels), where there are any
                          index.json   what they are; its presence means that they are complete
                          images.npy.partial, journal.jsonl   while unfinished
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from tqdm import tqdm

from bench.data.pictures import BadPictureError, File, Form, Source, printable
from bench.errors import BenchError, refused
from bench.files import append_line, atomic, file_sha256, lock, write_bytes
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

    An interrupted preparation goes on where it stopped; a second process waits for the first.

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
    partial, journal = folder / "images.npy.partial", folder / "journal.jsonl"
    done = _journal(journal, partial)
    if not done:
        _allocate(partial, (len(files), task.form.size, task.form.size, task.form.channels))
    # Without the line that a stopped preparation left half-written.
    write_bytes(journal, "".join(f"{json.dumps(chunk)}\n" for chunk in done.values()).encode())
    starts = [start for start in range(0, len(files), _CHUNK) if start not in done]
    left = sum(len(files[start : start + _CHUNK]) for start in starts)
    say(f"preparing {left:,} pictures of {task.source.path}")
    work = (
        joblib.delayed(_render_chunk)(
            task.source, files[start : start + _CHUNK], task.form, partial, start
        )
        for start in starts
    )
    try:
        with (
            _workers(jobs),
            tqdm(total=left, unit=" pictures", disable=not sys.stderr.isatty()) as bar,
        ):
            pool = joblib.Parallel(jobs, batch_size=1, return_as="generator_unordered")
            for chunk in pool(work):
                append_line(journal, json.dumps(chunk))
                done[chunk["start"]] = chunk
                bar.update(len(chunk["digests"]))
    except TerminatedWorkerError as error:
        raise BenchError(
            f"a process was killed while it prepared pictures of {task.source.path}, most likely "
            "for want of memory; the same command goes on where it stopped"
        ) from error
    finally:
        if jobs > 1:
            get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)
    return _finish(task, folder, [done[start] for start in sorted(done)])


def _workers(jobs: int) -> AbstractContextManager[object]:
    """Have joblib start processes of one thread each; one job needs none."""
    if jobs == 1:
        return joblib.parallel_config("sequential")
    return joblib.parallel_config("loky", inner_max_num_threads=1)


def _allocate(path: Path, shape: tuple[int, ...]) -> None:
    """Make the file that workers write into."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.lib.format.open_memmap(path, "w+", np.uint8, shape).flush()
        # Reserved now: on a disk that fills up later, writing to a mapped page kills the process.
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        raise refused(f"cannot write {path}", error) from error


def _journal(path: Path, partial: Path) -> dict[int, Any]:
    """Chunks that an interrupted preparation finished, and whose images are in place.

    A half-written line is none, and neither is one whose images never reached the disk.
    """
    chunks = {}
    try:
        images = np.load(partial, mmap_mode="r")
        for line in path.read_text(encoding="utf-8").splitlines():
            chunk = json.loads(line)
            if _pixels(images, chunk["start"], len(chunk["digests"])) == chunk["pixels"]:
                chunks[chunk["start"]] = chunk
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return chunks


def _render_chunk(
    source: Source,
    files: list[File],
    form: Form,
    path: Path,
    start: int,
) -> dict[str, Any]:
    """Write the images of some files to their places. Runs in a worker process."""
    # Imported here, so that looking for prepared pictures needs no PyTorch.
    from bench.data.decoding import render

    images = np.lib.format.open_memmap(path, "r+")
    contents = list(source.read(files))
    digests, bad, converted = [], [], 0
    rendered = zip(files, contents, render(contents, form), strict=True)
    for row, (file, content, result) in enumerate(rendered, start):
        if isinstance(content, BadPictureError) or isinstance(result, BadPictureError):
            digests.append("")
            bad.append([printable(file.name), " ".join(str(result).split())])
        else:
            images[row], changed = result
            digests.append(hashlib.sha256(content).hexdigest())
            converted += changed
    written = {"start": start, "digests": digests, "bad": bad, "converted": converted}
    return written | {"pixels": _pixels(images, start, len(files))}


def _pixels(images: np.ndarray, start: int, count: int) -> str:
    """SHA-256 of some images, in hex."""
    return hashlib.sha256(images[start : start + count].tobytes()).hexdigest()


def _finish(task: Task, folder: Path, chunks: Sequence[dict[str, Any]]) -> Index:
    files = [*task.train, *task.test]
    digests = [digest for chunk in chunks for digest in chunk["digests"]]
    bad = tuple((name, reason) for chunk in chunks for name, reason in chunk["bad"])
    if len(bad) > MAX_BAD_SHARE * len(files):
        _clear_unfinished(folder)
        raise BenchError(
            f"{task.source.path}: {len(bad):,} of {len(files):,} pictures cannot be used, more "
            f"than {MAX_BAD_SHARE:.0%}; the first is {bad[0][0]}: {bad[0][1]}"
        )
    good = np.array([bool(digest) for digest in digests])
    if task.distinct:
        # Of each content the first by name, in whichever split it is: the shares stay as they are.
        by_name = sorted(range(len(files)), key=lambda row: files[row].name, reverse=True)
        firsts = {digests[row]: row for row in by_name}
        good &= np.isin(np.arange(len(digests)), list(firsts.values()))
    repeated = len(files) - len(bad) - int(good.sum())
    train = int(good[: len(task.train)].sum())
    test = int(good.sum()) - train
    if min(train, test) < _LEAST:
        copies = f", {repeated} copies of others left out" if repeated else ""
        raise BenchError(
            f"{task.source.path}: {train} training and {test} test pictures are too few{copies}; "
            f"at least {_LEAST} of each are needed, a fifth of the pictures is for testing"
        )
    partial, images = folder / "images.npy.partial", folder / "images.npy"
    if good.all():
        # It needs no flush to the disk: its checksum is compared whenever it is looked for.
        partial.replace(images)
    else:
        _copy_rows(partial, images, good)
    checksums = {images.name: file_sha256(images)}
    if task.labels:
        rows = [task.labels[file.name] for file, keep in zip(files, good, strict=True) if keep]
        with atomic(folder / "labels.npy") as file:
            np.save(file, np.stack(rows))
        checksums["labels.npy"] = file_sha256(folder / "labels.npy")
    digest = sha256("".join(d for d, keep in zip(digests, good, strict=True) if keep))
    converted = sum(chunk["converted"] for chunk in chunks)
    index = Index(task.key, train, test, digest, bad, converted, repeated, checksums)
    write_bytes(folder / "index.json", f"{json.dumps(asdict(index), indent=1)}\n".encode())
    if bad:
        say(f"{len(bad)} bad pictures were left out, see {folder / 'index.json'}")
    _clear_unfinished(folder)
    return index


def _copy_rows(source: Path, target: Path, chosen: np.ndarray) -> None:
    images = np.load(source, mmap_mode="r")
    with atomic(target) as file:
        header = {"descr": "|u1", "fortran_order": False}
        shape = (int(chosen.sum()), *images.shape[1:])
        np.lib.format.write_array_header_1_0(file, header | {"shape": shape})
        for start in range(0, len(images), _CHUNK):
            part = slice(start, start + _CHUNK)
            file.write(images[part][chosen[part]].tobytes())


def _clear_unfinished(folder: Path) -> None:
    """Remove what only an unfinished preparation needs."""
    for name in ("images.npy.partial", "journal.jsonl"):
        (folder / name).unlink(missing_ok=True)


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

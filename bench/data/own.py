"""The user's own images under a name of their own: ``--dataset idx:FOLDER``, ``images:FOLDER``."""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data import DATASETS, Dataset
from bench.data.celeba import remarks, split_by_hash
from bench.data.idx import parse, read_bytes
from bench.data.mnist import FILES, find_idx
from bench.data.pictures import File, Form, Source
from bench.data.prepared import Task, prepare, prepared
from bench.errors import BenchError, UsageError

KINDS = ("idx", "images")
# Networks of Table 1 by the images that they take: width and height, channels.
_PRESETS = {(32, 1): "mnist", (32, 3): "shape", (64, 3): "celeba"}
# Pictures whose headers tell what most of them are.
_LOOKED_AT = 256


def declare(argument: str, cache: Path, *, make: bool) -> Dataset:
    """Declare the user's data.

    Args:
        argument: ``idx:FOLDER``, with the four files that MNIST and its relatives come in, plain
            or compressed, resized to 32x32; or ``images:FOLDER``, with pictures, also in folders
            below, or a zip of them, whose central squares are resized to the nearest preset of
            32x32 grey, 32x32 RGB and 64x64 RGB.
        cache: folder for prepared images.
        make: prepare pictures where they are not, see :func:`bench.data.celeba.locate`.

    Raises:
        UsageError: another form of argument.
        BenchError: a file is missing, cannot be read, or does not fit the others.
    """
    kind, _, name = argument.partition(":")
    if kind not in KINDS or not name:
        raise UsageError(f"--dataset takes idx:FOLDER, images:FOLDER or a name, not {argument!r}")
    folder = Path(name).resolve()
    return _idx(folder) if kind == "idx" else _images(folder, cache, make)


def _name(path: Path, kind: str) -> str:
    """A name for the data that is not a declared data set's."""
    stem = path.stem if path.is_file() else path.name
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or kind
    declared = DATASETS.get(name)
    return f"{name}-{kind}" if declared and not declared.own else name


def _idx(folder: Path) -> Dataset:
    content = {"prepare": "to 32x32, bilinear, antialiased"}
    counts: dict[str, int] = {}
    classes = 0
    for name in FILES:
        path = find_idx(folder, name)
        if path is None:
            raise BenchError(f"--dataset: {folder} has no {name} or {name}.gz")
        raw = read_bytes(path)
        array = parse(raw, str(path))
        content[name] = hashlib.sha256(raw).hexdigest()
        if array.ndim != (3 if "images" in name else 1):
            raise BenchError(f"{path}: has {array.ndim} dimensions, which does not fit its name")
        part = name.partition("-")[0]
        if counts.setdefault(part, len(array)) != len(array) or len(array) < 2:
            raise BenchError(f"{path}: {len(array)} entries, but {counts[part]} images")
        if "labels" in name:
            classes = max(classes, int(array.max()) + 1)
    return Dataset(
        name=_name(folder, "idx"),
        network="mnist",
        description=f"{folder.name} (idx files), 32x32",
        content=content,
        classes=(classes,),
        train=counts["train"],
        test=counts["t10k"],
        module="bench.data.mnist",
        folder=str(folder),
        own=True,
    )


def _images(path: Path, cache: Path, make: bool) -> Dataset:
    if not path.exists():
        raise BenchError(f"--dataset: there is no {path}")
    source = Source(path)
    files = source.files()
    if not files:
        raise BenchError(f"--dataset: {path} has no pictures")
    size, channels = _preset(source, files)
    train, test = split_by_hash(files)
    task = Task(source, train, test, Form(size, channels, "square"), {})
    index = prepare(task, cache) if make else prepared(task, cache)
    split = "train and test split 80/10/10 by hash of the file names"
    content = {"prepare": task.form.description, "split": split}
    described = [f"{path.name} (pictures), {task.form.description}", split]
    return Dataset(
        name=_name(path, "images"),
        network=_PRESETS[size, channels],
        description="; ".join(described + (remarks(index) if index else [])),
        content=content | ({"pictures": index.digest} if index else {}),
        classes=(),
        train=index.train if index else len(train),
        test=index.test if index else len(test),
        module="bench.data.prepared",
        folder=str(task.folder(cache).resolve()),
        own=True,
    )


def _preset(source: Source, files: list[File]) -> tuple[int, int]:
    """Size and channels that most pictures are nearest to, by the headers of some of them."""
    places = np.linspace(0, len(files) - 1, min(len(files), _LOOKED_AT)).astype(int)
    seen: Counter[tuple[int, int]] = Counter()
    for content in source.read([files[place] for place in places]):
        try:
            if isinstance(content, bytes):
                with Image.open(io.BytesIO(content)) as image:
                    grey = image.mode in ("1", "L", "LA")
                    # Between 32 and 64 the geometric mean decides.
                    large = not grey and min(image.size) ** 2 > 32 * 64
                    seen[64 if large else 32, 1 if grey else 3] += 1
        except Exception:  # noqa: BLE001, S112 - the preparation names what is broken
            continue
    if not seen:
        raise BenchError(f"--dataset: no picture in {source.path} can be read")
    return seen.most_common(1)[0][0]

"""The user's own images under a name of their own: ``--dataset idx:FOLDER``."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from bench.data import DATASETS, Dataset, register_dataset
from bench.data.idx import parse, read_bytes
from bench.data.mnist import FILES, find
from bench.errors import BenchError, UsageError


def register_own(argument: str) -> Dataset:
    """Declare the user's data and make them known, so that specs can name them.

    Args:
        argument: ``idx:FOLDER``, with the four files that MNIST and its relatives come in, plain
            or compressed. Grey images of any size are resized to 32x32.

    Raises:
        UsageError: another form of argument.
        BenchError: a file is missing, cannot be read, or does not fit the others.
    """
    kind, _, folder = argument.partition(":")
    if kind != "idx" or not folder:
        raise UsageError(f"--dataset takes idx:FOLDER, not {argument!r}")
    declared = _declare(Path(folder).resolve())
    register_dataset(declared)
    return declared


def _declare(folder: Path) -> Dataset:
    content: dict[str, str | int] = {"prepare": "to 32x32, bilinear, antialiased"}
    counts: dict[str, int] = {}
    classes = 0
    for name in FILES:
        path = find(folder, name)
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
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-") or "idx"
    if name in DATASETS and DATASETS[name].folder != str(folder):
        name += "-idx"
    return Dataset(
        name=name,
        network="mnist",
        description=f"{folder.name} (idx files), 32x32",
        content=content | {"train": counts["train"], "test": counts["t10k"]},
        classes=(classes,),
        module="bench.data.mnist",
        folder=str(folder),
    )

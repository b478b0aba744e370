"""CelebA as it is found on disks: as torchvision, Google Drive or Kaggle lay it out, or plain."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.data import DATASETS, Dataset
from bench.data.download import reach
from bench.data.pictures import File, Form, Source, is_picture
from bench.data.prepared import MAX_BAD_SHARE, Task, prepare
from bench.data.splits import BY_HASH, split_by_hash
from bench.errors import BenchError

FORM = Form(64, 3, "celeba")
PICTURES, PARTITION, ATTRIBUTES = "img_align_celeba", "list_eval_partition", "list_attr_celeba"
# What to do where a data set is not found, by its name.
HELP = {
    "celeba": (
        "give a folder (--data-dir) with torchvision's celeba/, Google Drive's Img/ and Eval/, "
        "Kaggle's archive.zip, img_align_celeba.zip, or the pictures; or fetch it (--download); or "
        "run on generated shapes (--dataset shape-64)"
    ),
    "celeba-10k": (
        "give a folder (--data-dir) with celeba-10k/, which holds the pictures 000001.jpg to "
        "010000.jpg"
    ),
}
_BY_HASH = f"{BY_HASH}, not CelebA's own"


def _candidates(data_dir: Path) -> Iterator[tuple[Path, Path]]:
    """Paths that may hold the pictures, likeliest first, each with the folder around its lists."""
    roots = [data_dir / "celeba", data_dir]
    for root in roots:
        yield root / PICTURES, root
        yield root / f"{PICTURES}.zip", root
    for root in roots:
        # Only pictures right there: a data folder may have other data sets in folders of theirs.
        if root.is_dir() and any(is_picture(path.name) for path in root.iterdir()):
            yield root, root
    # One level deeper, but for the folders of other data sets.
    roots += sorted(path for path in data_dir.glob("*/") if path.name not in DATASETS)
    for root in roots:
        for path in sorted(root.glob(f"*/{PICTURES}*")):
            if path.name in (PICTURES, f"{PICTURES}.zip") and path.parent.name not in DATASETS:
                yield path, root
    for root in roots:
        for path in filter(zipfile.is_zipfile, sorted(root.glob("*.zip"))):
            with zipfile.ZipFile(path) as archive:
                if any(f"{PICTURES}/" in name for name in archive.namelist()):
                    yield path, root


def declare(declared: Dataset, data_dir: Path, cache: Path, *, make: bool) -> Dataset | None:
    """Declare CelebA, or a part of it, as it is on this disk.

    Args:
        declared: the data set without its content.
        data_dir: where it is looked for.
        cache: folder for the prepared images.
        make: prepare them where they are not; otherwise the declaration lacks what only that
            would tell, and no finished run can be of it.

    Returns:
        The declaration, or None where there is no CelebA.

    Raises:
        BenchError: it is there, but it cannot be used.
    """
    part = data_dir / declared.name
    candidates = [(part, part)] if declared.part_of else _candidates(data_dir)
    # Unpackers that gave up leave an empty folder beside the zip.
    found = ((Source(p), root) for p, root in candidates if p.exists() and not Source(p).empty)
    source, root = next(found, (None, data_dir))
    if source is None:
        return None
    train, test, split = _split(source, root)
    names = [file.name for file in (*train, *test)]
    labels: dict[str, np.ndarray] = {}
    if attributes := _list(ATTRIBUTES, source, root):
        rows = _table(*attributes, {-1, 0, 1})
        lacking = [name for name in names if _base(name) not in rows]
        if lacking:
            raise BenchError(
                f"{attributes[0]}: has no line for {lacking[0]}; complete or remove it"
            )
        labels = {name: (np.array(rows[_base(name)]) > 0).astype(np.uint8) for name in names}
    task = Task(source, train, test, FORM, labels, distinct=split == _BY_HASH)
    index = prepare(task, cache, make)
    content = {"prepare": FORM.description, "split": split}
    if index is None:
        return replace(declared, content=content)
    if labels:
        stacked = np.stack([labels[name] for name in names])
        content["attributes"] = hashlib.sha256(stacked.tobytes()).hexdigest()
    # Leave out the remarks that an earlier call added.
    described = declared.description.partition(";")[0]
    return replace(
        declared,
        description="; ".join([described, split, *index.remarks]),
        content=content | {"pictures": index.digest},
        classes=(2,) * len(next(iter(labels.values()))) if labels else (),
        train=index.train,
        test=index.test,
        folder=str(task.folder(cache).resolve()),
    )


def _list(stem: str, source: Source, root: Path) -> tuple[str, bytes] | None:
    """Name and content of a list: as published (.txt) or Kaggle's (.csv), also within the zip."""
    names = (f"{stem}.txt", f"{stem}.csv")
    for name in names:
        for path in (root / name, *sorted(root.glob(f"*/{name}"))):
            if path.is_file():
                return str(path), path.read_bytes()
    if source.path.is_file():
        with zipfile.ZipFile(source.path) as archive:
            for member in archive.namelist():
                if _base(member) in names:
                    return f"{source.path}: {member}", archive.read(member)
    return None


def _split(source: Source, root: Path) -> tuple[list[File], list[File], str]:
    files = source.listing().files
    partition = _list(PARTITION, source, root)
    if partition is None:
        return *split_by_hash(files, key=_base), _BY_HASH
    parts = _table(*partition, {0, 1, 2}, width=1)
    by_name = {_base(file.name): file for file in files}
    missing = [name for name in parts if name not in by_name]
    if len(missing) > MAX_BAD_SHARE * len(parts):
        raise BenchError(
            f"{source.path}: {len(missing):,} of the {len(parts):,} pictures that {partition[0]} "
            "lists are not there; complete them, or remove the list for a split by hash of the "
            "names"
        )
    train, test = (
        [by_name[name] for name, part in parts.items() if part == [wanted] and name in by_name]
        for wanted in (0, 2)
    )
    split = "CelebA's own split" + (f", {len(missing)} listed pictures missing" if missing else "")
    return train, test, split


def _table(
    title: str, content: bytes, allowed: set[int], width: int | None = None
) -> dict[str, list[int]]:
    """Rows of ``width`` allowed numbers by the picture's name in front of them.

    Headings before the first picture, quotes, commas and a byte order mark are taken as they come.
    All rows are as long as the first where ``width`` is None.

    Raises:
        BenchError: a line is something else; the message names list and line.
    """
    rows: dict[str, list[int]] = {}
    lines = content.decode("utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        name, *values = re.sub(r"[,;\"']", " ", line).split() or [""]
        if not name or (not rows and not is_picture(name)):
            continue
        row = [int(value) for value in values if re.fullmatch("-?[0-9]", value)]
        width = width or max(1, len(values))
        fits = len(row) == len(values) == width and allowed.issuperset(row)
        if not fits or rows.setdefault(name, row) != row:
            raise BenchError(
                f"{title}: line {number} is not a picture's name and {width} of the numbers "
                f"{', '.join(map(str, sorted(allowed)))}, or says other than an earlier one; "
                "correct or remove the list"
            )
    if not rows:
        raise BenchError(f"{title}: no line begins with a picture's name; correct or remove it")
    return rows


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def download(data_dir: Path) -> None:
    """Fetch CelebA as torchvision does, into ``data_dir/celeba``.

    Raises:
        BenchError: its host cannot be reached, gdown is not installed, or the transfer fails.
    """
    from torchvision.datasets import CelebA

    if importlib.util.find_spec("gdown") is None:
        raise BenchError("--download: torchvision fetches CelebA with gdown; pip install gdown")
    try:
        reach("https://drive.google.com")
        CelebA(str(data_dir), split="all", download=True)
    except Exception as error:
        raise BenchError(
            f"--download: CelebA cannot be fetched ({error}); {HELP['celeba']}"
        ) from error

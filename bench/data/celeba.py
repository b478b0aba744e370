"""CelebA as it is found on disks: torchvision's folder, the zip, or a plain folder of pictures."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.data import Dataset
from bench.data.download import reach
from bench.data.pictures import File, Form, Source, is_picture
from bench.data.prepared import MAX_BAD_SHARE, Task, prepare, prepared
from bench.data.splits import BY_HASH, split_by_hash
from bench.errors import BenchError

FORM = Form(64, 3, "celeba")
PARTITION, ATTRIBUTES = "list_eval_partition", "list_attr_celeba"
# What to do where a data set is not found, by its name.
HELP = {
    "celeba": (
        "give a folder (--data-dir) with torchvision's celeba/, with img_align_celeba.zip, or with "
        "the pictures; or fetch it (--download); or run on generated faces (--dataset toyfaces)"
    ),
    "celeba-10k": (
        "give a folder (--data-dir) with celeba-10k/, which holds the pictures 000001.jpg to "
        "010000.jpg"
    ),
}
_BY_HASH = f"{BY_HASH}, not CelebA's own"


@dataclass(frozen=True)
class Found:
    """CelebA on a disk.

    Attributes:
        source: its pictures.
        lists: folder of the partition and attribute lists.
    """

    source: Source
    lists: Path


def find_files(data_dir: Path) -> Found | None:
    """Look for CelebA in a folder and where torchvision puts it below; None where it is not."""
    for folder in (data_dir / "celeba", data_dir):
        for source in (folder / "img_align_celeba", folder / "img_align_celeba.zip"):
            # Unpackers that gave up leave an empty folder beside the zip.
            if source.exists() and not Source(source).empty:
                return Found(Source(source), folder)
    for folder in (data_dir / "celeba", data_dir):
        # Only pictures right there: a data folder may have other data sets in folders of theirs.
        if folder.is_dir() and any(is_picture(path.name) for path in folder.iterdir()):
            return Found(Source(folder), folder)
    return None


def _part(folder: Path) -> Found | None:
    """A part of CelebA in a folder of its own, which has no lists."""
    source = Source(folder)
    return Found(source, folder) if folder.is_dir() and not source.empty else None


def locate(declared: Dataset, data_dir: Path, cache: Path, *, make: bool) -> Dataset | None:
    """Declare CelebA as it is on this disk, its pictures prepared.

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
    found = _part(data_dir / declared.name) if declared.part_of else find_files(data_dir)
    if found is None:
        return None
    train, test, split = _split(found.source.listing().files, found)
    attributes = _list(found, ATTRIBUTES)
    labels = _attributes(attributes) if attributes else {}
    unlabelled = [file.name for file in (*train, *test) if _base(file.name) not in labels]
    if labels and unlabelled:
        raise BenchError(f"{attributes}: has no line for {unlabelled[0]}; complete or remove it")
    rows = {file.name: labels[_base(file.name)] for file in (*train, *test) if labels}
    task = Task(found.source, train, test, FORM, rows, distinct=split == _BY_HASH)
    index = prepare(task, cache) if make else prepared(task, cache)
    content = {"prepare": FORM.description, "split": split}
    if index is None:
        return replace(declared, content=content)
    if labels:
        stacked = np.stack([rows[file.name] for file in (*train, *test)])
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


def _list(found: Found, stem: str) -> Path | None:
    """A list of CelebA's: as it is published (.txt) or as Kaggle has it (.csv)."""
    paths = (found.lists / f"{stem}{ending}" for ending in (".txt", ".csv"))
    return next((path for path in paths if path.is_file()), None)


def _split(files: Sequence[File], found: Found) -> tuple[list[File], list[File], str]:
    partition = _list(found, PARTITION)
    if partition is None:
        return *split_by_hash(files, key=_base), _BY_HASH
    parts = {name: part for name, (part,) in _table(partition).items()}
    by_name = {_base(file.name): file for file in files}
    missing = [name for name in parts if name not in by_name]
    if len(missing) > MAX_BAD_SHARE * len(parts):
        raise BenchError(
            f"{found.source.path}: {len(missing):,} of the {len(parts):,} pictures that "
            f"{partition.name} lists are not there; complete them, or remove the list for a split "
            "by hash of the names"
        )
    listed = [(by_name[name], part) for name, part in parts.items() if name in by_name]
    train, test = ([file for file, part in listed if part == wanted] for wanted in (0, 2))
    split = "CelebA's own split" + (f", {len(missing)} listed pictures missing" if missing else "")
    return train, test, split


def _attributes(path: Path) -> dict[str, np.ndarray]:
    """Attributes by file name, 0 or 1 each, from a list of -1 and 1 under two lines of heading."""
    rows = _table(path, skip=2)
    return {name: (np.array(row) > 0).astype(np.uint8) for name, row in rows.items()}


def _table(path: Path, skip: int = 0) -> Mapping[str, list[int]]:
    """Rows of whole numbers by the name in front of them; Kaggle's lists have one heading."""
    rows: dict[str, list[int]] = {}
    width = None
    skip = 1 if path.suffix == ".csv" else skip
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines[skip:], skip + 1):
            if not line.strip():
                continue
            name, *values = line.replace(",", " ").split()
            rows[name] = [int(value) for value in values]
            width = width or len(values)
            if not values or len(values) != width:
                raise BenchError(f"{path}: line {number} does not have {width or 1} numbers")
    except (OSError, ValueError) as error:
        raise BenchError(f"{path}: cannot be read ({error})") from error
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

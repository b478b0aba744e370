"""CelebA as it is found on disks: as torchvision, Google Drive or Kaggle lay it out, or plain."""

import contextlib
import posixpath
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.data import DATASETS, Dataset
from bench.data.pictures import UNREADABLE, File, Form, Source, is_picture
from bench.data.prepared import MAX_BAD_SHARE, Task, prepare
from bench.data.splits import BY_HASH, split_by_hash
from bench.errors import BenchError

FORM = Form(64, 3, "celeba")
PICTURES, PARTITION = "img_align_celeba", "list_eval_partition"
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
        # Right there, under CelebA's names: a data folder may have other pictures.
        if root.is_dir() and any(is_picture(p.name) and p.stem.isdigit() for p in root.iterdir()):
            yield root, root
    # One level deeper, but for the folders of other data sets.
    roots += sorted(path for path in data_dir.glob("*/") if path.name not in DATASETS)
    for root in roots:
        for path in sorted(root.glob(f"*/{PICTURES}*")):
            if path.name in (PICTURES, f"{PICTURES}.zip") and path.parent.name not in DATASETS:
                yield path, root
    for root in roots:
        for path in sorted(root.glob("*.zip")):
            # Whatever else is called so, and may be broken, is no concern of CelebA's.
            with contextlib.suppress(BenchError):
                if any(f"{PICTURES}/" in file.name for file in Source(path).listing().files):
                    yield path, root


def declare(declared: Dataset, data_dir: Path, cache: Path, *, make: bool) -> Dataset | None:
    """Declare CelebA, or a part of it, as it is on this disk; None where there is none.

    With ``make``, images are prepared where they are not; without, the declaration lacks what only
    that would tell, and no finished run can be of it.

    Raises:
        BenchError: it is there, but it cannot be used.
    """
    part = data_dir / declared.name
    for path, root in [(part, part)] if declared.part_of else _candidates(data_dir):
        # A data folder may have other data sets in folders of theirs.
        source = Source(path, deep=path != data_dir)
        # Unpackers that gave up leave an empty folder beside the zip.
        if path.exists() and (files := source.listing().files):
            train, test, split = _split(source, root, files)
            break
    else:
        return None
    task = Task(source, train, test, FORM, distinct=split == _BY_HASH)
    index = prepare(task, cache, make)
    content = {"prepare": FORM.description, "split": split}
    if index is None:
        return replace(declared, content=content, train=len(train), test=len(test))
    # Leave out the remarks that an earlier call added.
    described = declared.description.partition(";")[0]
    return replace(
        declared,
        description="; ".join([described, split, *index.remarks]),
        content=content | {"pictures": index.digest},
        train=index.train,
        test=index.test,
        folder=str(task.folder(cache).resolve()),
    )


def _partition(source: Source, root: Path) -> tuple[str, bytes] | None:
    """Name and content of the list: as published (.txt) or Kaggle's (.csv), also within the zip."""
    names = (f"{PARTITION}.txt", f"{PARTITION}.csv")
    for name in names:
        for path in (root / name, *sorted(root.glob(f"*/{name}"))):
            if path.is_file():
                return str(path), path.read_bytes()
    if source.path.is_file():
        with zipfile.ZipFile(source.path) as archive:
            for member in archive.namelist():
                if posixpath.basename(member.replace("\\", "/")) in names:
                    try:
                        return f"{source.path}: {member}", archive.read(member)
                    except UNREADABLE as error:
                        raise BenchError(f"{source.path}: {member}: broken ({error})") from error
    return None


def _split(source: Source, root: Path, files: Sequence[File]) -> tuple[list[File], list[File], str]:
    partition = _partition(source, root)
    if partition is None:
        return *split_by_hash(files, key=posixpath.basename), _BY_HASH
    parts = _parts(*partition)
    by_name = {posixpath.basename(file.name): file for file in files}
    missing = [name for name in parts if name not in by_name]
    if len(missing) > MAX_BAD_SHARE * len(parts):
        raise BenchError(
            f"{source.path}: {len(missing):,} of the {len(parts):,} pictures that {partition[0]} "
            "lists are not there; complete them, or remove the list for a split by hash of the "
            "names"
        )
    train, test = (
        [by_name[name] for name, part in parts.items() if part == wanted and name in by_name]
        for wanted in "02"
    )
    split = "CelebA's own split" + (f", {len(missing)} listed pictures missing" if missing else "")
    return train, test, split


def _parts(title: str, content: bytes) -> dict[str, str]:
    """Each picture's part, 0, 1 or 2, by its name in front of it.

    Headings before the first picture, quotes, commas and a byte order mark are taken as they come.

    Raises:
        BenchError: a line is something else; the message names list and line.
    """
    parts: dict[str, str] = {}
    lines = content.decode("utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        name, *values = re.sub(r"[,;\"']", " ", line).split() or [""]
        if not name or (not parts and not is_picture(name)):
            continue
        part = " ".join(values)
        if part not in ("0", "1", "2") or parts.setdefault(name, part) != part:
            raise BenchError(
                f"{title}: line {number} is not a picture's name and 0, 1 or 2, or says other than "
                "an earlier one; correct or remove the list"
            )
    if not parts:
        raise BenchError(f"{title}: no line begins with a picture's name; correct or remove it")
    return parts


def download(data_dir: Path) -> None:
    """Fetch CelebA as torchvision does, into ``data_dir/celeba``.

    Raises:
        BenchError: its host cannot be reached, gdown is not installed, or the transfer fails.
    """
    from torchvision.datasets import CelebA

    try:
        CelebA(str(data_dir), split="all", download=True)
    except Exception as error:
        raise BenchError(
            f"--download: CelebA cannot be fetched ({error}); {HELP['celeba']}"
        ) from error

"""Which pictures train and which test, where no list says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

from bench.data.pictures import File, printable
from bench.hashing import sha256

BY_HASH = "train and test split 80/20 by hash of the file names"
# What a folder of each split may be called; those for validation are not used.
_TRAINING, _TEST = ("train", "training"), ("test", "testing")


def split_by_hash(
    files: Iterable[File], key: Callable[[str], str]
) -> tuple[list[File], list[File]]:
    """Training and test files, 80 and 20 %, by SHA-256 of their names.

    Args:
        files: in any order, which is kept.
        key: what of a name counts: the same for a file wherever it lies.
    """
    train: list[File] = []
    test: list[File] = []
    for file in files:
        tenth = int(sha256(printable(key(file.name)))[:8], 16) % 10
        (train if tenth < 8 else test).append(file)
    return train, test


def split_own(files: Sequence[File]) -> tuple[list[File], list[File], str]:
    """Training and test files of the user's own, and how they were told apart.

    By folders called train and test, where there are both; else by hash of their names with the
    folders below the one that holds them all.
    """
    common = _common_folders(files)
    inner = {file: PurePosixPath(file.name).parts[common:] for file in files}
    top = {file: parts[0].lower() if parts[1:] else "" for file, parts in inner.items()}
    train = [file for file in files if top[file] in _TRAINING]
    test = [file for file in files if top[file] in _TEST]
    if not train or not test:
        return *split_by_hash(files, lambda name: "/".join(name.split("/")[common:])), BY_HASH
    others = len(files) - len(train) - len(test)
    unused = f", {others} pictures beside them not used" if others else ""
    return train, test, f"split by the folders train and test{unused}"


def _common_folders(files: Sequence[File]) -> int:
    """How many folders every file lies in: a zip often has one around everything."""
    folders = [PurePosixPath(file.name).parts[:-1] for file in files]
    shortest, longest = min(folders), max(folders)
    pairs = zip(shortest, longest, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), len(shortest))

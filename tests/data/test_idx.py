from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import struct
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

from bench.data import IDX_FILES, dataset, register_dataset
from bench.data.idx import read
from bench.errors import BenchError
from tests.support.pictures import SAMPLE_FOLDER, declared, idx_content, loaded, place_idx

SPELLINGS: dict[str, Callable[[str], str]] = {
    "7-Zip": lambda name: name.replace("-idx", ".idx"),
    "upper case": str.upper,
    "named": lambda name: f"letters-{name.replace('t10k', 'test')}.gz",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("compressed", [True, False])
def test_other_spellings_are_taken_whatever_the_ending_says(
    tmp_path: Path, spelling: str, compressed: bool
) -> None:
    for name in IDX_FILES:
        content = idx_content(name)
        path = tmp_path / "digits" / SPELLINGS[spelling](name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(content) if compressed else content)
    (tmp_path / "plain").mkdir()
    for name in IDX_FILES:
        (tmp_path / "plain" / name).write_bytes(idx_content(name))
    found, usual = (declared(tmp_path / n, tmp_path, "idx") for n in ("digits", "plain"))
    assert found.fingerprint == usual.fingerprint
    register_dataset(found)
    assert len(dataset("digits").load(tmp_path).train.images) == 1_024


def test_what_comes_near_is_named_and_two_for_one_are_refused(tmp_path: Path) -> None:
    for name in IDX_FILES[:3]:
        (tmp_path / name).write_bytes(idx_content(name))
    near = tmp_path / "t10k-labels-idx1-ubyte (1)"
    near.write_bytes(idx_content(IDX_FILES[3]))
    with pytest.raises(BenchError, match=r"no t10k-labels-idx1-ubyte \(t10k-labels-idx1-ubyte \("):
        declared(tmp_path, tmp_path, "idx")
    for name in ("letters", "digits"):
        near.with_name(f"emnist-{name}-{IDX_FILES[3]}").write_bytes(idx_content(IDX_FILES[3]))
    with pytest.raises(BenchError, match=r"emnist-digits-.* or emnist-letters-.*Keep one"):
        declared(tmp_path, tmp_path, "idx")


def _idx(path: Path, shape: tuple[int, ...]) -> None:
    _write(path, np.zeros(shape, np.uint8))


def test_a_small_file_does_not_become_a_huge_one(tmp_path: Path) -> None:
    """Compressed zeros, 200 MB of them, behind a header that declares two images."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9) as file:
        file.write(b"\0\0\x08\x03" + struct.pack(">3I", 2, 28, 28))
        for _ in range(200):
            file.write(bytes(10**6))
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(buffer.getvalue())
    tracemalloc.start()
    with pytest.raises(BenchError, match="1569 bytes of data, its header declares 1568"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


@given(
    st.binary(max_size=8),
    st.sampled_from([b"", b"\0\0\x08\1", b"\0\0\x08\1\0\0\0\4", b"\0\0\x0c\1\0\0\0\1"]),
)
def test_any_bytes_are_an_array_or_refused(tail: bytes, head: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(head + tail)
        file.flush()
        try:
            array, sha256 = read(Path(file.name))
        except BenchError as error:
            assert f"{file.name}: truncated or altered" in str(error)  # noqa: PT017
        else:
            assert tail.endswith(array.tobytes())
            assert sha256 == hashlib.sha256(head + tail).hexdigest()


@pytest.mark.parametrize("shape", [(2**31, 2**31, 4), (2**16, 2**16, 2**16, 2**16)])
def test_a_forged_header_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = tmp_path / "forged"
    path.write_bytes(struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape) + bytes(16))
    with pytest.raises(BenchError, match="declares"):
        read(path)


@pytest.mark.parametrize("kind", [np.uint8, np.int32])
@pytest.mark.parametrize("shape", [(5,), (4, 8), (3, 5, 7)])
def test_arrays_are_what_torchvision_reads(
    tmp_path: Path, kind: type[np.generic], shape: tuple[int, ...]
) -> None:
    array = np.random.default_rng(0).integers(0, 200, shape).astype(kind)
    _write(tmp_path / "a", array)
    assert torch.equal(
        torch.from_numpy(read(tmp_path / "a").array.astype(kind)),
        read_sn3_pascalvincent_tensor(str(tmp_path / "a")),
    )


def _write(path: Path, array: np.ndarray) -> None:
    code = 8 if array.dtype == np.uint8 else 12
    header = struct.pack(f">4B{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + array.astype(array.dtype.newbyteorder(">")).tobytes())


@pytest.mark.parametrize("below", ["raw", "FashionMNIST/raw", "gzip"])
def test_files_in_the_only_folder_below_are_taken(tmp_path: Path, below: str) -> None:
    place_idx(tmp_path / "digits" / below, compressed=True)
    (tmp_path / "digits" / "others").mkdir()
    found = declared(tmp_path / "digits", tmp_path, "idx")
    assert (found.name, found.train) == ("digits", 1_024)
    assert len(loaded(found).test.images) == 512
    place_idx(tmp_path / "digits" / "more", compressed=True)
    with pytest.raises(BenchError, match="several folders have idx files"):
        declared(tmp_path / "digits", tmp_path, "idx")


def test_qmnists_rows_of_labels_are_taken_by_their_digit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 4)):
        labels = np.column_stack([np.arange(count), rng.integers(0, 10**6, (count, 7))])
        _write(tmp_path / f"qmnist-{part}-images-idx3-ubyte", np.zeros((count, 28, 28), np.uint8))
        _write(tmp_path / f"qmnist-{part}-labels-idx2-int", labels.astype(np.int32))
    found = declared(tmp_path, tmp_path, "idx")
    assert found.classes == (6,)
    assert loaded(found).train.labels[:, 0].tolist() == list(range(6))


def test_emnists_pictures_are_turned_and_are_other_data(tmp_path: Path) -> None:
    for name in IDX_FILES:
        for folder, spelled in (
            ("e", f"emnist-digits-{name.replace('t10k', 'test')}"),
            ("m", name),
        ):
            array = read(SAMPLE_FOLDER / f"{name}.gz").array
            # EMNIST's files hold columns where MNIST's hold rows.
            _write(
                tmp_path / folder / spelled,
                np.swapaxes(array, -1, -2) if folder == "e" and array.ndim == 3 else array,
            )
    emnist, mnist = (declared(tmp_path / each, tmp_path, "idx") for each in ("e", "m"))
    assert "EMNIST's pictures turned upright" in emnist.description
    assert emnist.fingerprint != mnist.fingerprint
    assert torch.equal(loaded(emnist).train.images, loaded(mnist).train.images)


@pytest.mark.parametrize("name", ["a.zip", "none"])
def test_what_is_no_folder_is_told_what_is_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.zip").write_bytes(b"<html>")
    with pytest.raises(BenchError, match="takes a folder with the four files"):
        declared(tmp_path / name, tmp_path, "idx")


def _without(folder: Path) -> None:
    (folder / IDX_FILES[3]).unlink()


def _swapped(folder: Path) -> None:
    shutil.copy(folder / IDX_FILES[1], folder / IDX_FILES[0])


def _short(folder: Path) -> None:
    (folder / IDX_FILES[1]).write_bytes(b"\0\0\x08\x01" + struct.pack(">I", 3) + b"\1\2\3")


def _torn(folder: Path) -> None:
    (folder / IDX_FILES[2]).write_bytes((folder / IDX_FILES[2]).read_bytes()[:-1])


def _wide(folder: Path) -> None:
    """Pictures of 32-bit integers."""
    path = folder / IDX_FILES[0]
    content = path.read_bytes()
    pixels = np.frombuffer(content[16:], np.uint8).astype(">i4")
    path.write_bytes(b"\0\0\x0c\x03" + content[4:16] + pixels.tobytes())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without, "has no t10k-labels"),
        (_swapped, "does not fit its name"),
        (_wide, "3 dimensions of int32, which does not fit its name"),
        (_short, "1024 images, but 3 labels of train"),
        (_torn, "its header declares"),
    ],
)
def test_own_data_that_do_not_fit_are_refused(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    place_idx(tmp_path, compressed=False)
    damage(tmp_path)
    with pytest.raises(BenchError, match=message):
        declared(tmp_path, Path("cache"), "idx")


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ((5, 28, 20), (5, 28, 20), "images of 20x28 pixels"),
        ((5, 28, 28), (5, 32, 32), "images of 28x28 and 32x32 pixels"),
        ((1, 28, 28), (5, 28, 28), "holds 1 of at least 2"),
    ],
)
def test_idx_pictures_of_other_shapes_are_refused(
    tmp_path: Path, train: tuple[int, ...], test: tuple[int, ...], message: str
) -> None:
    for part, shape in (("train", train), ("t10k", test)):
        _idx(tmp_path / f"{part}-images-idx3-ubyte", shape)
        _idx(tmp_path / f"{part}-labels-idx1-ubyte", shape[:1])
    with pytest.raises(BenchError, match=message):
        declared(tmp_path, tmp_path, "idx")

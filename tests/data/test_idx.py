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


def test_two_files_for_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / IDX_FILES[0]).write_bytes(idx_content(IDX_FILES[0]))
    for name in ("letters", "digits"):
        (tmp_path / f"emnist-{name}-{IDX_FILES[2]}").write_bytes(idx_content(IDX_FILES[2]))
    with pytest.raises(BenchError, match=r"emnist-digits-.* or emnist-letters-.*Keep one"):
        declared(tmp_path, tmp_path, "idx")


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


@pytest.mark.parametrize("shape", [(5,), (4, 8), (3, 5, 7)])
def test_arrays_are_what_torchvision_reads(tmp_path: Path, shape: tuple[int, ...]) -> None:
    _write(tmp_path / "a", np.random.default_rng(0).integers(0, 200, shape, np.uint8))
    assert torch.equal(
        torch.from_numpy(read(tmp_path / "a").array.copy()),
        read_sn3_pascalvincent_tensor(str(tmp_path / "a")),
    )


def _write(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + array.tobytes())


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
    with pytest.raises(BenchError, match="takes a folder with the two files"):
        declared(tmp_path / name, tmp_path, "idx")


def test_labels_are_not_asked_for(tmp_path: Path) -> None:
    place_idx(tmp_path, compressed=False)
    whole = declared(tmp_path, tmp_path, "idx")
    for name in IDX_FILES[1::2]:
        (tmp_path / name).unlink()
    found = declared(tmp_path, tmp_path, "idx")
    assert (found.fingerprint, found.classes) == (whole.fingerprint, ())
    assert loaded(found).train.labels.shape == (1_024, 0)


def _without(folder: Path) -> None:
    (folder / IDX_FILES[2]).unlink()


def _swapped(folder: Path) -> None:
    shutil.copy(folder / IDX_FILES[1], folder / IDX_FILES[0])


def _torn(folder: Path) -> None:
    (folder / IDX_FILES[2]).write_bytes((folder / IDX_FILES[2]).read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without, "has no t10k-images"),
        (_swapped, r"images of the shapes \(1024,\) and \(512, 28, 28\)"),
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
    ("train", "test"), [((5, 28, 20), (5, 28, 20)), ((5, 28, 28), (5, 32, 32)), ((5, 0, 0),) * 2]
)
def test_idx_pictures_of_other_shapes_are_refused(
    tmp_path: Path, train: tuple[int, ...], test: tuple[int, ...]
) -> None:
    for part, shape in (("train", train), ("t10k", test)):
        _write(tmp_path / f"{part}-images-idx3-ubyte", np.zeros(shape, np.uint8))
    with pytest.raises(BenchError, match="squares of one size"):
        declared(tmp_path, tmp_path, "idx")

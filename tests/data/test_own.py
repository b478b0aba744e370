import shutil
from pathlib import Path

import pytest
from PIL import Image, features
from torchvision import transforms

from bench.data import IDX_FILES, dataset, register_dataset
from bench.data.images import LoadedData
from bench.data.own import declare
from bench.data.pictures import Source
from bench.data.splits import split_own
from bench.errors import UsageError
from tests.support.pictures import (
    SAMPLE_FOLDER,
    checksums,
    declared,
    loaded,
    photograph,
    picture,
    pictures,
    place_idx,
)


def test_own_data_are_declared_by_their_content(tmp_path: Path, sample: LoadedData) -> None:
    for name in ("My Digits", "moved"):
        place_idx(tmp_path / name, compressed=name == "moved")
    first, second = (
        declared(tmp_path / name, Path("cache"), "idx") for name in ("My Digits", "moved")
    )
    assert (first.name, first.train) == ("my-digits", 1024)
    assert first.fingerprint == second.fingerprint
    register_dataset(first)
    assert checksums(dataset("my-digits").load(tmp_path / "elsewhere")) == checksums(sample)
    # The name of another data set is not taken over.
    place_idx(tmp_path / "mnist", compressed=True)
    assert declared(tmp_path / "mnist", Path("cache"), "idx").name == "mnist-idx"


@pytest.mark.parametrize("argument", ["", "idx:", "pictures:x", "folder"])
def test_other_forms_of_own_data_are_refused(argument: str) -> None:
    with pytest.raises(UsageError, match="--dataset takes idx:FOLDER"):
        declare(argument, Path("cache"), make=False)


def test_names_tell_folders_of_one_name_apart(tmp_path: Path) -> None:
    for place in ("KMNIST/raw", "FashionMNIST/raw", "x" * 240):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        for name in IDX_FILES:
            shutil.copy(SAMPLE_FOLDER / f"{name}.gz", folder)
    first, second = (
        declared(tmp_path / f"{name}MNIST" / "raw", tmp_path, "idx") for name in ("K", "Fashion")
    )
    assert (first.name, second.name) == ("kmnist-raw", "fashionmnist-raw")
    assert "KMNIST/raw" in first.description
    assert declared(tmp_path / "KMNIST/raw", tmp_path, "idx", name="Old Kana").name == "old-kana"
    with pytest.raises(UsageError, match="--name 仮名: "):
        declared(tmp_path / "KMNIST/raw", tmp_path, "idx", name="仮名")
    assert len(declared(tmp_path / ("x" * 240), tmp_path, "idx").name) <= 48
    with pytest.raises(UsageError, match="--name MNIST: a data set of the suite"):
        declared(tmp_path / "KMNIST/raw", tmp_path, "idx", name="MNIST")


def test_the_users_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    pictures(tmp_path / "cats")
    assert declare("images:~/cats", tmp_path / "cache", make=True).name == "cats"


@pytest.mark.parametrize("ending", ["jfif", "jpe", "JPEG", "avif"])
def test_other_endings_are_taken(tmp_path: Path, ending: str) -> None:
    if ending == "avif" and not features.check("avif"):
        pytest.skip("Pillow was built without AVIF")
    for index in range(30):
        picture = Image.effect_noise((40, 40), index + 1).convert("RGB")
        (tmp_path / "data").mkdir(exist_ok=True)
        kind = "AVIF" if ending == "avif" else "JPEG"
        picture.save(tmp_path / "data" / f"{index}.{ending}", kind)
    assert declared(tmp_path / "data", tmp_path / "cache").train > 15


def test_palettes_are_grey_where_their_colours_are(tmp_path: Path) -> None:
    for index in range(40):
        grey = Image.effect_noise((40, 40), 30 + index)
        colour = Image.open(picture(tmp_path / "a.png", index))
        for name, image in (("grey", grey), ("colour", colour)):
            (tmp_path / name).mkdir(exist_ok=True)
            image.convert("P" if name == "colour" else "RGB").quantize(8).save(
                tmp_path / name / f"{index}.png"
            )
    assert declared(tmp_path / "grey", tmp_path / "cache").network == "mnist"
    assert declared(tmp_path / "colour", tmp_path / "cache").network == "shape"


@pytest.mark.parametrize(
    ("size", "mode", "network", "shape"),
    [
        ((28, 28), "L", "mnist", (1, 32, 32)),
        ((100, 80), "L", "mnist", (1, 32, 32)),
        ((40, 36), "RGB", "shape", (3, 32, 32)),
        ((96, 50), "RGBA", "celeba", (3, 64, 64)),
    ],
)
def test_own_pictures_take_the_nearest_preset(
    tmp_path: Path, size: tuple[int, int], mode: str, network: str, shape: tuple[int, ...]
) -> None:
    # The first ones are of another preset.
    for index in range(-2, 30):
        other = ("L" if mode == "RGB" else "RGB") if index < 0 else mode
        folder = tmp_path / "My Cats" / f"{max(index, 0) % 3}"
        photograph(folder / f"{index}.png", index + 2, size, other)
    found = declare(f"images:{tmp_path / 'My Cats'}", tmp_path / "cache", make=True)
    assert (found.name, found.network) == ("my-cats", network)
    data = loaded(found)
    assert tuple(data.train.images.shape[1:]) == shape
    reference = transforms.Compose(
        [transforms.CenterCrop(min(size)), transforms.Resize(shape[-1]), transforms.PILToTensor()]
    )
    files = split_own(Source(tmp_path / "My Cats").listing().files)[1]
    for image, file in zip(data.test.images, files, strict=True):
        opened = Image.open(tmp_path / "My Cats" / file.name)
        expected = reference(opened.convert("L" if shape[0] == 1 else "RGB"))
        assert (image.int() - expected.int()).abs().max() <= 2

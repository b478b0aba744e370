import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data.pictures import File, Source
from bench.data.splits import split_by_hash, split_own
from tests.support.pictures import declare_celeba, declared, photograph, picture


def test_a_plain_folder_is_split_by_hash_of_the_names(tmp_path: Path) -> None:
    for index in range(300):
        photograph(tmp_path / "data" / f"{index}.png", index, (89, 109))
    found = declare_celeba(tmp_path / "data", tmp_path / "cache")
    assert 210 < found.train < 270
    assert found.train + found.test == 300
    assert "80/20 by hash" in found.description
    files = Source(tmp_path / "data").listing().files
    train, test = _split(files)
    # A name stays in its split whatever else there is.
    assert _split(files[::2]) == (
        [f for f in files[::2] if f in train],
        [f for f in files[::2] if f in test],
    )
    assert not set(train) & set(test)


def _split(files: Sequence[File]) -> tuple[list[File], list[File]]:
    """As CelebA's are, of pictures that all lie in one folder."""
    return split_by_hash(files, str)


@pytest.mark.parametrize("around", ["", "everything/"])
def test_train_and_test_folders_are_the_split(tmp_path: Path, around: str) -> None:
    for place, count in (("train/cat", 6), ("Test/cat", 4), ("val/cat", 3)):
        for index in range(count):
            picture(tmp_path / "data" / around / place / f"{index}.png", len(place) * 100 + index)
    found = declared(tmp_path / "data", tmp_path / "cache")
    assert (found.train, found.test) == (6, 4)
    said = "split by the folders train and test, 3 pictures beside them not used"
    assert said in found.description
    # What is not used makes them no other data.
    picture(tmp_path / "data" / around / "val/dog" / "a.png", 9)
    more = declared(tmp_path / "data", tmp_path / "cache")
    assert "test, 4 pictures beside" in more.description
    assert more.fingerprint == found.fingerprint


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train/cat", "val/cat"),
        ("training_set/cat", "test_set/cat"),
        ("Train", "Validation"),
        ("cat/train", "cat/test"),
        ("seg/Training Images/a/b", "seg/TEST/a/b"),
    ],
)
def test_held_out_pictures_are_never_trained_on(tmp_path: Path, train: str, test: str) -> None:
    for place, count in ((train, 6), (test, 4)):
        for index in range(count):
            picture(tmp_path / "data" / place / f"{index}.png", len(place) * 100 + index)
    training, testing, said = split_own(Source(tmp_path / "data").listing().files)
    assert {file.name.rpartition("/")[0] for file in training} == {train}
    assert {file.name.rpartition("/")[0] for file in testing} == {test}
    assert said.startswith("split by the folders train and ")


def test_folders_of_a_split_that_are_not_used_are_named(tmp_path: Path) -> None:
    for place in ("train", "others"):
        for index in range(6):
            picture(tmp_path / "data" / place / f"{index}.png", index)
    *_, said = split_own(Source(tmp_path / "data").listing().files)
    assert said.endswith("by hash of the file names, and not by the folders called train")


def test_pictures_of_one_name_in_many_folders_fall_on_both_sides(tmp_path: Path) -> None:
    for index in range(100):
        picture(tmp_path / "data" / f"s{index:03d}" / "image.png", index)
    files = Source(tmp_path / "data").listing().files
    train, test, _ = split_own(files)
    assert 65 < len(train) < 95
    assert len(train) + len(test) == 100
    # Zipped with the folder around them, they are split as before.
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for file in files:
            archive.write(tmp_path / "data" / file.name, f"data/{file.name}")
    zipped, _, _ = split_own(Source(tmp_path / "data.zip").listing().files)
    assert [file.name for file in zipped] == [f"data/{file.name}" for file in train]
    # Some programs begin every name with a dot.
    dotted = [replace(file, name=f"./{file.name}") for file in files]
    assert [file.name for file in split_own(dotted)[0]] == [f"./{file.name}" for file in train]


def test_a_fifth_is_for_testing() -> None:
    train, test = _split([File(f"{index}.png", 0, 0) for index in range(5_000)])
    assert len(train) + len(test) == 5_000
    assert abs(len(test) - 1_000) < 5 * 800**0.5

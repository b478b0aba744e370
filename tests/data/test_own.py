"""The user's own data as they really lie on disks: spelled, linked, copied, hidden."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, features

from bench.campaign.locate import Places, locate
from bench.cli import main
from bench.data import DATASETS, Dataset, dataset, register_dataset
from bench.data.celeba import locate as locate_celeba
from bench.data.decoding import render
from bench.data.idx import FILES
from bench.data.own import declare
from bench.data.pictures import BadPictureError, Form, Source
from bench.data.splits import split_own
from bench.errors import BenchError, UsageError
from bench.store.folders import Store
from tests.support.results import result
from tests.support.tiny import TINY

SAMPLE = Path(DATASETS["mnist-sample"].folder)


def _picture(path: Path, seed: int, size: int = 40, mode: str = "RGB") -> Path:
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).convert(mode).save(path)
    return path


def _pictures(folder: Path, count: int = 40) -> None:
    for index in range(count):
        _picture(folder / f"{index:03d}.png", index)


def _declared(folder: Path, cache: Path, kind: str = "images", **options: object) -> Dataset:
    return declare(f"{kind}:{folder}", cache, make=True, **options)  # type: ignore[arg-type]


def _content(name: str) -> bytes:
    return gzip.decompress((SAMPLE / f"{name}.gz").read_bytes())


SPELLINGS: dict[str, Callable[[str], str]] = {
    "7-Zip": lambda name: name.replace("-idx", ".idx"),
    "upper case": str.upper,
    "EMNIST": lambda name: f"emnist-letters-{name.replace('t10k', 'test')}.gz",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("compressed", [True, False])
def test_other_spellings_are_taken_whatever_the_ending_says(
    tmp_path: Path, spelling: str, compressed: bool
) -> None:
    for name in FILES:
        content = _content(name)
        path = tmp_path / "digits" / SPELLINGS[spelling](name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(content) if compressed else content)
    (tmp_path / "plain").mkdir()
    for name in FILES:
        (tmp_path / "plain" / name).write_bytes(_content(name))
    found, usual = (_declared(tmp_path / n, tmp_path, "idx") for n in ("digits", "plain"))
    assert found.fingerprint == usual.fingerprint
    register_dataset(found)
    assert len(dataset("digits").load(tmp_path).train.images) == 1_024


def test_what_comes_near_is_named_and_two_for_one_are_refused(tmp_path: Path) -> None:
    for name in FILES[:3]:
        (tmp_path / name).write_bytes(_content(name))
    near = tmp_path / "t10k-labels-idx1-ubyte (1)"
    near.write_bytes(_content(FILES[3]))
    with pytest.raises(BenchError, match=r"no t10k-labels-idx1-ubyte \(t10k-labels-idx1-ubyte \("):
        _declared(tmp_path, tmp_path, "idx")
    for name in ("letters", "digits"):
        near.with_name(f"emnist-{name}-{FILES[3]}").write_bytes(_content(FILES[3]))
    with pytest.raises(BenchError, match=r"emnist-digits-.* or emnist-letters-.*Keep one"):
        _declared(tmp_path, tmp_path, "idx")


def test_a_folder_with_some_of_the_files_is_not_filled_up(tmp_path: Path) -> None:
    for name in FILES[:2]:
        (tmp_path / name).write_bytes(_content(name))
    with pytest.raises(BenchError, match="but no t10k-images-idx3-ubyte, t10k-labels"):
        dataset("mnist").load(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES[:2])


def test_other_data_in_place_of_mnist_are_told_how_to_be_used(tmp_path: Path) -> None:
    for name in FILES:
        shutil.copy(SAMPLE / f"{name}.gz", tmp_path)
    with pytest.raises(BenchError, match=f"other data by --dataset idx:{tmp_path}"):
        dataset("mnist").load(tmp_path)


def _idx(path: Path, shape: tuple[int, ...]) -> None:
    header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
    path.write_bytes(header + bytes(int(np.prod(shape))))


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
        _declared(tmp_path, tmp_path, "idx")


def test_names_tell_folders_of_one_name_apart(tmp_path: Path) -> None:
    for place in ("KMNIST/raw", "FashionMNIST/raw", "x" * 240):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        for name in FILES:
            shutil.copy(SAMPLE / f"{name}.gz", folder)
    first, second = (
        _declared(tmp_path / f"{name}MNIST" / "raw", tmp_path, "idx") for name in ("K", "Fashion")
    )
    assert (first.name, second.name) == ("kmnist-raw", "fashionmnist-raw")
    assert "KMNIST/raw" in first.description
    assert _declared(tmp_path / "KMNIST/raw", tmp_path, "idx", name="Old Kana").name == "old-kana"
    assert len(_declared(tmp_path / ("x" * 240), tmp_path, "idx").name) <= 48
    with pytest.raises(UsageError, match="--name MNIST: a data set of the suite"):
        _declared(tmp_path / "KMNIST/raw", tmp_path, "idx", name="MNIST")


def test_a_name_that_other_data_have_is_refused_with_the_way_out(tmp_path: Path) -> None:
    for place in ("a/写真", "b/图片"):
        _pictures(tmp_path / place)
        _picture(tmp_path / place / "more.png", hash(place) % 1_000)
    places = Places(tmp_path, tmp_path / "cache", [], make=True)
    first = locate(f"images:{tmp_path}/a/写真", places)
    assert first.name == "images"
    known = [result(replace(TINY, dataset=first.name)).trained]
    places = Places(tmp_path, tmp_path / "cache", known, make=True)
    assert locate(f"images:{tmp_path}/a/写真", places) == first
    with pytest.raises(UsageError, match=r"other data named images \(a/写真 .*--name"):
        locate(f"images:{tmp_path}/b/图片", places)
    places = Places(tmp_path, tmp_path / "cache", known, make=True, name="others")
    assert locate(f"images:{tmp_path}/b/图片", places).name == "others"


@pytest.mark.parametrize("kind", ["idx", "images"])
def test_a_folder_without_its_kind_gets_a_hint(tmp_path: Path, kind: str) -> None:
    if kind == "idx":
        shutil.copy(SAMPLE / f"{FILES[0]}.gz", tmp_path)
    places = Places(tmp_path, tmp_path, [])
    with pytest.raises(UsageError, match=f"--dataset {kind}:{tmp_path}"):
        locate(str(tmp_path), places)


def test_the_users_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    _pictures(tmp_path / "cats")
    assert declare("images:~/cats", tmp_path / "cache", make=True).name == "cats"


def test_only_the_users_own_pictures_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside them: what editors, cameras, git-annex and the suite itself leave in a folder."""
    _pictures(tmp_path / "data")
    whole = _declared(tmp_path / "data", tmp_path / "a")
    capsys.readouterr()
    for place in (".ipynb_checkpoints", ".thumbnails", "@eaDir", "__MACOSX", "runs/x/samples"):
        _pictures(tmp_path / "data" / place, 50)
    (tmp_path / "data" / "notes.txt").write_text("not a picture")
    annexed = tmp_path / "data" / ".git" / "annex" / "key.png"
    annexed.parent.mkdir(parents=True)
    (tmp_path / "data" / "000.png").rename(annexed)
    (tmp_path / "data" / "000.png").symlink_to(annexed)
    outputs = [tmp_path / "data" / "runs"]
    cluttered = _declared(tmp_path / "data", tmp_path / "b", outputs=outputs)
    assert cluttered.content == whole.content
    assert capsys.readouterr().err.splitlines()[0] == (
        f"{tmp_path}/data: passed over: 1 folders of the suite's outputs (runs), 3 hidden "
        "(.git, ...), 2 left by other programs (@eaDir, ...), 1 without a picture's ending "
        "(notes.txt)"
    )


def test_copies_are_one_picture(tmp_path: Path) -> None:
    _pictures(tmp_path / "data", 80)
    once = _declared(tmp_path / "data", tmp_path / "cache")
    for path in list((tmp_path / "data").iterdir()):
        shutil.copy(path, path.with_name(f"{path.stem} - copy.png"))
    twice = _declared(tmp_path / "data", tmp_path / "cache")
    assert "copies of other pictures left out" in twice.description
    images = [_images(each) for each in (once, twice)]
    assert len(np.unique(images[1], axis=0)) == len(images[1]) <= 80
    assert twice.train + twice.test == len(images[1])
    # Both copies of some fell into the tenth that is left out, so that no more than that is lost.
    assert len(images[1]) >= len(images[0])


def _images(found: Dataset) -> np.ndarray:
    register_dataset(found, replace=True)
    data = dataset(found.name).load(Path("elsewhere"))
    return torch.cat([data.train.images, data.test.images]).flatten(1).numpy()


def test_too_few_pictures_say_how_many_are_needed(tmp_path: Path) -> None:
    for index in range(60):
        _picture(tmp_path / "data" / f"{index}.png", 0)
    with pytest.raises(BenchError, match=r"too few, \d+ copies of others left out; at least 2"):
        _declared(tmp_path / "data", tmp_path / "cache")


@pytest.mark.parametrize("around", ["", "everything/"])
def test_train_and_test_folders_are_the_split(tmp_path: Path, around: str) -> None:
    for place, count in (("train/cat", 6), ("Test/cat", 4), ("val/cat", 3)):
        for index in range(count):
            _picture(tmp_path / "data" / around / place / f"{index}.png", len(place) * 100 + index)
    found = _declared(tmp_path / "data", tmp_path / "cache")
    assert (found.train, found.test) == (6, 4)
    assert "split by the folders train and test, 3 pictures beside them not used" in (
        found.description
    )


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
            _picture(tmp_path / "data" / place / f"{index}.png", len(place) * 100 + index)
    training, testing, said = split_own(Source(tmp_path / "data").listing().files)
    assert {file.name.rpartition("/")[0] for file in training} == {train}
    assert {file.name.rpartition("/")[0] for file in testing} == {test}
    assert said.startswith("split by the folders train and ")


def test_folders_of_a_split_that_are_not_used_are_named(tmp_path: Path) -> None:
    for place in ("train", "others"):
        for index in range(6):
            _picture(tmp_path / "data" / place / f"{index}.png", index)
    *_, said = split_own(Source(tmp_path / "data").listing().files)
    assert said.endswith("by hash of the file names, and not by the folders called train")


def test_a_zip_that_was_written_on_windows_is_split_by_its_folders(tmp_path: Path) -> None:
    _picture(tmp_path / "a.png", 0)
    content = (tmp_path / "a.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for name in ("train/a.png", "train/b.png", "test/c.png", "__MACOSX/d.png", "x/.e.png"):
            archive.writestr(name.replace("/", "\\"), content)
    source = Source(tmp_path / "data.zip")
    train, test, _ = split_own(source.listing().files)
    assert [file.name for file in train] == ["train/a.png", "train/b.png"]
    assert list(source.read(test)) == [content]
    assert "1 hidden" in source.listing().remark
    assert "1 left by other programs" in source.listing().remark


def test_pictures_of_one_name_in_many_folders_fall_on_both_sides(tmp_path: Path) -> None:
    for index in range(100):
        _picture(tmp_path / "data" / f"s{index:03d}" / "image.png", index)
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


def test_links_that_lead_out_are_named(tmp_path: Path) -> None:
    _pictures(tmp_path / "elsewhere", 3)
    (tmp_path / "data").mkdir()
    for index in range(3):
        (tmp_path / "data" / f"{index}.png").symlink_to(tmp_path / "elsewhere" / f"00{index}.png")
    (tmp_path / "data" / "below").symlink_to(tmp_path / "elsewhere")
    message = r"3 links that lead out of the folder \(0.png, ...\), 1 links to folders"
    with pytest.raises(BenchError, match=message):
        _declared(tmp_path / "data", tmp_path / "cache")


@pytest.mark.parametrize("ending", ["jfif", "jpe", "JPEG", "avif"])
def test_other_endings_are_taken(tmp_path: Path, ending: str) -> None:
    if ending == "avif" and not features.check("avif"):
        pytest.skip("Pillow was built without AVIF")
    for index in range(30):
        picture = Image.effect_noise((40, 40), index + 1).convert("RGB")
        (tmp_path / "data").mkdir(exist_ok=True)
        kind = "AVIF" if ending == "avif" else "JPEG"
        picture.save(tmp_path / "data" / f"{index}.{ending}", kind)
    assert _declared(tmp_path / "data", tmp_path / "cache").train > 15


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(tmp_path: Path, mode: str) -> None:
    """Beneath the transparent half lies red, which nobody sees."""
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[:, :20] = (255, 0, 0, 0)
    pixels[:, 20:] = (0, 0, 0, 255)
    path = tmp_path / "a.png"
    image = Image.fromarray(pixels)
    if mode == "P":
        image = image.convert("RGB").quantize(2)
        image.info["transparency"] = image.getpixel((0, 0))
        image.save(path, transparency=image.info["transparency"])
    else:
        image.convert(mode).save(path)
    (found,) = render([path.read_bytes()], Form(32, 3, "square"))
    assert not isinstance(found, BadPictureError)
    assert (found[0][:, :12] == 255).all()
    assert (found[0][:, 20:] == 0).all()


def test_palettes_are_grey_where_their_colours_are(tmp_path: Path) -> None:
    for index in range(40):
        grey = Image.effect_noise((40, 40), 30 + index)
        for name, image in (("grey", grey), ("colour", _noise(index))):
            (tmp_path / name).mkdir(exist_ok=True)
            image.convert("P" if name == "colour" else "RGB").quantize(8).save(
                tmp_path / name / f"{index}.png"
            )
    assert _declared(tmp_path / "grey", tmp_path / "cache").network == "mnist"
    assert _declared(tmp_path / "colour", tmp_path / "cache").network == "shape"


def _noise(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert("RGB")


def test_pillows_own_warnings_are_not_the_users(tmp_path: Path) -> None:
    image = _noise(0).quantize(4)
    image.save(tmp_path / "a.png", transparency=bytes([0, 128, 255, 255]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = render([(tmp_path / "a.png").read_bytes()], Form(32, 3, "square"))
    assert not isinstance(found, BadPictureError)


def test_names_that_are_not_utf8_are_trained_on_and_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    for index in range(60):
        _picture(tmp_path / "a.png", index, mode="L")
        (tmp_path / "a.png").rename(folder / os.fsdecode(b"p\xe9%d.png" % index))
    command = ["--table", "4", "--profile", "smoke", "--dataset", f"images:{folder}"]
    command += ["--only", "*-l2-*", "--set", "epochs=1", "--set", "batch_size=8", "--jobs", "1"]
    command += ["--set", "fid_samples=20", "--device", "cpu"]
    for name in ("runs", "tables"):
        command += [f"--{name}-dir", str(tmp_path / name)]
    assert main(command) == 0, capfd.readouterr().err
    assert r"caf\xe9 (pictures)" in capfd.readouterr().out
    assert r"caf\xe9" in (tmp_path / "tables" / "table4-caf.md").read_text(encoding="utf-8")


def test_kaggles_lists_are_celebas(tmp_path: Path) -> None:
    """With a blank last line, as files that were edited by hand have it."""
    names = [f"{index + 1:06d}.png" for index in range(20)]
    for index, name in enumerate(names):
        picture = tmp_path / "a" / "img_align_celeba" / name
        _picture(picture, index, 218)
        Image.open(picture).resize((178, 218)).save(picture)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    parts = [0 if index < 12 else 2 for index in range(20)]
    signs = [(1, -1) if index % 3 else (-1, 1) for index in range(20)]

    def lines(separator: str, rows: list[tuple[int, ...]]) -> list[str]:
        return [
            separator.join(map(str, (name, *row))) for name, row in zip(names, rows, strict=True)
        ]

    partition, attributes = [(part,) for part in parts], list(signs)
    for folder, ending, headings, separator in (
        ("a", "txt", ([], ["20", "Bald Young"]), " "),
        ("b", "csv", (["image_id,partition"], ["image_id,Bald,Young"]), ","),
    ):
        for stem, heading, rows in (
            ("list_eval_partition", headings[0], partition),
            ("list_attr_celeba", headings[1], attributes),
        ):
            text = "\n".join([*heading, *lines(separator, list(rows)), "", ""])
            (tmp_path / folder / f"{stem}.{ending}").write_text(text, encoding="utf-8")
    found = [
        locate_celeba(dataset("celeba"), tmp_path / name, tmp_path / "cache", make=True)
        for name in ("a", "b")
    ]
    assert found[0] is not None
    assert found[1] is not None
    assert (found[0].train, found[0].test, found[0].classes) == (12, 8, (2, 2))
    assert found[0].fingerprint == found[1].fingerprint


def test_an_empty_folder_does_not_hide_the_zip_beside_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w") as archive:
        for index in range(60):
            picture = _picture(tmp_path / "a.png", index, 218)
            Image.open(picture).resize((178, 218)).save(picture)
            archive.write(picture, f"img_align_celeba/{index:06d}.png")
    (tmp_path / "a.png").unlink()
    (tmp_path / "img_align_celeba").mkdir()
    (tmp_path / "img_align_celeba" / "readme.txt").write_text("nothing here")
    found = locate_celeba(dataset("celeba"), tmp_path, tmp_path / "cache", make=True)
    assert found is not None
    assert found.train > 30


def test_store_is_not_part_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With images:. a second look finds what the first one prepared."""
    monkeypatch.chdir(tmp_path)
    for index in range(60):
        _picture(tmp_path / f"{index}.png", index, mode="L")
    command = ["--table", "4", "--dataset", "images:.", "--profile", "smoke", "--jobs", "1"]
    command += ["--only", "*-l2-*", "--set", "epochs=1", "--set", "batch_size=8", "--figure"]
    command += ["spectra-depth", "--set", "fid_samples=20", "--device", "cpu"]
    assert main(command) == 0
    before = set(Store(tmp_path / "runs").read())
    _picture(tmp_path / "figures" / "of mine.png", 99)
    assert main(command) == 0
    assert set(Store(tmp_path / "runs").read()) == before

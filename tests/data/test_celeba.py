import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torchvision import datasets, transforms

from bench.cli import main
from bench.data import celeba, dataset, prepared
from bench.errors import BenchError
from tests.support.pictures import checksums, declare_celeba, loaded, photograph


def test_celeba_is_what_torchvision_reads(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda self: True)
    monkeypatch.setattr(prepared, "core_count", lambda: 2)
    prepare = transforms.Compose(
        [transforms.CenterCrop(148), transforms.Resize(64), transforms.PILToTensor()]
    )
    found = declare_celeba(original, tmp_path)
    data = loaded(found)
    assert (found.train, found.test) == (40, 14)
    assert "CelebA's own split" in found.description
    for split, ours in (("train", data.train), ("test", data.test)):
        theirs = datasets.CelebA(str(original), split=split, transform=prepare)
        difference = torch.stack([image for image, _ in theirs]).int() - ours.images.int()
        assert difference.abs().max() <= 1


def _zip(path: Path, pictures: Path, around: str = "") -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for each in sorted(pictures.iterdir()):
            archive.write(each, f"{around}img_align_celeba/{each.name}")
        for each in sorted(path.parent.glob("*.csv")):
            archive.write(each, each.name)
            each.unlink()
    shutil.rmtree(pictures)


def _zipped(folder: Path) -> None:
    _zip(folder / "img_align_celeba.zip", folder / "img_align_celeba")


def _flat(folder: Path) -> None:
    for path in folder.iterdir():
        path.rename(folder.parent / path.name)
    folder.rmdir()


def _drive(folder: Path) -> None:
    """As Google Drive lays it out, under the name that it has there."""
    for place in ("Img", "Eval"):
        (folder / place).mkdir()
    _zip(folder / "Img" / "img_align_celeba.zip", folder / "img_align_celeba")
    (folder / f"{celeba.PARTITION}.txt").rename(folder / "Eval" / f"{celeba.PARTITION}.txt")
    folder.rename(folder.with_name("CelebA"))


def _drive_flat(folder: Path) -> None:
    _drive(folder)
    _flat(folder.with_name("CelebA"))


def _kaggle_lists(folder: Path) -> None:
    """Commas, quotes, a heading, a byte order mark and a blank line at the end."""
    path = folder / f"{celeba.PARTITION}.txt"
    rows = [line.split() for line in path.read_text().splitlines()]
    lines = ["image_id,partition", *(f'"{name}",{part}' for name, part in rows), ""]
    path.with_suffix(".csv").write_text("\r\n".join(lines), encoding="utf-8-sig")
    path.unlink()


def _kaggle(folder: Path) -> None:
    _kaggle_lists(folder)
    _zip(folder / "archive.zip", folder / "img_align_celeba", "img_align_celeba/")
    _flat(folder)


def _kaggle_unpacked(folder: Path) -> None:
    _kaggle_lists(folder)
    for name in ("archive", "archive/img_align_celeba"):
        (folder.parent / name).mkdir()
    (folder / "img_align_celeba").rename(
        folder.parent / "archive/img_align_celeba/img_align_celeba"
    )
    for path in folder.glob("*.csv"):
        path.rename(folder.parent / "archive" / path.name)
    shutil.rmtree(folder)


LAYOUTS = [_zipped, _flat, _drive, _drive_flat, _kaggle_lists, _kaggle, _kaggle_unpacked]


@pytest.mark.parametrize("rearrange", LAYOUTS)
def test_another_form_is_the_same_data(
    original: Path, data_dir: Path, tmp_path: Path, rearrange: Callable[[Path], None]
) -> None:
    rearrange(data_dir / "celeba")
    first = declare_celeba(original, tmp_path / "a")
    second = declare_celeba(data_dir, tmp_path / "b")
    assert first.fingerprint == second.fingerprint
    assert first.description == second.description
    assert checksums(loaded(first)) == checksums(loaded(second))


def test_a_part_and_other_data_sets_are_not_taken_for_the_whole(tmp_path: Path) -> None:
    for index in range(3):
        photograph(tmp_path / "celeba-10k" / "img_align_celeba" / f"{index}.jpg", index)
        photograph(tmp_path / "cats" / f"{index}.jpg", index)
    photograph(tmp_path / "screenshot.jpg", 0)
    with zipfile.ZipFile(tmp_path / "dogs.zip", "w") as archive:
        archive.writestr("dogs/a.jpg", b"")
    (tmp_path / "broken.zip").write_bytes(b"<html>")
    # What looks like a zip to its end, but lacks its list.
    content = (tmp_path / "dogs.zip").read_bytes()
    (tmp_path / "half.zip").write_bytes(content[content.index(b"PK\5\6") :])
    assert celeba.declare(dataset("celeba"), tmp_path, tmp_path / "cache", make=False) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("000001.jpg 0\n000002.jpg\n", "line 2 "),
        ("000001.jpg zero\n", "line 1 "),
        ("image partition\n000001.jpg 0\n\n000002.jpg 3\n", "line 4 "),
        ("000001.jpg 0\n000002.jpg 0 1\n", "line 2 "),
        ("000001.jpg 0\nheading in between\n", "line 2 "),
        ("000001.jpg 0\n000001.jpg 1\n", "line 2 "),
        ("1 0\n2 0\n", "no line begins with a picture's name"),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    data_dir: Path, tmp_path: Path, content: str, message: str
) -> None:
    path = data_dir / "celeba" / f"{celeba.PARTITION}.txt"
    path.write_text(content)
    with pytest.raises(BenchError, match=f"{path}: {message}"):
        declare_celeba(data_dir, tmp_path)


def test_a_list_of_pictures_that_are_not_there_is_refused(data_dir: Path, tmp_path: Path) -> None:
    (data_dir / "celeba" / "img_align_celeba" / "000007.jpg").unlink()
    with pytest.raises(BenchError, match=r"1 of the 60 pictures that .*list_eval"):
        declare_celeba(data_dir, tmp_path)


def test_download_says_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--table", "6", "--profile", "paper", "--download", "--data-dir", str(tmp_path)]
    monkeypatch.setitem(sys.modules, "gdown", None)
    assert main([*command, "--runs-dir", str(tmp_path / "runs")]) == 1
    assert "pip install gdown" in capsys.readouterr().err.splitlines()[-1]

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(datasets, "CelebA", refuse)
    assert main([*command, "--runs-dir", str(tmp_path / "runs")]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be fetched" in line
    assert "no network" in line


def test_an_empty_folder_does_not_hide_the_zip_beside_it(data_dir: Path, tmp_path: Path) -> None:
    _zipped(data_dir / "celeba")
    (data_dir / "celeba" / "img_align_celeba").mkdir()
    (data_dir / "celeba" / "img_align_celeba" / "readme.txt").write_text("nothing here")
    assert declare_celeba(data_dir, tmp_path / "cache").train == 40


def test_the_list_of_people_attributes_does_not_make_other_data(
    original: Path, data_dir: Path, tmp_path: Path
) -> None:
    (data_dir / "celeba" / "list_attr_celeba.txt").unlink()
    first, second = (declare_celeba(each, tmp_path) for each in (original, data_dir))
    assert first.fingerprint == second.fingerprint


def test_a_damaged_list_within_the_zip_is_named(data_dir: Path, tmp_path: Path) -> None:
    _kaggle_lists(data_dir / "celeba")
    _zipped(data_dir / "celeba")
    path = data_dir / "celeba" / "img_align_celeba.zip"
    content = path.read_bytes()
    place = content.index(b"list_eval_partition.csv") + 60
    path.write_bytes(content[:place] + b"?" + content[place + 1 :])
    with pytest.raises(BenchError, match=r"img_align_celeba.zip: list_eval_partition.csv: broken"):
        declare_celeba(data_dir, tmp_path)


def test_an_unprepared_part_is_planned_by_its_own_number_of_pictures(
    original: Path, tmp_path: Path
) -> None:
    found = celeba.declare(dataset("celeba"), original, tmp_path, make=False)
    assert found is not None
    assert (found.train, found.test) == (40, 14)

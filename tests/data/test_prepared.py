import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.data import Dataset, dataset, decoding, prepared, register_dataset
from bench.data import pictures as files
from bench.data.own import declare
from bench.data.pictures import Form, Source
from bench.data.splits import split_by_hash
from bench.errors import BenchError
from tests.support.pictures import (
    checksums,
    declare_celeba,
    declared,
    loaded,
    photograph,
    picture,
    pictures,
)


def _damage(folder: Path, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        path = folder / name
        content = path.read_bytes()
        path.write_bytes([content[: len(content) // 2], b"", b"<html>no</html>"][number % 3])


def test_bad_pictures_are_named_and_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for index in range(300):
        photograph(folder / f"{index:03d}.png", index, (89, 109), "L" if index < 7 else "RGB")
    train, _ = split_by_hash(Source(folder).listing().files, str)
    whole = loaded(declare_celeba(folder, tmp_path / "whole"))
    _damage(folder, [train[100].name])
    found = declare_celeba(folder, tmp_path / "damaged")
    assert found.train == len(train) - 1
    assert f"1 bad pictures left out ({train[100].name})" in found.description
    grey = sum(
        f.name < "007" for f in [*train, *split_by_hash(Source(folder).listing().files, str)[1]]
    )
    assert f"{grey} pictures converted in colour" in found.description
    left = torch.arange(len(train)) != 100
    assert torch.equal(loaded(found).train.images, whole.train.images[left])
    _damage(folder, [file.name for file in train[:3]])
    with pytest.raises(BenchError, match="cannot be used, more than 1%; the first is"):
        declare_celeba(folder, tmp_path / "worse")


def test_an_interrupted_preparation_starts_over_and_leaves_nothing(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = loaded(declare_celeba(original, tmp_path / "whole"))
    monkeypatch.setattr(prepared, "_CHUNK", 10)
    real = decoding.decode
    decoded: list[int] = []

    def interrupted(content: bytes, form: Form) -> decoding.Decoded:
        if len(decoded) == 30:
            raise KeyboardInterrupt
        decoded.append(len(content))
        return real(content, form)

    monkeypatch.setattr(decoding, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        declare_celeba(original, tmp_path / "cache")
    assert not [path for path in tmp_path.glob("cache/images-*/*") if path.is_file()]
    monkeypatch.setattr(decoding, "decode", real)
    assert checksums(loaded(declare_celeba(original, tmp_path / "cache"))) == checksums(whole)


def test_what_is_left_out_changes_the_count_and_nothing_else(tmp_path: Path) -> None:
    for index in range(120):
        photograph(tmp_path / "data" / f"{index:03d}.png", index % 7 or index, (89, 109))
    found = declare_celeba(tmp_path / "data", tmp_path / "cache")
    sizes = {path.name: path.stat().st_size for path in tmp_path.glob("cache/images-*/*.bin")}
    image = 64 * 64 * 3
    assert sizes == {"train.bin": found.train * image, "test.bin": found.test * image}
    assert found.train + found.test < 100


def test_a_damaged_cache_is_made_again_and_a_whole_one_is_kept(
    original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checksum = checksums(loaded(declare_celeba(original, tmp_path)))
    assert "preparing 54 pictures" in capsys.readouterr().err
    declare_celeba(original, tmp_path)
    assert "preparing" not in capsys.readouterr().err
    images = next(tmp_path.glob("images-*/test.bin"))
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(bytes(content))
    assert checksums(loaded(declare_celeba(original, tmp_path))) == checksum
    assert "preparing 54 pictures" in capsys.readouterr().err


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"0" * 10**6)])
def test_prepared_files_that_were_lost_or_changed_meanwhile_are_an_error(
    original: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    found = declare_celeba(original, tmp_path)
    assert found is not None
    change(next(tmp_path.glob("images-*/test.bin")))
    with pytest.raises(BenchError, match=r"test\.bin: not what was prepared; give the same"):
        found.load(tmp_path)


def test_changed_pictures_are_other_data(data_dir: Path, tmp_path: Path) -> None:
    first = declare_celeba(data_dir, tmp_path)
    photograph(data_dir / "celeba" / "img_align_celeba" / "000001.jpg", 99)
    second = declare_celeba(data_dir, tmp_path)
    assert first.fingerprint != second.fingerprint
    assert not torch.equal(loaded(first).train.images[0], loaded(second).train.images[0])


def _images(found: Dataset) -> np.ndarray:
    register_dataset(found, replace=True)
    data = dataset(found.name).load(Path("elsewhere"))
    return torch.cat([data.train.images, data.test.images]).flatten(1).numpy()


def test_copies_are_one_picture(tmp_path: Path) -> None:
    pictures(tmp_path / "data", 80)
    once = declared(tmp_path / "data", tmp_path / "cache")
    for path in list((tmp_path / "data").iterdir()):
        shutil.copy(path, path.with_name(f"{path.stem} - copy.png"))
    twice = declared(tmp_path / "data", tmp_path / "cache")
    assert "copies of other pictures left out" in twice.description
    images = [_images(each) for each in (once, twice)]
    assert len(np.unique(images[1], axis=0)) == len(images[1]) <= 80
    assert twice.train + twice.test == len(images[1])
    # Both copies of some fell into the tenth that is left out, so that no more than that is lost.
    assert len(images[1]) >= len(images[0])


def test_too_few_pictures_say_how_many_are_needed(tmp_path: Path) -> None:
    for index in range(60):
        picture(tmp_path / "data" / f"{index}.png", 0)
    with pytest.raises(BenchError, match=r"too few, \d+ copies of others left out; at least 2"):
        declared(tmp_path / "data", tmp_path / "cache")


@pytest.mark.parametrize("kind", ["celeba", "own"])
def test_a_complete_cache_is_found_where_nothing_can_be_written(
    original: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find() -> Dataset:
        if kind == "celeba":
            return declare_celeba(original, tmp_path / "cache")
        return declared(tmp_path / "data", tmp_path / "cache")

    pictures(tmp_path / "data")
    first = find()

    def refuse(*arguments: object) -> None:
        raise BenchError("read-only")

    for writer in ("lock", "atomic", "write_bytes"):
        monkeypatch.setattr(prepared, writer, refuse)
    assert find() == first


def test_an_index_of_before_pages_were_counted_is_read(tmp_path: Path) -> None:
    pictures(tmp_path / "data")
    first = declared(tmp_path / "data", tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("images-*/index.json")
    old = json.loads(path.read_text())
    del old["unused"]
    path.write_text(json.dumps(old))
    assert declared(tmp_path / "data", tmp_path / "cache") == first
    assert json.loads(path.read_text()) == old


def test_pages_beyond_the_first_are_told(tmp_path: Path) -> None:
    pictures(tmp_path / "data")
    once = declared(tmp_path / "data", tmp_path / "cache")
    pages = [Image.effect_noise((40, 40), 20 + index).convert("RGB") for index in range(4)]
    pages[0].save(tmp_path / "data" / "a.tif", save_all=True, append_images=pages[1:])
    found = declared(tmp_path / "data", tmp_path / "cache")
    assert found.train + found.test == once.train + once.test + 1
    assert found.description.endswith("3 pages or frames beyond a file's first left out")


def test_pictures_that_are_to_be_prepared_are_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures(tmp_path / "data")
    declare(f"images:{tmp_path / 'data'}", tmp_path / "cache", make=False)
    assert capsys.readouterr().err == (
        f"40 pictures of {tmp_path / 'data'} are to be prepared first, which tells whether runs "
        "are done\n"
    )
    assert not (tmp_path / "cache").exists()
    declared(tmp_path / "data", tmp_path / "cache")
    assert capsys.readouterr().err == f"preparing 40 pictures of {tmp_path / 'data'}\n"


def test_a_killed_process_is_an_error_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "data")
    monkeypatch.setattr(prepared, "core_count", lambda: 2)
    monkeypatch.setattr(decoding, "decode", lambda content, form: os.kill(os.getpid(), 9))
    with pytest.raises(BenchError, match="a process was killed while it prepared pictures"):
        declared(tmp_path / "data", tmp_path / "cache")
    assert not list(tmp_path.glob("cache/images-*/*"))


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_the_system_refuses_for_the_moment_makes_no_picture_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    pictures(tmp_path / "data", 300)
    monkeypatch.setattr(prepared, "core_count", lambda: jobs)
    with monkeypatch.context() as short:
        real = Source.read

        def read(source: Source, file: files.File) -> bytes:
            if file.name.startswith("007"):
                raise OSError(24, "Too many open files")
            return real(source, file)

        short.setattr(Source, "read", read)
        with pytest.raises(BenchError, match=r"007.*Too many open files; give the same command"):
            declared(tmp_path / "data", tmp_path / "cache")
    assert "bad" not in declared(tmp_path / "data", tmp_path / "cache").description


def test_an_edited_picture_of_the_same_size_is_prepared_anew(tmp_path: Path) -> None:
    for index in range(40):
        picture(tmp_path / "data" / f"{index:03d}.bmp", index)
    first = declared(tmp_path / "data", tmp_path / "cache")
    picture(tmp_path / "data" / "000.bmp", 99)
    assert declared(tmp_path / "data", tmp_path / "cache").fingerprint != first.fingerprint


def test_a_picture_that_is_listed_elsewhere_by_now_is_prepared_anew(
    data_dir: Path, tmp_path: Path
) -> None:
    """The last of the training pictures becomes the first of the test pictures."""
    declare_celeba(data_dir, tmp_path)
    path = data_dir / "celeba" / "list_eval_partition.txt"
    path.write_text(path.read_text().replace("000040.jpg 0", "000040.jpg 2"))
    found = declare_celeba(data_dir, tmp_path)
    assert (found.train, found.test) == (39, 15)


def test_pictures_that_cannot_be_read_are_no_copies_of_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "data")
    for index in range(3):
        picture(tmp_path / "data" / f"large{index}.png", index, size=200)
    monkeypatch.setattr(files, "MAX_BYTES", 50_000)
    with pytest.raises(BenchError, match="3 of 43 pictures cannot be used"):
        declared(tmp_path / "data", tmp_path / "cache")

"""Pictures on a disk: CelebA in its usual forms, the user's own, and the cache of both."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision import datasets, transforms

from bench.cli import main
from bench.data import Dataset, celeba, dataset, prepared, register_dataset
from bench.data.decoding import render
from bench.data.images import LoadedData
from bench.data.own import declare
from bench.data.pictures import BadPictureError, File, Form, Source
from bench.data.splits import split_by_hash
from bench.data.toyfaces import generate
from bench.errors import BenchError
from bench.experiments.profiles import PROFILES
from bench.experiments.tables import TABLES
from bench.store.folders import Store
from tests.support.results import result, write

COUNT = 60
ATTRIBUTES = 40


def _photograph(
    path: Path, seed: int, size: tuple[int, int] = (178, 218), mode: str = "RGB"
) -> None:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse.resize(size, Image.Resampling.BICUBIC).convert(mode).save(path)


def _part(index: int) -> int:
    return 0 if index < 40 else 1 if index < 46 else 2


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CelebA as torchvision lays it out, of sixty pictures."""
    root = tmp_path_factory.mktemp("original")
    folder = root / "celeba"
    names = [f"{index + 1:06d}.jpg" for index in range(COUNT)]
    for index, name in enumerate(names):
        _photograph(folder / "img_align_celeba" / name, index)
    signs = np.random.default_rng(0).choice([-1, 1], (COUNT, ATTRIBUTES))

    def table(name: str, rows: Sequence[Sequence[object]], *heading: str) -> None:
        lines = [f"{n} {' '.join(map(str, row))}" for n, row in zip(names, rows, strict=True)]
        (folder / name).write_text("\n".join([*heading, *lines]) + "\n")

    table("list_eval_partition.txt", [[_part(i)] for i in range(COUNT)])
    heading = " ".join(f"attribute_{i}" for i in range(ATTRIBUTES))
    table("list_attr_celeba.txt", signs.tolist(), str(COUNT), heading)
    table("identity_CelebA.txt", [[i] for i in range(COUNT)])
    table("list_bbox_celeba.txt", [[1, 2, 3, 4]] * COUNT, str(COUNT), "x_1 y_1 width height")
    marks = " ".join(f"mark_{i}" for i in range(10))
    table("list_landmarks_align_celeba.txt", [[0] * 10] * COUNT, str(COUNT), marks)
    return root


@pytest.fixture
def data_dir(original: Path, tmp_path: Path) -> Path:
    shutil.copytree(original, tmp_path / "data")
    return tmp_path / "data"


def _locate(data_dir: Path, cache: Path) -> Dataset:
    found = celeba.locate(dataset("celeba"), data_dir, cache, make=True)
    assert found is not None
    return found


def _load(found: Dataset) -> LoadedData:
    register_dataset(found, replace=True)
    return dataset(found.name).load(Path("elsewhere"))


def test_celeba_is_what_torchvision_reads(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda self: True)
    monkeypatch.setattr(prepared, "core_count", lambda: 2)
    prepare = transforms.Compose(
        [transforms.CenterCrop(148), transforms.Resize(64), transforms.PILToTensor()]
    )
    found = _locate(original, tmp_path)
    loaded = _load(found)
    assert (found.train, found.test, found.classes) == (40, 14, (2,) * ATTRIBUTES)
    assert "CelebA's own split" in found.description
    for split, ours in (("train", loaded.train), ("test", loaded.test)):
        theirs = datasets.CelebA(str(original), split=split, transform=prepare)
        images, attributes = zip(*theirs, strict=True)
        difference = torch.stack(images).int() - ours.images.int()
        assert difference.abs().max() <= 1
        assert torch.equal(torch.stack(attributes), ours.labels)


@pytest.mark.parametrize("size", [(178, 218), (89, 109), (356, 436)])
def test_crop_is_in_proportion(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "a.png"
    _photograph(path, 3, size)
    side = round(148 * size[0] / 178)
    reference = transforms.Compose(
        [transforms.CenterCrop(side), transforms.Resize(64), transforms.PILToTensor()]
    )(Image.open(path))
    ((image, converted),) = _rendered(path.read_bytes(), form=celeba.FORM)
    assert not converted
    assert np.abs(image.transpose(2, 0, 1).astype(int) - reference.numpy().astype(int)).max() <= 1


def _rendered(*contents: bytes, form: Form) -> list[tuple[np.ndarray, bool]]:
    results = list(render(contents, form))
    assert not any(isinstance(result, BadPictureError) for result in results)
    return results  # type: ignore[return-value]


def _zip(data_dir: Path) -> None:
    pictures = data_dir / "celeba" / "img_align_celeba"
    with zipfile.ZipFile(data_dir / "celeba" / "img_align_celeba.zip", "w") as archive:
        for path in pictures.iterdir():
            archive.write(path, f"img_align_celeba/{path.name}")
    shutil.rmtree(pictures)


def _flat(data_dir: Path) -> None:
    for path in (data_dir / "celeba").iterdir():
        path.rename(data_dir / path.name)
    (data_dir / "celeba").rmdir()


@pytest.mark.parametrize("rearrange", [_zip, _flat])
def test_another_form_is_the_same_data(
    original: Path, data_dir: Path, tmp_path: Path, rearrange: Callable[[Path], None]
) -> None:
    rearrange(data_dir)
    first, second = _locate(original, tmp_path / "a"), _locate(data_dir, tmp_path / "b")
    assert first.fingerprint == second.fingerprint
    assert _load(first).checksum == _load(second).checksum


def test_a_plain_folder_is_split_by_hash_of_the_names(tmp_path: Path) -> None:
    for index in range(300):
        _photograph(tmp_path / "data" / f"{index}.png", index, (89, 109))
    found = _locate(tmp_path / "data", tmp_path / "cache")
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


def _damage(folder: Path, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        path = folder / name
        content = path.read_bytes()
        path.write_bytes([content[: len(content) // 2], b"", b"<html>no</html>"][number % 3])


def test_bad_pictures_are_named_and_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for index in range(300):
        _photograph(folder / f"{index:03d}.png", index, (89, 109), "L" if index < 7 else "RGB")
    train, _ = _split(Source(folder).listing().files)
    whole = _load(_locate(folder, tmp_path / "whole"))
    _damage(folder, [train[100].name])
    found = _locate(folder, tmp_path / "damaged")
    assert found.train == len(train) - 1
    assert f"1 bad pictures left out ({train[100].name})" in found.description
    grey = sum(f.name < "007" for f in [*train, *_split(Source(folder).listing().files)[1]])
    assert f"{grey} pictures converted in colour" in found.description
    left = torch.arange(len(train)) != 100
    assert torch.equal(_load(found).train.images, whole.train.images[left])
    _damage(folder, [file.name for file in train[:3]])
    with pytest.raises(BenchError, match="cannot be used, more than 1%; the first is"):
        _locate(folder, tmp_path / "worse")


def test_a_zip_with_a_broken_member_lacks_that_member(tmp_path: Path) -> None:
    for index in range(150):
        _photograph(tmp_path / "pictures" / f"{index:03d}.png", index, (89, 109))
    train, test = _split(Source(tmp_path / "pictures").listing().files)
    path = tmp_path / "img_align_celeba.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in (*train, *test):
            archive.write(tmp_path / "pictures" / file.name, file.name)
        start = archive.getinfo(train[5].name).header_offset
    content = bytearray(path.read_bytes())
    content[start + 500] ^= 1
    path.write_bytes(bytes(content))
    found = _locate(tmp_path, tmp_path / "cache")
    assert (found.train, found.test) == (len(train) - 1, len(test))
    assert f"1 bad pictures left out ({train[5].name})" in found.description
    path.write_bytes(bytes(content[: len(content) // 2]))
    with pytest.raises(BenchError, match="cannot be read"):
        _locate(tmp_path, tmp_path / "cache")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a picture"),
        (b"<html>no</html>", "not a picture"),
        (b"\xff\xd8\xff\xe0 not a jpeg", "broken"),
    ],
)
def test_what_is_no_picture_says_so(content: bytes, message: str) -> None:
    (result,) = render([content], Form(32, 3, "square"))
    assert isinstance(result, BadPictureError)
    assert message in str(result)


def test_pictures_of_more_than_eight_bits_or_another_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.full((40, 40), 40_000, np.uint16)).save(path)
    (result,) = render([path.read_bytes()], Form(32, 1, "square"))
    assert "not of eight bits" in str(result)
    _photograph(path, 0, (64, 64))
    (result,) = render([path.read_bytes()], celeba.FORM)
    assert "64x64 is not of CelebA's shape" in str(result)


def test_pictures_of_all_sizes_come_back_in_order(tmp_path: Path) -> None:
    """Squares of one size are resized together; none is mixed up, whoever is broken between."""
    contents: list[bytes | BadPictureError] = []
    expected = []
    reference = transforms.Compose([transforms.Resize(32), transforms.PILToTensor()])
    for index in range(24):
        path = tmp_path / f"{index}.{'jpg' if index % 3 else 'png'}"
        side = (40, 40, 40, 57, 90)[index % 5]
        mode = ("CMYK" if index % 3 else "P") if index % 2 else "RGB"
        _photograph(path, index, (side, side), mode)
        contents.append(path.read_bytes())
        expected.append(reference(Image.open(path).convert("RGB")).permute(1, 2, 0).numpy())
    truncated = contents[7]
    assert isinstance(truncated, bytes)
    contents[7], contents[11] = truncated[: len(truncated) // 2], BadPictureError("unreadable")
    results = list(render(contents, Form(32, 3, "square")))
    for index, (found, image) in enumerate(zip(results, expected, strict=True)):
        if index in (7, 11):
            assert isinstance(found, BadPictureError)
            continue
        assert isinstance(found, tuple)
        # PIL and PyTorch round their filters' weights differently.
        assert np.abs(found[0].astype(int) - image.astype(int)).max() <= 2
        assert found[1] == (index % 2 == 1)


def test_pictures_are_turned_upright(tmp_path: Path) -> None:
    """A camera's note of its orientation is heeded, in JPEG and in other files."""
    picture = Image.fromarray(np.arange(40 * 40 * 3, dtype=np.uint8).reshape(40, 40, 3) // 2)
    exif = Image.Exif()
    exif[0x0112] = 6
    for ending in ("jpg", "png"):
        path = tmp_path / f"turned.{ending}"
        picture.save(path, exif=exif)
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB").resize((32, 32), 2)
        ((result, _),) = _rendered(path.read_bytes(), form=Form(32, 3, "square"))
        assert np.abs(result.astype(int) - np.asarray(upright).astype(int)).max() <= 2


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    _photograph(tmp_path / "secret" / "a.png", 0)
    _photograph(tmp_path / "data" / "b.png", 0)
    (tmp_path / "data" / "a.png").symlink_to(tmp_path / "secret" / "a.png")
    (tmp_path / "data" / "below").symlink_to(tmp_path / "secret")
    (tmp_path / "data" / "._b.png").write_bytes(b"not a picture")
    assert [file.name for file in Source(tmp_path / "data").listing().files] == ["b.png"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("list_eval_partition.txt", "000001.jpg 0\n000002.jpg\n", "line 2"),
        ("list_eval_partition.txt", "000001.jpg zero\n", "cannot be read"),
        ("list_attr_celeba.txt", "1\na b\n000001.jpg 1 -1\n", "has no line for 000002.jpg"),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    data_dir: Path, tmp_path: Path, name: str, content: str, message: str
) -> None:
    (data_dir / "celeba" / name).write_text(content)
    with pytest.raises(BenchError, match=message):
        _locate(data_dir, tmp_path)


def test_a_list_of_pictures_that_are_not_there_is_refused(data_dir: Path, tmp_path: Path) -> None:
    (data_dir / "celeba" / "img_align_celeba" / "000007.jpg").unlink()
    with pytest.raises(BenchError, match="1 of the 60 pictures that list_eval"):
        _locate(data_dir, tmp_path)


def test_an_interrupted_preparation_starts_over_and_leaves_nothing(
    original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _load(_locate(original, tmp_path / "whole"))
    monkeypatch.setattr(prepared, "_CHUNK", 10)
    real = prepared._render_chunk
    rendered: list[int] = []

    def interrupted(*arguments: Any) -> Any:
        if len(rendered) == 3:
            raise KeyboardInterrupt
        rendered.append(len(arguments[1]))
        return real(*arguments)

    monkeypatch.setattr(prepared, "_render_chunk", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _locate(original, tmp_path / "cache")
    assert not [path for path in tmp_path.glob("cache/images-*/*") if path.is_file()]
    monkeypatch.setattr(prepared, "_render_chunk", real)
    assert _load(_locate(original, tmp_path / "cache")).checksum == whole.checksum


def test_what_is_left_out_changes_the_count_and_nothing_else(tmp_path: Path) -> None:
    """The file's head is written before anybody knows how many pictures are good."""
    for index in range(120):
        _photograph(tmp_path / "data" / f"{index:03d}.png", index % 7 or index, (89, 109))
    found = _locate(tmp_path / "data", tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("images-*/images.npy")
    images = np.load(file)
    assert found.train + found.test == len(images) < 100
    assert file.stat().st_size == 128 + images.nbytes


def test_a_damaged_cache_is_made_again_and_a_whole_one_is_kept(
    original: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checksum = _load(_locate(original, tmp_path)).checksum
    assert "preparing 54 pictures" in capsys.readouterr().err
    _locate(original, tmp_path)
    assert "preparing" not in capsys.readouterr().err
    images = next(tmp_path.glob("images-*/images.npy"))
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    images.write_bytes(bytes(content))
    assert _load(_locate(original, tmp_path)).checksum == checksum
    assert "preparing 54 pictures" in capsys.readouterr().err


def test_changed_pictures_are_other_data(data_dir: Path, tmp_path: Path) -> None:
    first = _locate(data_dir, tmp_path)
    _photograph(data_dir / "celeba" / "img_align_celeba" / "000001.jpg", 99)
    second = _locate(data_dir, tmp_path)
    assert first.fingerprint != second.fingerprint
    assert not torch.equal(_load(first).train.images[0], _load(second).train.images[0])


def _folders(tmp_path: Path) -> list[str]:
    names = ("runs", "tables", "figures")
    return [argument for n in names for argument in (f"--{n}-dir", str(tmp_path / n))]


SMALL = ["--device", "cpu", "--jobs", "1", "--set", "batch_size=16", "--set", "fid_samples=20"]


def test_celeba_is_trained_on_and_collected_without_its_pictures(
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    declared = dataset("celeba")
    command = ["--table", "6", "--profile", "smoke", "--dataset", "celeba", *SMALL]
    command += ["--only", "*-ae-d32-*", *_folders(tmp_path)]
    here = ["--data-dir", str(data_dir)]
    assert main([*command, *here, "--plan"]) == 0
    assert "1 to train" in capsys.readouterr().out
    assert not list((tmp_path / "runs").glob("*/*"))
    # Four cells of five were not asked for, and one is filled.
    assert main([*command, *here]) == 0
    assert "40 training images" in capsys.readouterr().out
    assert main([*command, *here, "--plan"]) == 0
    assert "1 done" in capsys.readouterr().out
    shutil.rmtree(data_dir)
    register_dataset(declared, replace=True)
    assert main([*command, "--collect"]) == 0
    output = capsys.readouterr().out
    assert "CelebA's own split" in output
    assert "| FID, AE" in output
    assert "paper, not comparable" in output
    assert (tmp_path / "tables" / "table6.csv").is_file()


@pytest.mark.parametrize("arguments", [["--profile", "paper"], ["--dataset", "celeba"]])
def test_without_celeba_there_is_a_clear_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--table", "6", *arguments, "--plan", *_folders(tmp_path)]
    assert main([*command, "--data-dir", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "no celeba in" in line
    assert "--dataset toyfaces" in line


def test_toy_faces_take_the_place_of_celeba_under_their_own_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--table", "6", "--figure", "1", "--data-dir", str(tmp_path), *_folders(tmp_path)]
    assert main([*command, "--profile", "quick", "--plan"]) == 0
    output = capsys.readouterr().out
    assert "toyfaces in its place" in output
    assert "toyfaces-irmae-d512-l4-s0" in output
    assert main([*command, "--profile", "smoke", "--collect", "--dataset", "toyfaces"]) == 1
    written = {path.name for path in tmp_path.glob("*/*")}
    assert {"table6-toyfaces.tex", "figure1-toyfaces.pdf", "figure1-toyfaces.png"} <= written
    assert not {"table6.tex", "figure1.pdf"} & written
    text = (tmp_path / "tables" / "table6-toyfaces.md").read_text()
    assert "toy faces, not photographs" in text
    assert "paper" not in text.split("\n- ")[0]


def test_a_part_of_celeba_takes_its_place_overnight_in_the_same_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data" / "celeba-10k"
    for index in range(60):
        _photograph(folder / f"{index + 1:06d}.jpg", index, (89, 109))
    command = ["--table", "6", "--profile", "overnight", *_folders(tmp_path), "--data-dir"]
    assert main([*command, str(folder.parent), "--plan"]) == 0
    output = capsys.readouterr().out
    assert f"no celeba in {folder.parent}: celeba-10k in its place" in output
    assert "celeba-10k-irmae-d512-l4-s0" in output
    found = celeba.locate(dataset("celeba-10k"), folder.parent, tmp_path / "cache", make=True)
    assert found is not None
    assert (found.train + found.test, found.part_of) == (60, "celeba")
    assert found.train > found.test > 2
    for cell in TABLES["table6"].cells[:1]:
        register_dataset(found, replace=True)
        spec, measurement = PROFILES["overnight"].apply(replace(cell.training, dataset=found.name))
        write(Store(tmp_path / "runs"), result(spec, replace(measurement, features="imagenet")))
    # Finished runs tell of their data where the pictures are not.
    assert main([*command, str(tmp_path), "--collect"]) == 1
    text = (tmp_path / "tables" / "table6.md").read_text()
    assert "at half size (89x109)" in text
    assert "paper, not comparable" in text
    assert "1/8 of the printed numbers of channels" in text
    (tmp_path / "empty").mkdir()
    assert main([*command, str(tmp_path / "empty"), "--runs-dir", str(tmp_path / "none")]) == 1
    assert "no celeba-10k in" in capsys.readouterr().err.splitlines()[-1]


def test_what_ran_on_toy_faces_is_collected_without_naming_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = PROFILES["quick"]
    for cell in TABLES["table6"].cells:
        spec, measurement = profile.apply(replace(cell.training, dataset="toyfaces"))
        made = result(spec, replace(measurement, features="imagenet"))
        write(Store(tmp_path / "runs"), made)
    assert main(["--collect", "--table", "6", "--figure", "1", *_folders(tmp_path)]) == 0
    assert "Profile quick" in capsys.readouterr().out
    assert (tmp_path / "tables" / "table6-toyfaces.md").is_file()
    assert (tmp_path / "figures" / "figure1-toyfaces.png").is_file()


def test_tables_whose_data_are_here_are_made_without_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--profile", "paper", "--plan"]
    assert main([*command, "--data-dir", str(tmp_path), *_folders(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "mnist-irmae-d128-l12-s0" in output
    assert "left out, no celeba in" in output


def test_download_says_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--table", "6", "--profile", "paper", "--download", "--data-dir", str(tmp_path)]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([*command, *_folders(tmp_path)]) == 1
    assert "pip install gdown" in capsys.readouterr().err.splitlines()[-1]

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    assert main([*command, *_folders(tmp_path)]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be fetched" in line
    assert "no network" in line


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
    for index in range(30):
        _photograph(tmp_path / "My Cats" / f"{index % 3}" / f"{index}.png", index, size, mode)
    found = declare(f"images:{tmp_path / 'My Cats'}", tmp_path / "cache", make=True)
    assert (found.name, found.network) == ("my-cats", network)
    loaded = _load(found)
    assert tuple(loaded.train.images.shape[1:]) == shape
    reference = transforms.Compose(
        [transforms.CenterCrop(min(size)), transforms.Resize(shape[-1]), transforms.PILToTensor()]
    )
    files = _split(Source(tmp_path / "My Cats").listing().files)[1]
    for image, file in zip(loaded.test.images, files, strict=True):
        picture = Image.open(tmp_path / "My Cats" / file.name)
        expected = reference(picture.convert("L" if shape[0] == 1 else "RGB"))
        assert (image.int() - expected.int()).abs().max() <= 2


def test_own_pictures_fill_tables_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = generate(80, seed=0).images.permute(0, 2, 3, 1).numpy()
    for index, image in enumerate(images):
        path = tmp_path / "cats" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).resize((36, 36)).save(path)
    command = ["--table", "4", "--dataset", f"images:{tmp_path / 'cats'}", "--profile", "smoke"]
    command += [*SMALL, *_folders(tmp_path), "--only", "*-l[24]-*"]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert "FID extractor: imagenet: EfficientNet-Lite0 of ImageNet" in output
    assert "80/20 by hash" in output
    assert "paper" not in output.split("\n- ")[0]
    assert (tmp_path / "tables" / "table4-cats.tex").is_file()
    assert main([*command, "--collect", "--paper-column"]) == 0
    output = capsys.readouterr().out
    assert "| paper, not comparable |" in output
    assert "difference" not in output
    assert main([*command, "--features", "classifier"]) == 2
    assert "none is shipped for cats" in capsys.readouterr().err.splitlines()[-1]

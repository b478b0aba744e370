import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from bench.campaign.job import WorkerSettings
from bench.campaign.locate import locate, of_records
from bench.campaign.request import Request
from bench.cli import main
from bench.data import celeba, dataset, register_dataset
from bench.data.shapes import generate
from bench.errors import UsageError
from bench.experiments.profiles import PROFILES
from bench.experiments.tables import TABLES
from bench.store.folders import Store
from tests.support.pictures import photograph, picture, pictures, place_idx, write_celeba
from tests.support.results import result, write
from tests.support.tiny import TINY


def _folders(tmp_path: Path) -> list[str]:
    names = ("runs", "tables", "figures")
    return [argument for n in names for argument in (f"--{n}-dir", str(tmp_path / n))]


SMALL = ["--device", "cpu", "--jobs", "1", "--set", "batch_size=16", "--set", "fid_samples=20"]


def test_celeba_is_trained_on_and_collected_without_its_pictures(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data_dir = write_celeba(tmp_path / "data")
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
    assert "--dataset shape-64" in line


def test_toy_faces_take_the_place_of_celeba_under_their_own_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--table", "6", "--figure", "1", "--data-dir", str(tmp_path), *_folders(tmp_path)]
    assert main([*command, "--profile", "quick", "--plan"]) == 0
    output = capsys.readouterr().out
    assert "shape-64 is used instead" in output
    assert "shape-64-irmae-d512-l4-s0" in output
    run = replace(TABLES["table6"].cells[0].training, dataset="shape-64")
    training, measurement = PROFILES["smoke"].apply(run)
    write(Store(tmp_path / "runs"), result(training, replace(measurement, extractor="imagenet")))
    assert main([*command, "--profile", "smoke", "--collect", "--dataset", "shape-64"]) == 4
    written = {path.name for path in tmp_path.glob("*/*")}
    assert {"table6-shape-64.tex", "figure1-shape-64.pdf", "figure1-shape-64.png"} <= written
    assert not {"table6.tex", "figure1.pdf"} & written
    text = (tmp_path / "tables" / "table6-shape-64.md").read_text()
    assert "circles and squares, not photographs" in text
    assert "paper" not in text.split("\n- ")[0]


def test_a_part_of_celeba_takes_its_place_overnight_in_the_same_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data" / "celeba-10k"
    for index in range(60):
        photograph(folder / f"{index + 1:06d}.jpg", index, (89, 109))
    command = ["--table", "6", "--profile", "overnight", *_folders(tmp_path), "--data-dir"]
    assert main([*command, str(folder.parent), "--plan"]) == 0
    output = capsys.readouterr().out
    assert f"no celeba in {folder.parent}: celeba-10k is used instead" in output
    assert "celeba-10k-irmae-d512-l4-s0" in output
    found = celeba.declare(dataset("celeba-10k"), folder.parent, tmp_path / "cache", make=True)
    assert found is not None
    assert (found.train + found.test, found.part_of) == (60, "celeba")
    assert found.train > found.test > 2
    for cell in TABLES["table6"].cells[:1]:
        register_dataset(found, replace=True)
        spec, measurement = PROFILES["overnight"].apply(replace(cell.training, dataset=found.name))
        write(Store(tmp_path / "runs"), result(spec, replace(measurement, extractor="imagenet")))
    # Finished runs tell of their data where the pictures are not.
    assert main([*command, str(tmp_path), "--collect"]) == 4
    text = (tmp_path / "tables" / "table6.md").read_text()
    assert "at half size (89x109)" in text
    assert "paper, not comparable" in text
    assert "1/8 of the printed numbers of channels" in text
    (tmp_path / "empty").mkdir()
    assert main([*command, str(tmp_path / "empty"), "--runs-dir", str(tmp_path / "none")]) == 1
    assert "no celeba-10k in" in capsys.readouterr().err.splitlines()[-1]


def test_what_ran_on_shapes_is_collected_without_naming_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = PROFILES["quick"]
    for cell in TABLES["table6"].cells:
        spec, measurement = profile.apply(replace(cell.training, dataset="shape-64"))
        made = result(spec, replace(measurement, extractor="imagenet"))
        write(Store(tmp_path / "runs"), made)
    assert main(["--collect", "--table", "6", "--figure", "1", *_folders(tmp_path)]) == 0
    assert "Profile quick" in capsys.readouterr().out
    assert (tmp_path / "tables" / "table6-shape-64.md").is_file()
    assert (tmp_path / "figures" / "figure1-shape-64.png").is_file()


def test_tables_whose_data_are_here_are_made_without_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--profile", "paper", "--plan"]
    assert main([*command, "--data-dir", str(tmp_path), *_folders(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "mnist-irmae-d128-l12-s0" in output
    assert "left out: table5, table6: no celeba in" in output


def test_own_pictures_fill_tables_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = generate(80, seed=0).images.permute(0, 2, 3, 1).numpy()
    for index, image in enumerate(images):
        path = tmp_path / "cats" / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).resize((36, 36)).save(path)
    command = ["--table", "4", "--dataset", f"images:{tmp_path / 'cats'}", "--profile", "smoke"]
    command += [*SMALL, *_folders(tmp_path), "--only", "*-l2-*", "--set", "fid_samples=4"]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert "FID extractor: imagenet: EfficientNet-Lite0 of ImageNet" in output
    assert "80/20 by hash" in output
    assert "paper" not in output.split("\n- ")[0]
    written = tmp_path / "tables" / "table4-cats.tex"
    before = written.read_text()
    # Where pictures are not prepared, nobody knows which runs are of them.
    shutil.copytree(tmp_path / "cats", tmp_path / "others" / "cats")
    elsewhere = [f"images:{tmp_path / 'others' / 'cats'}" if "cats" in a else a for a in command]
    assert main([*elsewhere, "--collect"]) == 1
    assert "name the data of runs, such as --dataset cats" in capsys.readouterr().err
    named = ["cats" if "cats" in each else each for each in command]
    assert main([*named, "--collect"]) == 0
    capsys.readouterr()
    assert written.read_text() == before
    assert main([*command, "--extractor", "classifier"]) == 2
    assert "none is shipped for cats" in capsys.readouterr().err.splitlines()[-1]


def test_a_name_that_other_data_have_is_refused_with_the_way_out(tmp_path: Path) -> None:
    for index, place in enumerate(("a/写真", "b/图片"), 500):
        pictures(tmp_path / place)
        picture(tmp_path / place / "more.png", index)
    request, cache = Request((), worker=WorkerSettings(data_dir=tmp_path)), tmp_path / "cache"
    first = locate(f"images:{tmp_path}/a/写真", request, cache, [])
    assert first.name == "images"
    known = [result(replace(TINY, dataset=first.name)).trained]
    assert locate(f"images:{tmp_path}/a/写真", request, cache, known) == first
    with pytest.raises(UsageError, match=r"other data named images \(a/写真 .*--name"):
        locate(f"images:{tmp_path}/b/图片", request, cache, known)
    request = replace(request, name="others")
    assert locate(f"images:{tmp_path}/b/图片", request, cache, known).name == "others"


@pytest.mark.parametrize(("kind", "below"), [("idx", ""), ("idx", "raw"), ("images", "")])
def test_a_folder_without_its_kind_gets_a_hint(tmp_path: Path, kind: str, below: str) -> None:
    if kind == "idx":
        place_idx(tmp_path / below, compressed=True)
    with pytest.raises(UsageError, match=f"--dataset {kind}:{tmp_path}"):
        locate(str(tmp_path), Request((), mode="collect"), tmp_path, [])


def test_names_that_are_not_utf8_are_trained_on_and_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], corner: list[str]
) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    for index in range(60):
        picture(tmp_path / "a.png", index, mode="L")
        (tmp_path / "a.png").rename(folder / os.fsdecode(b"p\xe9%d.png" % index))
    command = ["--table", "4", "--profile", "smoke", "--dataset", f"images:{folder}"]
    command += ["--only", "*-l2-*", "--set", "epochs=1", "--set", "batch_size=8", "--jobs", "1"]
    command += ["--set", "fid_samples=20", "--device", "cpu", *corner]
    for name in ("runs", "tables"):
        command += [f"--{name}-dir", str(tmp_path / name)]
    assert main(command) == 0, capfd.readouterr().err
    assert r"caf\xe9 (pictures)" in capfd.readouterr().out
    assert r"caf\xe9" in (tmp_path / "tables" / "table4-caf.md").read_text(encoding="utf-8")


def test_store_is_not_part_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, corner: list[str]
) -> None:
    """With images:. a second look finds what the first one prepared."""
    monkeypatch.chdir(tmp_path)
    for index in range(60):
        picture(tmp_path / f"{index}.png", index, mode="L")
    command = ["--table", "4", "--dataset", "images:.", "--profile", "smoke", "--jobs", "1"]
    command += ["--only", "*-l2-*", "--set", "epochs=1", "--set", "batch_size=8", "--figure"]
    command += ["spectra-depth", "--set", "fid_samples=20", "--device", "cpu", *corner]
    assert main(command) == 0
    before = set(Store(tmp_path / "runs").read())
    picture(tmp_path / "figures" / "of mine.png", 99)
    assert main(command) == 0
    assert set(Store(tmp_path / "runs").read()) == before


def test_of_data_of_one_name_those_of_most_runs_are_meant() -> None:
    of_one = result(TINY).trained
    other = replace(of_one.data, content={"is": "other"})
    others = [replace(of_one, data=other)] * 2
    assert of_records(TINY.dataset, [of_one, *others]) == other
    assert of_records(TINY.dataset, [of_one, of_one, *others[1:]]) == of_one.data
    assert of_records("none", others) is None

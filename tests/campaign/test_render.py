"""What a command shows of finished runs, and says of those that are not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import main
from bench.experiments.profiles import PROFILES
from bench.experiments.spec import MeasurementSpec, TrainingSpec
from bench.experiments.tables import TABLES
from bench.files import write_bytes
from bench.store.folders import Store
from bench.store.records import FailedRun
from tests.support.results import result, write


def _spec(column: str, seed: int = 0) -> tuple[TrainingSpec, MeasurementSpec]:
    (cell,) = [cell for cell in TABLES["table4"].cells if cell.label == column]
    training, measurement = PROFILES["paper"].apply(cell.training)
    return replace(training, seed=seed), replace(measurement, extractor="classifier")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Of Table 4, l = 2 with two seeds, l = 4 with one; the others have none."""
    store = Store(tmp_path / "runs")
    write(store, *(result(*_spec(*place)) for place in (("2", 0), ("2", 1), ("4", 0))))
    return store


@pytest.fixture
def collect(store: Store, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def run(*arguments: str) -> tuple[int, str]:
        parent = store.root.parent
        folders = [a for n in ("runs", "tables", "figures") for a in (f"--{n}-dir", parent / n)]
        status = main(["--collect", "--profile", "paper", *arguments, *map(str, folders)])
        return status, capsys.readouterr().out

    return run


def test_a_column_without_a_run_makes_a_table_incomplete(
    collect: Callable[..., tuple[int, str]],
) -> None:
    status, text = collect("--table", "4")
    assert status == 4
    assert [line for line in text.splitlines() if line.startswith("- --")] == [
        "- -- Depth l 8: mnist-irmae-d128-l8-s0 not run",
        "- -- Depth l 12: mnist-irmae-d128-l12-s0 not run",
    ]


def test_seeds_that_were_asked_for_are_missed_in_every_column(
    collect: Callable[..., tuple[int, str]],
) -> None:
    _, text = collect("--table", "4", "--seeds", "2")
    assert "- -- Depth l 4: mnist-irmae-d128-l4-s1 not run" in text
    assert "Depth l 2:" not in text


def test_why_a_run_is_not_shown(store: Store, collect: Callable[..., tuple[int, str]]) -> None:
    eight, twelve = (result(*_spec(column)) for column in ("8", "12"))
    store.write_trained(eight.trained)
    store.write_failure(FailedRun(twelve.run_id, twelve.spec, "loss became nan", ""))
    status, text = collect("--table", "4")
    assert status == 4
    assert "l8-s0 trained, but not measured, and its weights are not here" in text
    assert "l12-s0 failed (loss became nan)" in text
    write_bytes(store.weights(eight.run_id), b"")
    write_bytes(store.checkpoint(twelve.run_id), b"")
    (store.folder(twelve.run_id) / "failure.json").unlink()
    _, text = collect("--table", "4")
    assert "l8-s0 trained, but not measured" in text
    assert "weights are not here" not in text
    assert "l12-s0 not trained to its end" in text


def test_what_an_extractor_that_was_asked_for_has_not_seen_is_missed(
    store: Store, collect: Callable[..., tuple[int, str]]
) -> None:
    only = ("--table", "4", "--only", "*-l2-*")
    assert collect(*only, "--extractor", "classifier")[0] == 0
    status, text = collect(*only, "--extractor", "imagenet", "--extractor", "classifier")
    assert status == 4
    assert "- -- Depth l 2: not measured through imagenet" in text
    # One that failed is named, though another has measured the run.
    spec, measurement = _spec("2")
    run = result(spec, measurement)
    failed = FailedRun(run.run_id, spec, "boom", "", replace(measurement, extractor="imagenet"))
    store.write_failure(failed)
    status, text = collect(*only, "--extractor", "imagenet", "--extractor", "classifier")
    assert (status, "l2-s0 failed (boom)" in text) == (4, True)
    # What another extractor measures later does not clear it.
    store.write_measured(run.measurements[0])
    assert store.read_folder(run.run_id).failure == failed


def test_a_table_without_a_number_leaves_the_one_that_is_there(
    store: Store, collect: Callable[..., tuple[int, str]]
) -> None:
    collect("--table", "4")
    table = store.root.parent / "tables" / "table4.md"
    before = table.read_text()
    store.root.rename(store.root.parent / "moved")
    status, _ = collect("--table", "4")
    assert status == 1
    store.root.mkdir()
    status, text = collect("--table", "4")
    assert (status, table.read_text()) == (4, before)
    assert "mnist-irmae-d128-l2-s0 not run" in text


def test_a_whole_table_is_written_with_status_0(
    store: Store, collect: Callable[..., tuple[int, str]]
) -> None:
    write(store, *(result(*_spec(column)) for column in ("8", "12")))
    status, text = collect("--table", "4", "--claims")
    assert status == 0
    tables = store.root.parent / "tables"
    assert sorted(path.name for path in tables.iterdir()) == [
        f"table4.{ending}" for ending in ("csv", "md", "tex")
    ]
    assert (tables / "table4.md").read_text() in text
    assert "The latent rank falls with depth" in text.split((tables / "table4.md").read_text())[1]


def test_a_damaged_record_is_missed_whichever_seed_it_is_of(
    store: Store, collect: Callable[..., tuple[int, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    only = ("--table", "4", "--only", "*-l2-*")
    write(store, result(*_spec("4", 1)))
    assert collect(*only)[0] == 0
    path = store.folder(result(*_spec("2", 1)).run_id) / "training.json"
    path.write_text(path.read_text()[:100])
    status, text = collect(*only)
    assert status == 4
    assert f"- -- Depth l 2: mnist-irmae-d128-l2-s1: {path}: truncated or not a record" in text
    table = store.root.parent / "all.csv"
    assert main(["--export", str(table), "--runs-dir", str(store.root)]) == 0
    assert f"left out, {path}: truncated" in capsys.readouterr().err


def test_what_cannot_be_measured_without_weights_is_said_with_the_way_out(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--plan", "--table", "4", "--profile", "paper", "--only", "*-l2-*"]
    assert main([*command, "--runs-dir", str(store.root), "--data-dir", str(store.root)]) == 0
    said = "not measured by imagenet, since their weights are not here: 1 finished run; --extractor"
    assert said in capsys.readouterr().out


def test_what_a_figure_misses_is_said(
    collect: Callable[..., tuple[int, str]], store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = store.root.parent
    folders = [a for n in ("runs", "figures") for a in (f"--{n}-dir", str(parent / n))]
    command = ["--collect", "--profile", "paper", "--figure", "ranks-depth", *folders]
    assert main(command) == 4
    assert "ranks-depth: Depth l 8: mnist-irmae-d128-l8-s0 not run\n" in capsys.readouterr().err


def test_a_sampler_that_is_named_twice_has_one_row(
    collect: Callable[..., tuple[int, str]],
) -> None:
    _, text = collect("--table", "4", "--sampler", "mvg", "--sampler", "mvg")
    assert sum("| mvg " in line for line in text.splitlines()) == 1


def test_what_is_known_of_shapes_is_not_said_of_digits(
    collect: Callable[..., tuple[int, str]],
) -> None:
    _, text = collect("--table", "shape", "--dataset", "mnist")
    assert "Latent rank" in text
    for words in ("known answer", "circle"):
        assert words not in text


def test_only_what_was_asked_for_is_missed(collect: Callable[..., tuple[int, str]]) -> None:
    status, text = collect("--table", "4", "--only", "*-l2-*", "--only", "*-l4-*")
    assert status == 0
    assert "not run" not in text


def test_a_figure_that_would_be_blank_leaves_the_one_that_is_there(
    store: Store, collect: Callable[..., tuple[int, str]]
) -> None:
    kept = store.root.parent / "figures" / "samples-depth.png"
    write_bytes(kept, b"drawn where the images were")
    assert collect("--figure", "samples-depth") == (4, "")
    assert kept.read_bytes() == b"drawn where the images were"
    assert list(kept.parent.iterdir()) == [kept]
    # Nobody misses one of all figures.
    status, _ = collect("--table", "4", "--only", "*-l2-*", "--only", "*-l4-*", "--figure", "all")
    assert status == 0
    assert kept.read_bytes() == b"drawn where the images were"

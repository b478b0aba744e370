"""The profile that each table and figure is shown in, and the runs that are asked for."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.campaign.choose import choose, requested_jobs
from bench.campaign.job import WorkerSettings
from bench.campaign.request import Request
from bench.data import DATASETS, Dataset, register_dataset
from bench.errors import UsageError
from bench.experiments.profiles import PROFILES
from bench.experiments.tables import TABLES
from bench.report.display import Display
from bench.store.folders import Store
from tests.support.results import result, write
from tests.support.tiny import tiny

Fill = Callable[..., None]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def fill(store: Store) -> Fill:
    """Makes runs of a table's columns in a profile."""

    def made(table: str, profile: str, columns: Collection[str], seed: int = 0) -> None:
        for cell in TABLES[table].cells:
            if cell.label in columns:
                spec = replace(cell.training, seed=seed)
                training, measurement = PROFILES[profile].apply(spec)
                write(store, result(training, replace(measurement, extractor="classifier")))

    return made


def _profiles(store: Store, device: str = "cpu", **options: object) -> dict[str, str]:
    worker = WorkerSettings(runs_dir=store.root, data_dir=store.root)
    request = Request(**{"tables": ["table4"], "worker": worker, **options})  # type: ignore[arg-type]
    chosen, _ = choose(request, store.read(), store.cache, device)
    return {each.name: each.profile.name for each in chosen}


DEPTHS = ("2", "4", "8", "12")


def test_the_most_faithful_profile_that_is_whole_is_shown(store: Store, fill: Fill) -> None:
    fill("table4", "quick", DEPTHS)
    assert _profiles(store) == {"table4": "quick"}
    fill("table4", "paper", DEPTHS[:3])
    assert _profiles(store) == {"table4": "quick"}
    fill("table4", "paper", DEPTHS)
    assert _profiles(store) == {"table4": "paper"}
    # Of two seeds nothing is whole.
    assert _profiles(store, seeds=2) == {"table4": "quick"}
    assert _profiles(store, seeds=2, device="cuda") == {"table4": "paper"}


@pytest.mark.parametrize(("device", "profile"), [("cpu", "quick"), ("cuda", "paper")])
def test_where_nothing_is_whole_a_command_trains_by_device(
    store: Store, fill: Fill, device: str, profile: str
) -> None:
    assert _profiles(store, device) == {"table4": profile}
    fill("table4", "overnight", DEPTHS[:3])
    assert _profiles(store, device) == {"table4": profile}


def test_collecting_takes_the_profile_that_fills_most_columns(store: Store, fill: Fill) -> None:
    fill("table4", "quick", DEPTHS[:3], seed=1)
    fill("table4", "paper", DEPTHS[:2])
    assert _profiles(store, mode="collect") == {"table4": "quick"}
    fill("table4", "paper", DEPTHS[:3])
    # Of equals, the more faithful one.
    assert _profiles(store, mode="collect") == {"table4": "paper"}


def test_each_table_and_figure_is_chosen_by_itself(store: Store, fill: Fill) -> None:
    fill("table4", "quick", DEPTHS)
    fill("section3", "paper", ("AE", "VAE", "IRMAE (l = 8)"))
    found = _profiles(store, tables=["table4"], figures=["figure2", "ranks-depth"])
    assert found == {"table4": "quick", "figure2": "paper", "ranks-depth": "quick"}


def test_what_is_optional_is_left_out_where_nothing_is_there(store: Store, fill: Fill) -> None:
    fill("table4", "quick", DEPTHS)
    tables = ["table4", "shape"]
    found = _profiles(store, tables=tables, optional=["shape"], mode="collect")
    assert found == {"table4": "quick"}


def test_a_folder_of_one_profile_is_found_whichever_is_more_faithful(
    store: Store, fill: Fill
) -> None:
    fill("table4", "quick", DEPTHS)
    (folder,) = [run_id for run_id in store.read() if "-l8-" in run_id]
    assert _profiles(store, only=[folder]) == {"table4": "quick"}


def test_a_setting_that_changes_nothing_is_no_other_setting(store: Store, fill: Fill) -> None:
    fill("table4", "paper", DEPTHS)
    worker = WorkerSettings(runs_dir=store.root, data_dir=store.root)
    overrides = {"epochs": 50, "learning_rate": 1e-4, "seed": 0, "fid_samples": 9}
    request = Request(["table4"], worker=worker, overrides=overrides, mode="collect")
    (chosen,), _ = choose(request, store.read(), store.cache, "cpu")
    assert chosen.overrides == {"fid_samples": 9}


def test_runs_that_tables_share_are_asked_for_once(store: Store) -> None:
    worker = WorkerSettings(runs_dir=store.root, data_dir=store.root)
    request = Request(["table3", "table4"], worker=worker, seeds=2)
    chosen, _ = choose(request, store.read(), store.cache, "cpu")
    jobs = requested_jobs(request, chosen)
    # Three and four columns, of which l = 8 at 1x is in both.
    assert len({job.run_id for job in jobs}) == len(jobs) == 2 * 6
    only = replace(request, only=["*-x2-*", "*-l2-*"])
    assert len(requested_jobs(only, chosen)) == 2 * 2
    for mode in ("run", "collect"):
        wrong = replace(request, only=["*-l9-*"], mode=mode)
        with pytest.raises(UsageError, match="matches none of"):
            choose(wrong, store.read(), store.cache, "cpu")


def test_nothing_is_trained_for_what_is_optional(store: Store, fill: Fill) -> None:
    """Of all figures, those are drawn that have a run; IRMAE's depths are part of a sweep."""
    fill("table4", "quick", DEPTHS)
    worker = WorkerSettings(runs_dir=store.root, data_dir=store.root)
    figures = ["ranks-depth", "frontier"]
    request = Request(["table4"], figures, optional=figures, worker=worker)
    chosen, _ = choose(request, store.read(), store.cache, "cpu")
    assert [each.name for each in chosen] == ["table4", *figures]
    assert len(requested_jobs(request, chosen)) == 4
    assert len(requested_jobs(replace(request, optional=()), chosen)) == 32


def test_what_nobody_named_is_left_out_where_the_settings_do_not_fit(
    store: Store, fill: Fill
) -> None:
    fill("table4", "quick", DEPTHS)
    figures = ["ranks-depth", "frontier", "ranks-dimension"]
    request: dict[str, Any] = {"figures": figures, "optional": figures, "mode": "collect"}
    found = _profiles(store, **request, overrides={"latent_dim": 128})
    assert found.keys() == {"table4", "ranks-depth"}
    # No classifier is shipped for CelebA; what is no extractor at all is refused all the same.
    seen = Display(extractors=("classifier",))
    found = _profiles(store, **request, display=seen)
    assert found.keys() == {"table4", "ranks-depth", "frontier"}
    with pytest.raises(UsageError, match="unknown extractor"):
        _profiles(store, everything=True, mode="collect", display=Display(extractors=("nothing",)))


def test_an_extractor_that_is_only_read_changes_no_profile(store: Store, fill: Fill) -> None:
    fill("table4", "quick", DEPTHS)
    fill("table4", "paper", DEPTHS[:1])
    seen = Display(extractors=("imagenet",))
    assert _profiles(store, mode="collect", display=seen) == {"table4": "quick"}


def test_tables_that_an_extractor_does_not_go_with_are_left_out_by_name(
    store: Store, fill: Fill
) -> None:
    fill("table4", "quick", DEPTHS)
    worker = WorkerSettings(runs_dir=store.root, data_dir=store.root)
    asked = Request(
        ["table4", "table5", "table6"],
        implied=True,
        worker=worker,
        mode="collect",
        display=Display(extractors=("classifier",)),
    )
    found, (line,) = choose(asked, store.read(), store.cache, "cpu")
    assert [each.name for each in found] == ["table4"]
    assert line.startswith("left out: table5, table6: --extractor classifier: none is shipped")


def _faces(name: str, images: int) -> Dataset:
    declared = DATASETS[name]
    content: dict[str, str | int] = {"pictures": name}
    return replace(declared, content=content, train=images, test=2_000)


def test_runs_on_celeba_do_not_hide_those_on_its_stand_in(store: Store) -> None:
    for name, profile, columns in (
        ("celeba-10k", "overnight", ("WAE", "RAE", "IRMAE")),
        ("celeba", "quick", ("IRMAE",)),
    ):
        faces = _faces(name, 8_000)
        register_dataset(faces, replace=True)
        for cell in TABLES["table5"].cells:
            if cell.label in columns:
                run = replace(cell.training, dataset=name)
                training, measurement = PROFILES[profile].apply(run)
                write(store, result(training, replace(measurement, extractor="imagenet")))
    worker = WorkerSettings(runs_dir=store.root, data_dir=store.root)
    request = Request(["table5"], worker=worker, mode="collect")
    (chosen,), _ = choose(request, store.read(), store.cache, "cpu")
    assert (chosen.profile.name, chosen.table.name) == ("overnight", "table5")
    assert {cell.training.dataset for cell in chosen.table.cells} == {"celeba-10k"}


def test_own_data_whose_outputs_would_be_another_tables_are_refused(store: Store) -> None:
    own = replace(DATASETS["mnist-sample"], name="samples", part_of="", own=True)
    register_dataset(own, replace=True)
    write(store, result(replace(tiny("ae"), dataset="samples")))
    with pytest.raises(UsageError, match="table4-samples is another one of the suite"):
        _profiles(store, mode="collect", dataset="samples")

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import pytest

from bench.data import dataset
from bench.experiments import PAPER_TABLES, TABLES
from bench.models.methods import method
from bench.profiles import PROFILES
from bench.published import PUBLISHED
from bench.report.frame import METRICS
from bench.spec import RunSpec


def _runs(name: str) -> list[RunSpec]:
    return [cell.run for cell in TABLES[name].cells]


def test_table_3_scales_the_weights_and_its_variant_the_variance() -> None:
    assert [run.init_scale for run in _runs("table3")] == [1.0, 2.0, 4.0]
    assert [run.init_scale for run in _runs("table3-variance")] == [1.0, sqrt(2), 2.0]
    assert {run.depth for run in _runs("table3")} == {8}


def test_table_4_varies_depth() -> None:
    assert [run.depth for run in _runs("table4")] == [2, 4, 8, 12]
    assert TABLES["table4"].varies == {"depth"}


def test_tables_share_runs() -> None:
    assert _runs("table3")[0] == _runs("table4")[2]
    assert _runs("table3")[1] == _runs("table3-variance")[2]
    assert len({*_runs("table3"), *_runs("table4")}) == 6


def test_settings_are_those_of_table_2() -> None:
    for name, table in TABLES.items():
        for cell in table.cells:
            run = cell.run
            assert (run.learning_rate, run.batch_size, run.epochs) == (1e-4, 32, 50), name
            expected = (32, 50_000) if run.dataset == "shape" else (128, 60_000)
            assert (run.latent_dim, run.train_images) == expected
            assert run.test_images == 10_000


@pytest.mark.parametrize("name", PAPER_TABLES)
def test_every_printed_cell_is_published(name: str) -> None:
    table = TABLES[name]
    for metric in ("rank", "fid"):
        for cell in table.cells:
            assert PUBLISHED[name, metric, cell.label].value > 0
            assert f"Table {name[-1]}" in PUBLISHED[name, metric, cell.label].source
    labels = {(name, metric, cell.label) for metric in ("rank", "fid") for cell in table.cells}
    assert labels == {key for key in PUBLISHED if key[0] == name}


def test_the_printed_numbers() -> None:
    printed = {key: published.value for key, published in PUBLISHED.items()}
    assert [printed["table3", "rank", c] for c in ("1x", "2x", "4x")] == [8, 43, 66]
    assert [printed["table3", "fid", c] for c in ("1x", "2x", "4x")] == [37.4, 33.8, 49.0]
    assert [printed["table4", "rank", c] for c in ("2", "4", "8", "12")] == [70, 39, 8, 4]
    assert [printed["table4", "fid", c] for c in ("2", "4", "8", "12")] == [44.0, 30.1, 37.4, 62.6]


def test_declarations_name_what_exists() -> None:
    for table in TABLES.values():
        assert set(table.metrics) <= set(METRICS)
        for profile in PROFILES.values():
            for cell in table.cells:
                run = profile.apply(replace(cell.run, features="classifier"))
                assert dataset(run.dataset).network in ("mnist", "shape")
                assert method(run.method).name == run.method


def test_profiles_only_shrink() -> None:
    run = _runs("table4")[0]
    assert PROFILES["paper"].apply(run) == run
    quick, smoke = PROFILES["quick"].apply(run), PROFILES["smoke"].apply(run)
    assert (quick.dataset, smoke.dataset) == ("mnist", "mnist-sample")
    assert smoke.steps < quick.steps < run.steps
    assert (quick.learning_rate, quick.batch_size) == (run.learning_rate, run.batch_size)

"""Ranks by epoch and threshold, against NumPy's."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.experiments.tables import READINGS, TABLES
from bench.report.display import Display
from bench.report.frame import frame
from bench.report.metrics import METRICS, Metric, View
from bench.report.notes import run_notes
from bench.report.rows import rows
from bench.store.folders import write_spectra
from tests.support.results import content, result

THRESHOLDS = (1e-2, 1e-3, 1e-4, 1e-5)
NAMES = {reading: name for name, reading in READINGS.items()}


def test_readings_are_numpys_ranks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    spectra = np.sort(10.0 ** rng.uniform(-18, 0, (40, 24)), axis=1)[:, ::-1]
    made = result(runs_dir=tmp_path)
    write_spectra(made.folder, spectra)
    for epoch in (30, 40):
        matrix = np.diag(spectra[epoch - 1])
        nonzero = METRICS[NAMES[epoch, None]].value(made, Display(), View())
        assert nonzero == np.linalg.matrix_rank(matrix)
        for threshold in THRESHOLDS:
            found = METRICS[NAMES[epoch, threshold]].value(made, Display(), View())
            assert found == np.linalg.matrix_rank(matrix, rtol=threshold)
    # It was trained for forty epochs.
    assert METRICS[NAMES[50, 1e-3]].value(made, Display(), View()) is None
    assert METRICS[NAMES[30, 1e-3]].value(result(), Display(), View()) is None


@pytest.mark.parametrize("name", ["table3-readings", "table4-readings"])
def test_the_table_of_readings_has_every_one(name: str) -> None:
    epochs = (30, 40, 50, 100)
    ways = [NAMES[epoch, t] for epoch in epochs for t in (*THRESHOLDS, None)]
    assert TABLES[name].metrics == ("rank", *ways)


def test_a_reading_says_whether_the_printed_rank_would_be_reproduced(tmp_path: Path) -> None:
    """Of l = 8 (8 printed), two seeds of 50 epochs; what else the row has is missing."""
    base = content("table4", {"8": [8, 8]}, runs_dir=tmp_path)
    for each in base.all_results:
        write_spectra(each.folder, np.tile(np.r_[np.ones(9), np.full(119, 1e-9)], (50, 1)))
    table = replace(TABLES["table4-readings"], cells=base.table.cells)
    made = replace(base, table=table)
    found = {row.metric: row for row in rows(made, frame(made)) if row.metric.startswith("Epoch")}
    assert len(found) == 15
    # Equal numbers of two seeds have the interval of half a unit: 9 +- 4.5.
    assert [each.text for each in found["Epoch 50, above 1e-03"].cells] == [
        *["--"] * 2,
        "9.0 ± 4.5, mean only",
        "--",
    ]
    assert found["Epoch 50, matrix_rank"].cells[2].text == "128.0 ± 4.5, no"
    # More epochs are what a reading is about, another precision is not.
    for overrides, said in (({"epochs": 100}, ", mean only"), ({"precision": "bf16"}, "")):
        longer = replace(made, overrides=overrides)
        found = {row.metric: row for row in rows(longer, frame(longer))}
        assert found["Epoch 50, above 1e-03"].cells[2].text == f"9.0 ± 4.5{said}"


def test_a_metric_of_ones_own_has_digits_that_count(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {0: 0.0126, 1: 0.0444, 2: float("nan")}
    mine = Metric("Mine", lambda made, *_: values[made.spec.seed], lower_is_better=True)
    monkeypatch.setitem(METRICS, "mine", mine)
    made = content("table4", {"2": [8], "4": [8] * 3, "8": [8] * 3})
    made = replace(made, table=replace(made.table, metrics=("mine",)))
    shown = rows(made, frame(made))[0].cells
    assert [cell.text for cell in shown] == ["0.0126", "--", "--", "--"]
    assert not any(cell.best for cell in shown)


def test_columns_of_other_data_have_their_own_real_images() -> None:
    made = content("table4", {"2": [1] * 3, "4": [2] * 3})
    first, second, *_ = made.table.cells
    other = replace(second, training=replace(second.training, dataset="shape"))
    moved = [
        replace(each, trained=replace(each.trained, spec=replace(each.spec, dataset="shape")))
        for each in made.results[second]
    ]
    for each in moved:
        each.seen("inception", "real_images")["fid"] = [99.0, 101.0]
    table = replace(made.table, cells=(first, other))
    both = replace(made, table=table, results={first: made.results[first], other: moved})
    shown = {row.kind: row.cells for row in rows(both, frame(both)) if "FID" in row.metric}
    assert [cell.text for cell in shown["real images"]] == ["0.250", "100 (SD 1)"]
    # Distances from other images are not to be compared.
    assert not any(cell.best for cell in shown["gmm10"])
    assert any(
        re.match("Data: MNIST.*; generated circles.* .Depth l 4", n) for n in run_notes(both)
    )


def test_the_distance_from_real_images_is_of_both_sides() -> None:
    made = content("section3", {"AE": [0.1]})
    (run,) = made.all_results
    (record,) = run.measurements
    seen = {"real": {"real": 0.55, "samples": 0.53}, "mvg": {"real": 0.85, "samples": 0.33}}
    changed = replace(record, metrics=record.metrics | {"neighbours": seen})
    view = View(record.spec.extractor, "mvg")
    value = METRICS["distance_from_real"].value
    assert value(replace(run, measurements=(changed,)), Display(), view) == pytest.approx(0.25)

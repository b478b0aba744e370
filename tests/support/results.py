"""Results of runs that never ran, and how they come into a runs folder."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.campaign.runs import every_result
from bench.data import dataset
from bench.evaluation.extractors import expected_identity
from bench.experiments.profiles import PROFILES
from bench.experiments.spec import FITTED, Cell, MeasurementSpec, TableSpec, TrainingSpec
from bench.experiments.tables import TABLES
from bench.report.display import Display
from bench.report.frame import TableResults
from bench.store import identity
from bench.store.folders import Store, write_arrays
from bench.store.identity import run_id
from bench.store.records import MeasurementRecord, Result, TrainingRecord
from tests.support.tiny import TINY, TINY_MEASUREMENT

SMALL = 1e-9
NOWHERE = Path("no-such-folder")


def result(
    spec: TrainingSpec = TINY,
    measurement: MeasurementSpec = TINY_MEASUREMENT,
    *,
    rank: int = 3,
    fid: float = 1 / 3,
    test_mse: float = 0.01,
    mean_image_mse: float | None = None,
    told_apart: float = 0.1,
    extractors: Sequence[str] = (),
    runs_dir: Path = NOWHERE,
) -> Result:
    """A run of that rank, FID and distance from real images by every sampler, and error.

    It is measured through the measurement's extractor, and through others where some are named.
    """
    data = replace(dataset(spec.dataset), folder="")
    name = run_id(spec, data.fingerprint)
    provenance = {
        "commit": "unknown", "device": "cpu", "threads": 1, "images_sha256": "00",
    }  # fmt: skip
    trained = TrainingRecord(
        run_id=name,
        spec=spec,
        data=data,
        weights_sha256="11",
        spectra_images=32,
        timing={"seconds": 1.5, "images_per_second": 640.0, "finished": 1},
        provenance=provenance,
    )
    measured = tuple(
        MeasurementRecord(
            run_id=name,
            spec=replace(measurement, extractor=extractor),
            weights_sha256="11",
            metrics={
                "train_mse": test_mse,
                "test_mse": test_mse,
                "mean_image_mse": 10 * test_mse if mean_image_mse is None else mean_image_mse,
                "spectrum": [1.0] * rank + [SMALL] * (spec.latent_dim - rank),
                "fid": dict.fromkeys(("reconstruction", *FITTED), fid) | {"real": min(fid, 0.25)},
                # Off by as much on both sides.
                "neighbours": {"real": {"real": 0.5, "samples": 0.5}}
                | {
                    name: {"real": 0.5 + told_apart, "samples": 0.5 + told_apart} for name in FITTED
                },
                "kid": dict.fromkeys(FITTED, fid),
                "coverage": dict.fromkeys(FITTED, 0.5),
                "copied": dict.fromkeys(FITTED, 0.01),
                "real_images": {
                    "fid": [0.25],
                    "kid": [0.25],
                    "coverage": [0.97],
                    "neighbours": [{"real": 0.5, "samples": 0.5}],
                },
                "log_likelihood": {name: {"train": 2.0, "held_out": 1.5} for name in FITTED},
            },
            extractor={
                "name": extractor,
                "dimensions": 128,
                "checksum": expected_identity(extractor, data) or "00",
            },
            timing={"seconds": 0.5, "finished": 2},
            provenance=provenance,
            protocol=identity.MEASURING_PROTOCOL,
        )
        for extractor in extractors or [measurement.extractor]
    )
    return Result(trained, measured, runs_dir / name)


def write(store: Store, *results: Result) -> None:
    """Write results into a runs folder, without weights."""
    for each in results:
        store.write_trained(each.trained)
        for record in each.measurements:
            store.write_measured(record)


def keep_images(made: Result, arrays: Mapping[str, np.ndarray]) -> None:
    """Keep images with a result's first measurement."""
    write_arrays(made.folder / f"measured-{made.measurements[0].identity}.npz", arrays)


def results_in(runs_dir: Path) -> list[Result]:
    """Every result in a runs folder."""
    return every_result(Store(runs_dir).read())


def cells_of(table: str, extractor: str = "inception") -> TableSpec:
    """A declared table at the paper's size, measured through an extractor."""

    def sized(cell: Cell) -> Cell:
        training, measurement = PROFILES["paper"].apply(cell.training)
        measurements = (replace(measurement, extractor=extractor),)
        return replace(cell, training=training, measurements=measurements)

    return TABLES[table].with_cells(sized)


def everywhere(table: str, values: Sequence[float]) -> dict[str, Sequence[float]]:
    """The same values in every cell of a declared table."""
    return {cell.name: values for cell in TABLES[table].cells}


def content(
    table: str,
    values: Mapping[str, Sequence[float]],
    *,
    extractor: str = "inception",
    extractors: Sequence[str] = (),
    runs_dir: Path = NOWHERE,
    **change: object,
) -> TableResults:
    """A table whose cells have results with the given values by the cells' names, a seed each.

    A value is a run's FID, test error and distance from real images; its rank is the value's whole
    part.
    """
    declared = cells_of(table, extractor)
    assert values.keys() <= {cell.name for cell in declared.cells}
    results: dict[Cell, list[Result]] = {
        cell: [
            result(
                replace(cell.training, seed=seed),
                cell.measurement,
                rank=int(value),
                fid=value,
                test_mse=value,
                told_apart=value,
                extractors=extractors,
                runs_dir=runs_dir,
            )
            for seed, value in enumerate(values.get(cell.name, ()))
        ]
        for cell in declared.cells
    }
    # Verdicts of fewer seeds than were fixed in advance would say so each time.
    made = TableResults(replace(declared, seeds=0), results, [], Display(), "paper")
    return replace(made, **change)  # type: ignore[arg-type]

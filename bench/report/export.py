"""All records as one tidy table, a row for each run and metric, for plots of one's own."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from bench.errors import BenchError, UsageError
from bench.files import write_bytes
from bench.spec import canonical_json
from bench.store import Record

FORMATS = (".csv", ".parquet")


def tidy(records: Iterable[Record]) -> pd.DataFrame:
    """One row for each run and metric.

    Returns:
        ``run_id``; ``metric`` and ``value``; the fields of the run's spec, its own ``parameters``
        as JSON; extractor, data, device, commit and training time. Metrics are ``train_mse``,
        ``test_mse``, ``rank``, ``rank_1e-03`` for every threshold, ``fid_reconstruction`` or
        ``fid_`` and a sampler, ``overlap_accuracy``, ``overlap_mixing`` and ``overlap_points``.
    """
    rows = []
    for record in records:
        known = asdict(record.spec) | {
            "parameters": canonical_json(dict(record.spec.parameters)),
            "extractor": record.extractor["name"],
            "extractor_sha256": record.extractor["checksum"],
            "data_sha256": record.data.fingerprint,
            "device": record.provenance["device"],
            "commit": record.provenance["commit"],
            "train_seconds": record.timing["train_seconds"],
            "images_per_second": record.timing["images_per_second"],
        }
        for metric, value in record.flat_metrics():
            rows.append({"run_id": record.run_id, "metric": metric, "value": value} | known)
    return pd.DataFrame(rows)


def export(records: Iterable[Record], path: Path) -> int:
    """Write the tidy table as CSV or Parquet.

    Returns:
        The number of runs in it.

    Raises:
        UsageError: the file's name ends in neither ``.csv`` nor ``.parquet``.
        BenchError: there are no records, Parquet's library is missing, or the file cannot be
            written.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"--export {path}: the name must end in {' or '.join(FORMATS)}")
    table = tidy(records)
    if table.empty:
        raise BenchError("--export: there are no finished runs; see --runs-dir")
    if path.suffix == ".csv":
        write_bytes(path, table.to_csv(index=False).encode())
    else:
        buffer = io.BytesIO()
        try:
            table.to_parquet(buffer, index=False)
        except ImportError as error:
            raise BenchError(
                f"--export {path}: Parquet needs pyarrow; pip install pyarrow, or export .csv"
            ) from error
        write_bytes(path, buffer.getvalue())
    return int(table.run_id.nunique())

"""All results as one tidy table, for plots of one's own."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from bench.errors import BenchError, UsageError
from bench.files import write_text
from bench.hashing import canonical_json
from bench.report.display import Display
from bench.store.records import Result


def tidy(results: Iterable[Result], display: Display) -> pd.DataFrame:
    """One row for each measurement of a run and metric.

    Returns:
        ``run_id``; ``metric`` and ``value``; the fields of the run's spec, its own ``parameters``
        as JSON; extractor, data, device, commit and training time. Metrics are ``train_mse``,
        ``test_mse``, ``mean_image_mse``, ``rank`` as it is read, ``fid_`` with
        ``reconstruction``, ``real`` or a sampler, ``neighbours_`` with ``real`` or a sampler and
        the side (``_real``, ``_samples``), ``kid_``, ``coverage_`` and ``copied_`` with a sampler,
        ``log_likelihood_`` with a sampler and ``_train`` or ``_held_out``.
    """
    rows = []
    for result, measured in [(each, record) for each in results for record in each.measurements]:
        trained = result.trained
        common = (
            asdict(result.spec)
            | asdict(measured.spec)
            | {
                "parameters": canonical_json(dict(result.spec.parameters)),
                "rank_threshold": display.rank_threshold,
                "extractor_sha256": measured.extractor["checksum"],
                "data_sha256": trained.data.fingerprint,
                "device": trained.provenance["device"],
                "commit": trained.provenance["commit"],
                "train_seconds": trained.timing["seconds"],
                "images_per_second": trained.timing["images_per_second"],
            }
        )
        for metric, value in [*measured.numbers(), ("rank", display.rank(result))]:
            rows.append({"run_id": result.run_id, "metric": metric, "value": value} | common)
    return pd.DataFrame(rows)


def export(results: Iterable[Result], display: Display, path: Path) -> int:
    """Write the tidy table as CSV; return the number of runs in it.

    Raises:
        UsageError: the file's name does not end in ``.csv``.
        BenchError: there are no results, or the file cannot be written.
    """
    if path.suffix != ".csv":
        raise UsageError(f"--export {path}: the name must end in .csv")
    table = tidy(results, display)
    if table.empty:
        raise BenchError(
            "--export: there are no finished runs that were measured through an extractor that is "
            "declared here; see --runs-dir and --plugin"
        )
    write_text(path, table.to_csv(index=False))
    return int(table.run_id.nunique())

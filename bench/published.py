"""The numbers that were printed, each with its source; nothing here was measured by this suite."""

from __future__ import annotations

from dataclasses import dataclass

_SUPPLEMENT = "Jing, Zbontar, LeCun: Implicit Rank-Minimizing Autoencoder, NeurIPS 2020, supplement"


@dataclass(frozen=True)
class Published:
    """One printed number.

    Attributes:
        value: as printed.
        source: where it is printed.
        extractor: network behind an FID; None for other quantities. The supplement names none;
            FID means Inception unless a paper says otherwise.
    """

    value: float
    source: str
    extractor: str | None = None


_Numbers = dict[tuple[str, str, str], "Published"]


def _row(table: str, section: str, metric: str, values: dict[str, float]) -> _Numbers:
    source = f"{_SUPPLEMENT}, Table {table} (section {section})"
    extractor = "inception" if metric == "fid" else None
    return {
        (f"table{table}", metric, column): Published(value, source, extractor)
        for column, value in values.items()
    }


# By (table, metric, column label), the names of bench.experiments.
PUBLISHED: _Numbers = {
    **_row("3", "2.1", "rank", {"1x": 8, "2x": 43, "4x": 66}),
    **_row("3", "2.1", "fid", {"1x": 37.4, "2x": 33.8, "4x": 49.0}),
    **_row("4", "2.2", "rank", {"2": 70, "4": 39, "8": 8, "12": 4}),
    **_row("4", "2.2", "fid", {"2": 44.0, "4": 30.1, "8": 37.4, "12": 62.6}),
}

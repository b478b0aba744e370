"""The numbers that were printed, each with its source; nothing here was measured by this suite."""

from dataclasses import dataclass

_SUPPLEMENT = "Jing, Zbontar, LeCun: Implicit Rank-Minimizing Autoencoder, NeurIPS 2020, supplement"


@dataclass(frozen=True)
class Published:
    """One printed number, where it is printed, and why a measured one is not its like, if so."""

    value: float
    source: str
    caveat: str = ""


_Numbers = dict[tuple[str, str, str, str], "Published"]

_FROM_RAE = (
    "WAE and RAE are the supplement's, taken from Ghosh et al. (arXiv:1903.12436), who cropped "
    "otherwise and used the methods' own architecture, 64 latent dimensions and training; WAE's "
    "number is most likely of samples of its prior; RAE's is that of the plain RAE with a "
    "10-component mixture, by a comment in their configuration, or of another of their RAEs with "
    "one Gaussian"
)


def _row(
    table: str,
    section: str,
    metric: str,
    values: dict[str, float],
    *,
    row: str = "",
    caveat: str = "",
) -> _Numbers:
    source = f"{_SUPPLEMENT}, Table {table} (section {section})"
    return {
        (f"table{table}", metric, row, column): Published(value, source, caveat)
        for column, value in values.items()
    }


def _sweep(*values: float) -> dict[str, float]:
    """Values by latent dimension."""
    return dict(zip(("32", "64", "128", "256", "512"), values, strict=True))


# By (table, metric, row label, column label), the names of bench.experiments.tables.
PUBLISHED: _Numbers = {
    **_row("3", "2.1", "rank", {"1x": 8, "2x": 43, "4x": 66}),
    **_row("3", "2.1", "fid", {"1x": 37.4, "2x": 33.8, "4x": 49.0}),
    **_row("4", "2.2", "rank", {"2": 70, "4": 39, "8": 8, "12": 4}),
    **_row("4", "2.2", "fid", {"2": 44.0, "4": 30.1, "8": 37.4, "12": 62.6}),
    **_row("5", "2.3", "fid", {"WAE": 53.7, "RAE": 44.7}, caveat=_FROM_RAE),
    **_row("5", "2.3", "fid", {"IRMAE": 42.0}),
    **_row("6", "2.4", "fid", _sweep(81.6, 64.6, 47.6, 42.7, 42.0), row="IRMAE (l = 4)"),
    **_row("6", "2.4", "fid", _sweep(78.2, 60.1, 46.0, 45.4, 53.9), row="AE"),
}

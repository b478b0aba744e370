"""Every table of the suite, declared as data; the paper's numbers are in published.py."""

import itertools
from dataclasses import replace
from math import sqrt

from bench.errors import UsageError, require_name, unknown
from bench.experiments.columns import (
    AE_AND_VAE,
    CELEBA_AE,
    CELEBA_IRMAE,
    CELEBA_ORIGINAL,
    DEPTHS,
    DIMENSIONS,
    IRMAE_4,
    IRMAE_8,
    MNIST_AE,
    MNIST_IRMAE,
    SHAPE_AE,
    VAE,
    VARIANCES,
    baselines,
    sweep,
)
from bench.experiments.rank_methods import RANK_TABLES
from bench.experiments.spec import Cell, ClaimSpec, Place, TableSpec

_MEASURES = ("rank", "fid", "test_mse")
_FID_FIRST = ("fid", "rank", "test_mse")
_WITH_NEIGHBOURS = (*_MEASURES, "distance_from_real", "real_called_real", "samples_called_samples")
# Ways to read a rank from what a run has left, by metric: after which epoch, and above which share
# of the largest singular value; None is the tolerance that NumPy's ``matrix_rank`` has for float64.
READINGS = {
    f"rank_{epoch}_{'nonzero' if threshold is None else f'{threshold:.0e}'}": (epoch, threshold)
    for epoch in (30, 40, 50, 100)
    for threshold in (1e-2, 1e-3, 1e-4, 1e-5, None)
}


def _orders(text: str) -> tuple[tuple[Place, Place], ...]:
    """``1x, 2x < 4x``: each column before a sign has a smaller number than each behind it.

    Where a table has several rows, a column's stands before it: ``AE: 256 < AE: 64, 512``.
    """

    def places(group: str) -> list[Place]:
        row, _, columns = group.rpartition(": ")
        return [(row, column) for column in columns.split(", ")]

    chains = [list(map(places, chain.split(" < "))) for chain in text.split("; ")]
    pairs = (itertools.product(*both) for chain in chains for both in itertools.pairwise(chain))
    return tuple(itertools.chain(*pairs))


def _of_fid(statement: str, source: str, orders: str) -> ClaimSpec:
    return ClaimSpec(statement, source, "fid", _orders(orders))


TABLES = {
    table.name: table
    for table in (
        TableSpec(
            name="table3",
            title="Effect of varying initial variance of linear layers in IRMAE (l = 8)",
            axis="Variance (factor on weights)",
            cells=VARIANCES,
            metrics=_MEASURES,
            notes=(
                (
                    "What the paper calls variance is read as a factor on the initial weights, "
                    "on their standard deviation; --table 3-variance has the literal reading."
                ),
            ),
            published="table3",
            claims=(
                ClaimSpec(
                    "The latent rank rises with the initial variance",
                    "section 2.1",
                    "rank",
                    _orders("1x < 2x < 4x"),
                ),
                _of_fid("The FID is best at 2x", "Table 3", "2x < 1x, 4x"),
                _of_fid("The FID is worst at 4x", "Table 3", "1x, 2x < 4x"),
            ),
            seeds=6,
        ),
        TableSpec(
            name="table4",
            title="Effect of varying linear layers depth in IRMAE",
            axis="Depth l",
            symbol="l",
            cells=DEPTHS,
            metrics=_MEASURES,
            published="table4",
            claims=(
                ClaimSpec(
                    "The latent rank falls with depth",
                    "section 2.2",
                    "rank",
                    _orders("12 < 8 < 4 < 2"),
                ),
                _of_fid("The FID is best at l = 4", "Table 4", "4 < 2, 8, 12"),
                _of_fid("The FID is worst at l = 12", "Table 4", "2, 4, 8 < 12"),
                _of_fid("The FID at l = 8 is below that at 2", "Table 4", "8 < 2"),
            ),
            seeds=6,
        ),
        TableSpec(
            name="table5",
            title="Comparing IRMAE against other deterministic autoencoders",
            axis="Method",
            cells=(*baselines(CELEBA_AE), Cell("IRMAE", CELEBA_IRMAE)),
            metrics=_FID_FIRST,
            notes=(
                (
                    "All columns have IRMAE's architecture, latent dimension and optimiser, so "
                    "that only the method differs; --table 5-original has those of the RAE paper."
                ),
            ),
            published="table5",
            claims=(
                _of_fid("IRMAE's FID is below those of WAE and RAE", "Table 5", "IRMAE < WAE, RAE"),
                _of_fid(
                    "IRMAE's FID is below those of RAE-L2, RAE-GP and RAE-SN",
                    "asked here",
                    "IRMAE < RAE-L2, RAE-GP, RAE-SN",
                ),
                _of_fid("RAE's FID is below WAE's", "Table 5", "RAE < WAE"),
            ),
            seeds=5,
        ),
        TableSpec(
            name="table6",
            title="Comparing IRMAE against AEs with different latent dimension",
            axis="Latent dimension",
            cells=(*sweep(IRMAE_4, CELEBA_IRMAE), *sweep("AE", CELEBA_AE)),
            metrics=_FID_FIRST,
            published="table6",
            claims=(
                _of_fid(
                    "At 256 and 512 IRMAE's FID is below that of the AE at any latent dimension",
                    "section 2.4",
                    f"{IRMAE_4}: 256, 512 < AE: {', '.join(DIMENSIONS)}",
                ),
                _of_fid(
                    "IRMAE's FID falls with the latent dimension",
                    "Table 6",
                    " < ".join(f"{IRMAE_4}: {n}" for n in reversed(DIMENSIONS)),
                ),
                _of_fid(
                    "The AE's FID falls up to 256 dimensions, and is larger at 512",
                    "Table 6",
                    "AE: 256 < AE: 128 < AE: 64 < AE: 32; AE: 256 < AE: 512",
                ),
                _of_fid(
                    "At 32, 64 and 128 the AE's FID is below IRMAE's",
                    "Table 6",
                    "; ".join(f"AE: {n} < {IRMAE_4}: {n}" for n in DIMENSIONS[:3]),
                ),
                _of_fid(
                    "At 256 and 512 IRMAE's FID is below the AE's",
                    "Table 6",
                    "; ".join(f"{IRMAE_4}: {n} < AE: {n}" for n in DIMENSIONS[3:]),
                ),
            ),
            seeds=5,
        ),
        TableSpec(
            name="table5-original",
            title="Table 5 with the other methods as the RAE paper trained them",
            axis="Method",
            cells=(*baselines(CELEBA_ORIGINAL), Cell("IRMAE", CELEBA_IRMAE)),
            metrics=_FID_FIRST,
            notes=(
                (
                    "WAE and RAE: 5x5 convolutions with batch norm, latent dimension 64. What is "
                    "left out of their training: docs/decisions.md."
                ),
            ),
        ),
        TableSpec(
            name="table3-variance",
            title="Effect of scaling the initial variance, not the weights, in IRMAE (l = 8)",
            axis="Variance",
            cells=tuple(
                Cell(f"{scale}x", replace(MNIST_IRMAE, init_scale=sqrt(scale)))
                for scale in (1, 2, 4)
            ),
            metrics=_MEASURES,
            notes=("Initial weights are scaled by the square root of the factor.",),
        ),
        TableSpec(
            name="table4-longer",
            title="Table 4 and the AE, trained twice as long",
            axis="Depth l",
            symbol="l",
            cells=tuple(
                replace(cell, training=replace(cell.training, epochs=100))
                for cell in (Cell("0 (AE)", MNIST_AE, called="AE"), *DEPTHS)
            ),
            metrics=(
                "rank",
                *(name for name, (epoch, _) in READINGS.items() if epoch >= 50),
                "fid",
                "test_mse",
            ),
            published="table4",
        ),
        TableSpec(
            name="shape",
            title="Latent rank against a known number of factors",
            axis="Method",
            cells=(
                Cell("AE", SHAPE_AE),
                Cell("VAE", replace(SHAPE_AE, method="vae", parameters=VAE)),
                Cell(IRMAE_4, replace(SHAPE_AE, method="irmae", depth=4)),
            ),
            metrics=(*_MEASURES, "rank_sampled"),
            notes=(
                (
                    "The known answer counts the factors: circle or square, size, two coordinates, "
                    "three colour channels. The supplement prints no number."
                ),
                (
                    "Table 1 prints a ReLU behind the encoder, so that dimensions of a code can be "
                    "0 for every image; the authors' code has none, nor has the VAE here."
                ),
            ),
            answers={"rank": 7},
        ),
        TableSpec(
            name="section3",
            title="IRMAE beside an AE and a VAE",
            axis="Method",
            cells=(*AE_AND_VAE, Cell(IRMAE_8, MNIST_IRMAE)),
            metrics=_WITH_NEIGHBOURS,
            claims=(
                ClaimSpec(
                    "IRMAE's samples are nearer to real images than the AE's",
                    "section 3",
                    "distance_from_real",
                    _orders(f"{IRMAE_8} < AE"),
                ),
                ClaimSpec(
                    "IRMAE's samples are comparable to the VAE's",
                    "section 3",
                    "distance_from_real",
                    _orders(f"{IRMAE_8} < VAE"),
                    judged=False,
                ),
            ),
            seeds=6,
        ),
        TableSpec(
            name="mnist-baselines",
            title="IRMAE beside other autoencoders",
            axis="Method",
            cells=(*AE_AND_VAE, *baselines(MNIST_AE), Cell(IRMAE_8, MNIST_IRMAE)),
            metrics=_WITH_NEIGHBOURS,
        ),
        *RANK_TABLES,
    )
}


def _add_rows(
    of: str, ending: str, title: str, metrics: tuple[str, ...], *notes: str, published: str = ""
) -> None:
    """Add a table that has other rows of another one's runs."""
    name, table = f"{of}-{ending}", TABLES[of]
    made = TableSpec(name, title, table.axis, table.cells, metrics, notes, published=published)
    TABLES[name] = made


for _name in ("table3", "table4"):
    _axis = TABLES[_name].axis.lower()
    _add_rows(
        _name,
        "ranks",
        f"Latent rank by threshold and effective rank, by {_axis}",
        ("rank_1e-2", "rank_1e-3", "rank_1e-4", "effective_rank"),
        "Rank at t: singular values of the test codes' covariance above t of the largest.",
    )
    _add_rows(
        _name,
        "readings",
        f"What the latent rank depends on: epoch and threshold, by {_axis}",
        ("rank", *READINGS),
        "Each row: the mean rank after so many epochs, and whether it would reproduce the printed "
        "one. Counted are singular values above that share of the largest, or those that float64's "
        "matrix_rank takes for nonzero, which is the paper's word.",
        published=_name,
    )
for _name in ("table3", "table4", "table5", "table6", "section3", "mnist-baselines"):
    _title = f"What FIDs miss of samples: {TABLES[_name].title}"
    _add_rows(_name, "samples", _title, ("kid", "coverage", "copied"))

# What ``--table all`` means: the supplement's own tables.
PAPER_TABLES = ("table3", "table4", "table5", "table6")


def register_cell(table: str, cell: Cell) -> None:
    """Add a column to a declared table, and to all that have other rows of the same runs.

    Raises:
        UsageError: an unknown table, or one that has another cell in that place.
    """
    if table not in TABLES:
        raise unknown("table", table, TABLES)
    require_name("column", cell.label)
    declared = TABLES[table]
    if declared.places.get((cell.row, cell.label), cell) != cell:
        raise UsageError(f"{table} has a column {cell.label!r} already; choose another label")
    if cell not in declared.cells:
        for name, each in TABLES.items():
            if each.cells == declared.cells:
                TABLES[name] = replace(each, cells=(*each.cells, cell))


def register_row(table: str, metric: str) -> None:
    """Add a metric's rows to a declared table, see :func:`bench.report.metrics.register_metric`.

    Raises:
        UsageError: an unknown table.
    """
    if table not in TABLES:
        raise unknown("table", table, TABLES)
    declared = TABLES[table]
    if metric not in declared.metrics:
        TABLES[table] = replace(declared, metrics=(*declared.metrics, metric))


def own_parameters() -> set[str]:
    """Names of the parameters that declared methods take beside the fields of a run."""
    cells = [cell for table in TABLES.values() for cell in table.cells]
    return {name for cell in cells for name, _ in cell.training.parameters}

"""Every experiment of the suite, declared as data; `bench.published` holds the paper's numbers.

Run settings are the supplement's Table 2 (learning rate 1e-4, batch 32, latent 128 for MNIST and
32 for Shape, 50 epochs); profiles shrink them.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

from bench.errors import UsageError, unknown
from bench.spec import Cell, RunSpec, TableSpec

MNIST_IRMAE = RunSpec(dataset="mnist", method="irmae", latent_dim=128, depth=8)
MNIST_AE = replace(MNIST_IRMAE, method="ae", depth=0)
SHAPE_AE = RunSpec(dataset="shape", method="ae", latent_dim=32, train_images=50_000)

# Strengths as in the papers (Tolstikhin et al. 2018; Ghosh et al. 2020) or, for the VAE, as in the
# official code of IRMAE.
_RAE_L2 = (("beta", 1e-4), ("decay", 1e-7))
_RAE_GP = (("beta", 1e-4), ("gradient", 1e-7))

_MEASURES = ("rank", "fid", "test_mse")

TABLES = {
    table.name: table
    for table in (
        TableSpec(
            name="table3",
            title="Effect of varying initial variance of linear layers in IRMAE (l = 8)",
            axis="Variance",
            cells=tuple(
                Cell(f"{scale}x", replace(MNIST_IRMAE, init_scale=float(scale)))
                for scale in (1, 2, 4)
            ),
            metrics=_MEASURES,
            notes=(
                (
                    "What the paper calls variance is read as a factor on the initial weights, "
                    "on their standard deviation; --table 3-variance has the literal reading."
                ),
            ),
        ),
        TableSpec(
            name="table4",
            title="Effect of varying linear layers depth in IRMAE",
            axis="Depth l",
            cells=tuple(
                Cell(str(depth), replace(MNIST_IRMAE, depth=depth)) for depth in (2, 4, 8, 12)
            ),
            metrics=_MEASURES,
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
            name="shape",
            title="Latent rank against a known number of factors",
            axis="Method",
            cells=(
                Cell("AE", SHAPE_AE),
                Cell("VAE", replace(SHAPE_AE, method="vae", parameters=(("beta", 0.1),))),
                Cell("IRMAE (l = 4)", replace(SHAPE_AE, method="irmae", depth=4)),
            ),
            metrics=_MEASURES,
            notes=(
                (
                    "The known answer counts the factors: circle or square, size, two coordinates, "
                    "three colour channels. The supplement prints no number."
                ),
            ),
            known={"rank": 7},
        ),
        TableSpec(
            name="mnist-baselines",
            title="IRMAE beside other autoencoders",
            axis="Method",
            cells=(
                Cell("AE", MNIST_AE),
                Cell("VAE", replace(MNIST_AE, method="vae", parameters=(("beta", 0.1),))),
                Cell("WAE", replace(MNIST_AE, method="wae-mmd", parameters=(("penalty", 100.0),))),
                Cell("RAE", replace(MNIST_AE, method="rae", parameters=(("beta", 1e-4),))),
                Cell("RAE-L2", replace(MNIST_AE, method="rae-l2", parameters=_RAE_L2)),
                Cell("RAE-GP", replace(MNIST_AE, method="rae-gp", parameters=_RAE_GP)),
                Cell("RAE-SN", replace(MNIST_AE, method="rae-sn", parameters=(("beta", 2.4e-3),))),
                Cell("IRMAE (l = 8)", MNIST_IRMAE),
            ),
            metrics=_MEASURES,
        ),
    )
}

# What ``--table all`` means: the supplement's own tables.
PAPER_TABLES = ("table3", "table4")


def register_cell(table: str, cell: Cell) -> None:
    """Add a column to a declared table.

    Raises:
        UsageError: an unknown table, or one that has a column of that label already.
    """
    if table not in TABLES:
        raise unknown("table", table, TABLES)
    declared = TABLES[table]
    if any(c.label == cell.label and c.run != cell.run for c in declared.cells):
        raise UsageError(f"{table} has a column {cell.label!r} already; choose another label")
    if cell not in declared.cells:
        TABLES[table] = replace(declared, cells=(*declared.cells, cell))


def own_parameters() -> set[str]:
    """Names of the parameters that declared methods take beside the fields of a run."""
    cells = [cell for table in TABLES.values() for cell in table.cells]
    return {name for cell in cells for name, _ in cell.run.parameters}

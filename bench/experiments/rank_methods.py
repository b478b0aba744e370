"""Methods that reduce the rank, under one protocol: the sweep, and the comparison after it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from bench.experiments.columns import MNIST_AE, MNIST_IRMAE
from bench.experiments.spec import Cell, ClaimSpec, TableSpec, TrainingSpec

# Methods that reduce the rank, each with the setting that decides how far, and four values of it
# from much rank to little.
RANK_METHODS: dict[str, tuple[TrainingSpec, str, tuple[float, ...]]] = {
    "IRMAE": (MNIST_IRMAE, "depth", (2, 4, 8, 12)),
    "IRMAE-WD": (
        replace(MNIST_IRMAE, method="irmae-wd", depth=4, parameters=(("weight_decay", 0.0),)),
        "weight_decay",
        (0.3, 1.0, 3.0, 10.0),
    ),
    "LoRAE": (
        replace(MNIST_IRMAE, method="lorae", depth=1, parameters=(("nuclear", 0.0),)),
        "nuclear",
        (1e-4, 1e-3, 1e-2, 1e-1),
    ),
    "Least Volume": (
        replace(MNIST_AE, method="least-volume", parameters=(("volume", 0.0),)),
        "volume",
        (1e-4, 1e-3, 1e-2, 1e-1),
    ),
    "RRAE": (
        replace(MNIST_AE, method="rrae", parameters=(("directions", 1.0),)),
        "directions",
        # A batch of 32 codes has no more than 32.
        (24, 16, 8, 4),
    ),
    "Nested dropout": (
        replace(MNIST_AE, method="nested-dropout", parameters=(("probability", 0.0),)),
        "probability",
        (0.02, 0.05, 0.1, 0.2),
    ),
    "AE": (MNIST_AE, "latent_dim", (32, 16, 8, 4)),
    # In closed form: one epoch is as good as any.
    "PCA": (replace(MNIST_AE, method="pca", epochs=1), "latent_dim", (32, 16, 8, 4)),
}

# Of each of them, the value at which they are compared, by the rule in docs/decisions.md.
CHOSEN: dict[str, float] = {
    "IRMAE": 8,
    "IRMAE-WD": 10.0,
    "LoRAE": 1e-3,
    "Least Volume": 1e-2,
    "RRAE": 8,
    "Nested dropout": 0.1,
    "AE": 8,
    "PCA": 8,
}


def _swept() -> Iterator[Cell]:
    """A row for each method, its four values as columns."""
    for label, (settings, name, values) in RANK_METHODS.items():
        row = f"{label} ({name} {', '.join(f'{value:g}' for value in values)})"
        for i, value in enumerate(values, 1):
            yield Cell(f"{i}", settings.with_settings({name: value}), row)


def _chosen() -> Iterator[Cell]:
    """Each method at the value that was chosen, and an AE of as many dimensions as they have."""
    for label, (settings, name, _) in RANK_METHODS.items():
        value = CHOSEN[label]
        yield Cell(f"{label} {value:g}", settings.with_settings({name: value}))
    yield Cell(f"AE {MNIST_AE.latent_dim}", MNIST_AE)


COMPARED = tuple(_chosen())
# What authors claim in their abstracts, by method and metric, as an order of it and IRMAE.
_CLAIMED = {("LoRAE", "fid"): "Mazumder et al. 2024", ("RRAE", "test_mse"): "Mounayer et al. 2024"}


def _claims() -> Iterator[ClaimSpec]:
    """Each other method's FID and test error against IRMAE's.

    The order is the authors' where they claim one, and that IRMAE's is lower where they do not.
    """
    irmae, *others = [cell.label for cell in COMPARED]
    metrics = {"fid": "FID", "test_mse": "test error"}
    for label, metric in itertools.product(others, metrics):
        source = _CLAIMED.get((label.rpartition(" ")[0], metric))
        low, high = ("", label), ("", irmae)
        statement = f"The {metrics[metric]} of {label} is below IRMAE's"
        if not source:
            low, high = high, low
            statement = f"IRMAE's {metrics[metric]} is below that of {label}"
        yield ClaimSpec(statement, source or "asked here", metric, ((low, high),))


_SETTINGS = ", ".join(f"{label}: {name}" for label, (_, name, _) in RANK_METHODS.items())

RANK_TABLES = (
    TableSpec(
        name="rank-sweep",
        title="How far methods reduce the rank, and at what cost",
        axis="Setting",
        cells=tuple(_swept()),
        metrics=("rank", "fid", "test_mse", "effective_rank"),
        notes=(
            (
                "Each row has a method and the setting that decides how far it reduces the rank, "
                "with its values in the columns' order."
            ),
        ),
    ),
    TableSpec(
        name="rank-methods",
        title="Methods that reduce the rank, at about the rank of IRMAE (l = 8)",
        axis="Method",
        cells=COMPARED,
        metrics=("rank", "effective_rank", "test_mse", "fid", "coverage"),
        notes=(
            (
                "Behind each method is its setting, whose rank in --table rank-sweep is nearest to "
                "that of IRMAE (l = 8), by a rule that was written down before the sweep; AE and "
                "PCA have eight dimensions (docs/decisions.md). "
                f"{_SETTINGS}."
            ),
        ),
        claims=tuple(_claims()),
        seeds=3,
    ),
)

"""The runs that tables are made of: their settings, and families of columns.

Settings are the supplement's Table 2 (learning rate 1e-4, batch 32, latent 128 for MNIST and 32 for
Shape, 50 epochs); profiles shrink them.
"""

from __future__ import annotations

from dataclasses import replace

from bench.experiments.spec import Cell, TrainingSpec

MNIST_IRMAE = TrainingSpec(dataset="mnist", method="irmae", latent_dim=128, depth=8)
MNIST_AE = replace(MNIST_IRMAE, method="ae", depth=0)
SHAPE_AE = TrainingSpec(dataset="shape", method="ae", latent_dim=32, train_images=50_000)
CELEBA_IRMAE = TrainingSpec(
    dataset="celeba",
    method="irmae",
    latent_dim=512,
    depth=4,
    train_images=162_770,
)
CELEBA_AE = replace(CELEBA_IRMAE, method="ae", depth=0)
# WAE and RAE as their papers trained them (Ghosh et al. 2020, appendix).
CELEBA_ORIGINAL = replace(
    CELEBA_AE,
    architecture="rae",
    latent_dim=64,
    learning_rate=1e-3,
    batch_size=100,
    epochs=70,
)

# The VAE's strength is that of IRMAE's official code.
VAE = (("beta", 0.1),)
# By the network of their data, from the authors' configurations. WAE: Tolstikhin et al. 2018; the
# penalty beside 0.05 times the summed squared error. RAEs: Ghosh et al. 2020.
BASELINES = {
    "celeba": {
        "WAE": ("wae-mmd", (("penalty", 100.0),)),
        "RAE": ("rae", (("beta", 1e-4),)),
        "RAE-L2": ("rae-l2", (("beta", 1e-4), ("decay", 1e-7))),
        "RAE-GP": ("rae-gp", (("beta", 1e-4), ("gradient", 1e-7))),
        "RAE-SN": ("rae-sn", (("beta", 2.4e-3),)),
    },
    "mnist": {
        "WAE": ("wae-mmd", (("penalty", 10.0),)),
        "RAE": ("rae", (("beta", 5e-4),)),
        "RAE-L2": ("rae-l2", (("beta", 5e-4), ("decay", 1e-7))),
        "RAE-GP": ("rae-gp", (("beta", 5e-4), ("gradient", 5e-8))),
        "RAE-SN": ("rae-sn", (("beta", 9e-3),)),
    },
}


def baselines(settings: TrainingSpec) -> list[Cell]:
    """The deterministic autoencoders of other authors, in one setting."""
    declared = BASELINES[settings.dataset].items()
    return [
        Cell(label, replace(settings, method=method, parameters=parameters))
        for label, (method, parameters) in declared
    ]


def originals() -> list[Cell]:
    """The same, each in its own authors' architecture and training."""
    cells = baselines(CELEBA_ORIGINAL)
    return [
        replace(cell, training=replace(cell.training, architecture="wae"))
        if cell.training.method == "wae-mmd"
        else cell
        for cell in cells
    ]


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
        (1e-5, 1e-4, 1e-3, 1e-2),
    ),
    "Least Volume": (
        replace(MNIST_AE, method="least-volume", parameters=(("volume", 0.0),)),
        "volume",
        (1e-4, 1e-3, 1e-2, 1e-1),
    ),
    "RRAE": (
        replace(MNIST_AE, method="rrae", parameters=(("directions", 1.0),)),
        "directions",
        (32, 16, 8, 4),
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


def frontier() -> list[Cell]:
    """A row for each method that reduces the rank, its four settings as columns."""
    return [
        Cell(f"{i}", settings.with_settings({name: value}), _row(label, name, values))
        for label, (settings, name, values) in RANK_METHODS.items()
        for i, value in enumerate(values, 1)
    ]


def _row(label: str, name: str, values: tuple[float, ...]) -> str:
    return f"{label} ({name} {', '.join(f'{value:g}' for value in values)})"


DIMENSIONS = ("32", "64", "128", "256", "512")
IRMAE_4 = "IRMAE (l = 4)"
IRMAE_8 = "IRMAE (l = 8)"


def sweep(row: str, settings: TrainingSpec) -> list[Cell]:
    """One method over Table 6's latent dimensions."""
    return [Cell(label, replace(settings, latent_dim=int(label)), row) for label in DIMENSIONS]


VARIANCES = tuple(
    Cell(f"{scale}x", replace(MNIST_IRMAE, init_scale=float(scale))) for scale in (1, 2, 4)
)
AE_AND_VAE = (
    Cell("AE", MNIST_AE),
    Cell("VAE", replace(MNIST_AE, method="vae", parameters=VAE)),
)
DEPTHS = tuple(Cell(str(depth), replace(MNIST_IRMAE, depth=depth)) for depth in (2, 4, 8, 12))

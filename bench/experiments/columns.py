"""The runs that tables are made of: their settings, and families of columns.

Settings are the supplement's Table 2 (learning rate 1e-4, batch 32, latent dimension 128 for MNIST,
32 for Shape, 512 for CelebA), and 50 epochs, which it does not print (docs/decisions.md). Profiles
shrink them.
"""

from dataclasses import replace

from bench.experiments.spec import Cell, TrainingSpec

MNIST_IRMAE = TrainingSpec(dataset="mnist", method="irmae", latent_dim=128, depth=8)
MNIST_AE = replace(MNIST_IRMAE, method="ae", depth=0)
SHAPE_AE = TrainingSpec(dataset="shape", method="ae", latent_dim=32, train_images=50_000)
CELEBA_IRMAE = TrainingSpec(
    dataset="celeba", method="irmae", latent_dim=512, depth=4, train_images=162_770
)
CELEBA_AE = replace(CELEBA_IRMAE, method="ae", depth=0)
# WAE and RAE as the RAE paper trained both (Ghosh et al. 2020, appendix).
CELEBA_ORIGINAL = replace(
    CELEBA_AE, architecture="rae", latent_dim=64, learning_rate=1e-3, batch_size=100, epochs=70
)

# The VAE's strength is that of IRMAE's official code.
VAE = (("beta", 0.1),)
# From the configurations of Ghosh et al. 2020; the WAE's penalty, on MNIST that of Tolstikhin et
# al. 2018, is beside 0.05 times the summed squared error.
_BASELINES = (
    ("WAE", "wae-mmd", ("penalty",), {"celeba": (100.0,), "mnist": (10.0,)}),
    ("RAE", "rae", ("beta",), {"celeba": (1e-4,), "mnist": (5e-4,)}),
    ("RAE-L2", "rae-l2", ("beta", "decay"), {"celeba": (1e-4, 1e-7), "mnist": (1e-4, 1e-7)}),
    ("RAE-GP", "rae-gp", ("beta", "gradient"), {"celeba": (1e-4, 1e-7), "mnist": (1e-4, 5e-8)}),
    ("RAE-SN", "rae-sn", ("beta",), {"celeba": (2.4e-3,), "mnist": (9e-3,)}),
)


def baselines(settings: TrainingSpec) -> list[Cell]:
    """The deterministic autoencoders of other authors, in one setting."""
    cells = []
    for label, method, names, values in _BASELINES:
        parameters = tuple(zip(names, values[settings.dataset], strict=True))
        cells.append(Cell(label, replace(settings, method=method, parameters=parameters)))
    return cells


DIMENSIONS = ("32", "64", "128", "256", "512")
IRMAE_4 = "IRMAE (l = 4)"
IRMAE_8 = "IRMAE (l = 8)"


def sweep(row: str, settings: TrainingSpec) -> list[Cell]:
    """One method over Table 6's latent dimensions."""
    return [Cell(label, replace(settings, latent_dim=int(label)), row) for label in DIMENSIONS]


VARIANCES = tuple(Cell(f"{scale}x", replace(MNIST_IRMAE, init_scale=scale)) for scale in (1, 2, 4))
AE_AND_VAE = (Cell("AE", MNIST_AE), Cell("VAE", replace(MNIST_AE, method="vae", parameters=VAE)))
DEPTHS = tuple(Cell(str(depth), replace(MNIST_IRMAE, depth=depth)) for depth in (2, 4, 8, 12))

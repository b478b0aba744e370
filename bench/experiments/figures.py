"""Every figure of the suite, declared as data."""

from __future__ import annotations

from bench.experiments.spec import FigureSpec
from bench.experiments.tables import IRMAE_8

# Tables whose figures are named after what varies, and those whose columns are methods.
_SWEEPS = {"variance": "table3", "depth": "table4", "dimension": "table6"}
_METHODS = ("mnist-baselines", "shape", "table5")

FIGURES = {
    figure.name: figure
    for figure in (
        FigureSpec(
            name="figure1",
            title="IRMAE vs AE with varying latent dimension",
            table="table6",
            kind="sweep",
        ),
        FigureSpec(
            name="figure2",
            title="t-SNE of test images and of sampled images",
            table="mnist-baselines",
            kind="tsne",
            columns=("AE", "VAE", IRMAE_8),
        ),
        *(
            FigureSpec(f"{kind}-{axis}", title, table, kind)
            for kind, title in (
                ("spectra", "Singular values of the codes' covariance"),
                ("curves", "Training loss"),
                ("ranks", "Latent rank by epoch"),
            )
            for axis, table in _SWEEPS.items()
        ),
        *(
            FigureSpec(f"{kind}-{name}", title, table, kind)
            for kind, title in (
                ("samples", "Sampled images"),
                ("reconstructions", "Reconstructions of test images"),
                ("interpolations", "Linear interpolations in the latent space"),
                ("walks", "Walks along principal directions of the latent space"),
            )
            for name, table in (_SWEEPS | {each: each for each in _METHODS}).items()
        ),
    )
}

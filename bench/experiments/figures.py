"""Every figure of the suite, declared as data."""

from bench.errors import register, require_name, unknown
from bench.experiments.spec import FigureSpec
from bench.experiments.tables import TABLES

# Tables whose figures are named after what varies, and those whose columns are methods.
_SWEEPS = {"variance": "table3", "depth": "table4", "dimension": "table6"}
_METHODS = ("section3", "mnist-baselines", "shape", "table5")

FIGURES = {
    figure.name: figure
    for figure in (
        FigureSpec("figure1", "IRMAE vs AE with varying latent dimension", "table6", "sweep"),
        FigureSpec("figure2", "t-SNE of test images and of sampled images", "section3", "tsne"),
        FigureSpec("frontier", "What methods pay for a low rank", "rank-sweep", "frontier"),
        FigureSpec(
            "ranks-longer",
            "Latent rank after every epoch, trained twice as long",
            "table4-longer",
            "ranks",
        ),
        *(
            FigureSpec(f"{kind}-{axis}", f"{title}, by {axis}", table, kind)
            for kind, title in (
                ("spectra", "Singular values of the codes' covariance"),
                ("curves", "Training loss"),
                ("ranks", "Latent rank after every epoch"),
            )
            for axis, table in _SWEEPS.items()
        ),
        *(
            FigureSpec(
                f"{kind}-{name}",
                f"{title}, by {name if name in _SWEEPS else 'method'}",
                table,
                kind,
            )
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


def register_figure(figure: FigureSpec) -> None:
    """Add a figure of a declared table, of a kind of :mod:`bench.report.figures.kinds`.

    Raises:
        UsageError: an unknown table, or another figure, or a table, of that name.
    """
    require_name("figure", figure.name)
    if figure.table not in TABLES:
        raise unknown("table", figure.table, TABLES)
    register(FIGURES, "a table or figure", figure.name, figure, TABLES)

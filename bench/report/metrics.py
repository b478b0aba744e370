"""The quantities that tables print: what each is in a result, and how it is averaged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from bench.errors import register
from bench.evaluation.spectrum import effective_rank, rank
from bench.experiments.tables import READINGS
from bench.report.display import Display
from bench.report.statistics import ROUNDING
from bench.store.folders import read_spectra
from bench.store.records import Result

# In place of a sampler: real training images, as many as samples are drawn.
REAL = "real"


class View(NamedTuple):
    """What a number is of beside its run: both empty for one that is not of images.

    Attributes:
        extractor: name of the network that looked.
        sampler: whose samples it looked at, or :data:`REAL`.
    """

    extractor: str = ""
    sampler: str = ""

    def __str__(self) -> str:
        """In words."""
        return ", ".join(part for part in self if part)


@dataclass(frozen=True)
class Metric:
    """A quantity that tables print.

    Attributes:
        label: its name in tables.
        value: its value in a result as it is read, given a view; None where the result has none.
        lower_is_better: whether it has a direction; False means that it has none.
        by_view: whether it is of images, and so has a value for each extractor and sampler, and for
            real images.
        whole: whether it is a count, whose values are whole numbers.
        logarithmic: whether runs differ by factors, so that means and intervals are taken of
            logarithms: they stay above zero.
        decimals: digits after the point, or None for as many as its values ask for.
        near: how far a number may be from the printed one to count as reproduced: as a share of
            it, or in units, whichever is more; None where nothing is said of it.
        short: its name in formulas; empty for the label.
        printed_as: the metric whose printed numbers it is held against, in one row alone that says
            of each number whether it would be reproduced; empty for its own.
        by_threshold: whether it depends on the rank's threshold as it is displayed.
        of_real: its values, of subsets of the training images, in a result as an extractor has it;
            empty where nothing was measured of any.
    """

    label: str
    value: Callable[[Result, Display, View], float | None]
    lower_is_better: bool = False
    by_view: bool = False
    whole: bool = False
    logarithmic: bool = False
    decimals: int | None = None
    near: tuple[float, float] | None = None
    short: str = ""
    printed_as: str = ""
    by_threshold: bool = False
    of_real: Callable[[Result, str], list[float]] = lambda *_: []

    @property
    def symbol(self) -> str:
        """Its name in formulas."""
        return self.short or self.label

    @property
    def least_deviation(self) -> float:
        """The least standard deviation over seeds that is believed."""
        return ROUNDING if self.whole else 0.0

    def margin(self, printed: float) -> float:
        """How far from the printed number a mean over seeds may be to count as reproduced."""
        share, units = self.near or (0.0, 0.0)
        return max(share * abs(printed), units)


def _of_images(
    name: str,
    label: str,
    of: Callable[[Any, Any], float] = lambda found, _: found,
) -> Metric:
    """A metric of samples by its names in records and in tables, with three decimals.

    ``of`` gives the number, of what is recorded of a sampler and the same of real images.
    """

    def value(result: Result, _: Display, view: View) -> float | None:
        found = result.seen(view.extractor, name)
        return of(found[view.sampler], found.get(REAL)) if view.sampler in found else None

    def of_real(result: Result, extractor: str) -> list[float]:
        subsets = result.seen(extractor, "real_images").get(name, [])
        ideal = result.seen(extractor, name).get(REAL)
        return [of(found, ideal) for found in subsets]

    return Metric(label, value, by_view=True, of_real=of_real, decimals=3)


def _distance_from_real(found: Mapping[str, float], ideal: Mapping[str, float]) -> float:
    """How far both sides' shares are from those of real training images, on average."""
    return sum(abs(found[side] - ideal[side]) for side in ("real", "samples")) / 2


def _rank(label: str, threshold: float | None = None, of: str = "spectrum") -> Metric:
    """A rank of a run's spectrum, by the threshold that is displayed where none is given."""

    def value(result: Result, display: Display, _: View) -> float | None:
        values = result.metrics.get(of)
        return None if values is None else rank(values, threshold or display.rank_threshold)

    return Metric(label, value, whole=True, by_threshold=threshold is None)


# A tenth of the printed rank, or two where that is less than two.
_NEAR_RANK = (0.1, 2.0)


def _read_at(epoch: int, threshold: float | None) -> Metric:
    def value(result: Result, *_: object) -> float | None:
        spectra = read_spectra(result.folder)
        if spectra is None or len(spectra) < epoch:
            return None
        # NumPy's and PyTorch's default tolerance.
        least = spectra.shape[1] * np.finfo(np.float64).eps if threshold is None else threshold
        return rank(spectra[epoch - 1], least)

    above = "matrix_rank" if threshold is None else f"above {threshold:.0e}"
    label = f"Epoch {epoch}, {above}"
    return Metric(label, value, whole=True, near=_NEAR_RANK, printed_as="rank")


_THRESHOLDS = ("1e-2", "1e-3", "1e-4")
METRICS = {
    "rank": replace(_rank("Latent rank"), near=_NEAR_RANK, short="rank"),
    **{f"rank_{text}": _rank(f"Rank at {float(text):g}", float(text)) for text in _THRESHOLDS},
    "effective_rank": Metric(
        "Effective rank", lambda result, *_: effective_rank(result.metrics["spectrum"]), decimals=1
    ),
    "rank_sampled": _rank("Rank, codes with noise", of="spectrum_sampled"),
    "fid": replace(_of_images("fid", "FID"), decimals=None, lower_is_better=True, logarithmic=True),
    "kid": replace(_of_images("kid", "KID"), decimals=None, lower_is_better=True),
    "coverage": _of_images("coverage", "Coverage"),
    "copied": _of_images("copied", "Copies"),
    "test_mse": Metric(
        "Test MSE",
        lambda result, *_: result.metrics["test_mse"],
        lower_is_better=True,
        logarithmic=True,
        decimals=5,
    ),
    "distance_from_real": replace(
        _of_images("neighbours", "Distance from real", _distance_from_real),
        lower_is_better=True,
        short="distance",
    ),
    "real_called_real": _of_images(
        "neighbours", "Real called real", lambda found, _: found["real"]
    ),
    "samples_called_samples": _of_images(
        "neighbours", "Samples called samples", lambda found, _: found["samples"]
    ),
    **{name: _read_at(*reading) for name, reading in READINGS.items()},
}


def register_metric(name: str, metric: Metric) -> None:
    """Add a quantity; :func:`bench.experiments.tables.register_row` gives a table rows of it.

    Raises:
        UsageError: there is another of that name.
    """
    register(METRICS, "a metric", name, metric)

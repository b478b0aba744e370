"""Options of display: what changes a printed number, decided when a table is printed."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.evaluation.protocol import RANK_THRESHOLD
from bench.evaluation.spectrum import rank
from bench.experiments.spec import SAMPLERS
from bench.store.records import Result

# Of the test error of the mean training image: what a run must stay below to count as learned. Two
# principal components of MNIST reach 81 %, a network that gives the same image always 100 %.
LEARNED_SHARE = 0.9


@dataclass(frozen=True)
class Display:
    """What changes a printed number and no measured one.

    Attributes:
        samplers: those whose numbers are printed, a row each.
        extractors: those whose numbers are printed; empty for every one that there are numbers
            of.
        rank_threshold: a direction of the latent space counts towards the rank if its variance is
            above this share of the largest, in (0, 1).
    """

    samplers: Sequence[str] = SAMPLERS
    extractors: Sequence[str] = ()
    rank_threshold: float = RANK_THRESHOLD

    def rank(self, result: Result) -> int:
        """A run's latent rank."""
        return rank(result.metrics["spectrum"], self.rank_threshold)

    def learned(self, result: Result) -> bool:
        """Whether a run's reconstructions are clearly better than one image for all."""
        return error_share(result) <= LEARNED_SHARE


def error_share(result: Result) -> float:
    """A run's test error over that of the mean training image; 0 where all images are alike."""
    of_mean = result.metrics["mean_image_mse"]
    return float(result.metrics["test_mse"] / of_mean) if of_mean else 0.0

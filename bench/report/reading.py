"""How measurements are read: decided when a table is printed, from what was stored."""

from __future__ import annotations

from dataclasses import dataclass

from bench.evaluation.protocol import RANK_THRESHOLD
from bench.evaluation.spectrum import rank
from bench.experiments.spec import HEADLINE_SAMPLER
from bench.store.records import Result


@dataclass(frozen=True)
class Reading:
    """What changes a printed number and no measured one.

    Attributes:
        sampler: whose FIDs are printed.
        rank_threshold: a direction of the latent space counts towards the rank if its variance is
            above this share of the largest, in (0, 1).
    """

    sampler: str = HEADLINE_SAMPLER
    rank_threshold: float = RANK_THRESHOLD

    def rank(self, result: Result) -> int:
        """A run's latent rank."""
        return rank(result.metrics["spectrum"], self.rank_threshold)

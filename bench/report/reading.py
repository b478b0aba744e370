"""How measurements are read: decided when a table is printed, from what was stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.evaluation.protocol import RANK_THRESHOLD
from bench.evaluation.spectrum import rank
from bench.experiments.spec import SAMPLERS
from bench.store.records import Result


@dataclass(frozen=True)
class Reading:
    """What changes a printed number and no measured one.

    Attributes:
        samplers: those whose numbers are printed, a row each.
        rank_threshold: a direction of the latent space counts towards the rank if its variance is
            above this share of the largest, in (0, 1).
    """

    samplers: Sequence[str] = SAMPLERS
    rank_threshold: float = RANK_THRESHOLD

    def rank(self, result: Result) -> int:
        """A run's latent rank."""
        return rank(result.metrics["spectrum"], self.rank_threshold)

"""Ways to read a rank from what a run has left, for ``--table 3-readings`` and ``4-readings``."""

from __future__ import annotations

from typing import NamedTuple


class Reading(NamedTuple):
    """One way to read a rank from a run's spectra: after an epoch, above a threshold.

    The threshold is a share of the largest singular value; None is the tolerance that NumPy's
    ``matrix_rank`` has for float64.
    """

    epoch: int
    threshold: float | None

    @property
    def metric(self) -> str:
        """Name of the metric that reads so."""
        above = "nonzero" if self.threshold is None else f"{self.threshold:.0e}"
        return f"rank_{self.epoch}_{above}"


READINGS = tuple(
    Reading(epoch, threshold)
    for epoch in (30, 40, 50, 100)
    for threshold in (1e-2, 1e-3, 1e-4, 1e-5, None)
)

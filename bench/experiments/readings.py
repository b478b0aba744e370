"""Ways to read a rank from what a run has left, for ``--table 3-readings`` and ``4-readings``."""

from __future__ import annotations

# By metric: after which epoch a run's spectrum is read, and above which share of its largest
# singular value; None is the tolerance that NumPy's ``matrix_rank`` has for float64.
READINGS = {
    f"rank_{epoch}_{'nonzero' if threshold is None else f'{threshold:.0e}'}": (epoch, threshold)
    for epoch in (30, 40, 50, 100)
    for threshold in (1e-2, 1e-3, 1e-4, 1e-5, None)
}

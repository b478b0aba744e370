"""Student's t: intervals of means, and comparisons of two.

Sums are ``fsum``'s, since ``sum`` rounds otherwise from Python 3.12 on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, fsum, isnan, log, nan, sqrt

from scipy.special import stdtr, stdtrit

CONFIDENCE = 0.95
# What an interval leaves out on one side, and so the level of a one-sided test.
TAIL = (1 - CONFIDENCE) / 2
# The largest error of rounding to a whole number, and so the standard deviation, in the long run,
# of numbers that fall equally often on two neighbouring whole ones.
ROUNDING = 0.5


@dataclass(frozen=True)
class Interval:
    """A mean and its interval; NaN stands for what cannot be told.

    Attributes:
        mean: NaN of no values.
        low: lower end of its 95 % interval (Student t); NaN below two values.
        high: upper end.
    """

    mean: float
    low: float
    high: float


def interval(values: Sequence[float], *, logarithmic: bool = False, least: float = 0.0) -> Interval:
    """Mean of values with its 95 % interval, of logarithms where runs differ by factors.

    The mean of logarithms is geometric. Where a value is not above 0, which has no logarithm, mean
    and interval are of the values themselves. ``least`` is as in :func:`deviation`, of logarithms
    where they are taken.
    """
    n = len(values)
    if n == 0:
        return Interval(nan, nan, nan)
    if logarithmic and n > 1 and min(values) > 0:
        inner = interval([log(value) for value in values], least=least)
        return Interval(exp(inner.mean), exp(inner.low), exp(inner.high))
    mean = _sum(values) / n
    half = float(stdtrit(n - 1, 1 - TAIL)) * deviation(values, least) / sqrt(n)
    return Interval(mean, mean - half, mean + half)


@dataclass(frozen=True)
class Difference:
    """The mean of some numbers minus that of others; of logarithms where they were taken.

    Attributes:
        mean: the difference; NaN where a side has no number.
        error: its standard error; NaN where a side has fewer than two.
        degrees: degrees of freedom of its t statistic.
    """

    mean: float
    error: float
    degrees: int

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of its 95 % interval."""
        half = float(stdtrit(self.degrees, 1 - TAIL)) * self.error
        return self.mean - half, self.mean + half

    @property
    def p_below_zero(self) -> float:
        """One-sided p-value of "it is at least 0", small where it is below."""
        if self.error == 0:
            return 0.0 if self.mean < 0 else 1.0
        return float(stdtr(self.degrees, self.mean / self.error))


def difference(
    lower: Sequence[float], higher: Sequence[float], *, logarithmic: bool, least: float = 0.0
) -> Difference:
    """Compare independent numbers by Welch's t (1947), with the smaller side's degrees of freedom.

    Welch's own degrees of freedom are estimated from the two variances, and are too many for as few
    numbers as there are seeds; docs/decisions.md has the error rates of both. Numbers whose
    logarithms are taken must be above 0; ``least`` is as in :func:`deviation`.
    """
    sides = [list(map(log, side)) if logarithmic else list(side) for side in (lower, higher)]
    sizes = [len(side) for side in sides]
    if not all(sizes):
        return Difference(nan, nan, 0)
    below, above = (_sum(side) / len(side) for side in sides)
    variances = [deviation(side, least) ** 2 / len(side) for side in sides]
    return Difference(above - below, sqrt(_sum(variances)), min(sizes) - 1)


def deviation(values: Sequence[float], least: float = 0.0) -> float:
    """Sample standard deviation, or ``least`` where that is more; NaN below two values."""
    n = len(values)
    if n < 2:
        return nan
    mean = _sum(values) / n
    # In this order, NaN stays NaN.
    return max(sqrt(_sum((value - mean) ** 2 for value in values) / (n - 1)), least)


def _sum(values: Iterable[float]) -> float:
    """The exact sum, rounded; NaN of what has none, such as infinities of a plugin's metric."""
    try:
        return fsum(values)
    except (ValueError, OverflowError):
        return nan


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which hypotheses are rejected by Holm's step-down procedure (1979) at a level; never NaN."""
    rejected = [False] * len(p_values)
    values = [1.0 if isnan(p) else p for p in p_values]
    for place, index in enumerate(sorted(range(len(values)), key=lambda i: values[i])):
        if values[index] > level / (len(values) - place):
            break
        rejected[index] = True
    return rejected

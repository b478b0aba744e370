"""Student's t: intervals of means, paired comparisons, and the seeds that a comparison takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isnan, log, nan, sqrt

from scipy.special import nctdtr, stdtr, stdtrit

CONFIDENCE = 0.95
# What an interval leaves out on one side, and so the level of a one-sided test.
TAIL = (1 - CONFIDENCE) / 2
# Chance to settle a question of the size that was seen, with the seeds that are proposed.
POWER = 0.8
# Standard deviation of the error of rounding to a whole number (Sheppard 1898).
ROUNDING = sqrt(1 / 12)
_MOST_SEEDS = 1_000


@dataclass(frozen=True)
class Interval:
    """A mean and its interval; NaN stands for what cannot be told.

    Attributes:
        mean: of ``n`` values: NaN of none. Geometric where logarithms were taken.
        low: lower end of its 95 % interval (Student t); NaN below two values.
        high: upper end.
        n: number of values.
    """

    mean: float
    low: float
    high: float
    n: int


def interval(values: Sequence[float], *, logarithmic: bool = False, least: float = 0.0) -> Interval:
    """Mean of values with its 95 % interval, of logarithms where runs differ by factors.

    Values that are not above 0 have no logarithm; where one is among them, none is taken.

    Args:
        values: independent measurements.
        logarithmic: take the logarithms of values; the mean is then geometric.
        least: the least standard deviation that is believed, of logarithms where they are taken;
            see :func:`deviation`.
    """
    n = len(values)
    if n == 0:
        return Interval(nan, nan, nan, 0)
    if logarithmic and n > 1 and min(values) > 0:
        inner = interval([log(value) for value in values], least=least)
        return Interval(exp(inner.mean), exp(inner.low), exp(inner.high), n)
    mean = sum(values) / n
    half = quantile(n - 1) * deviation(values, least) / sqrt(n) if n > 1 else nan
    return Interval(mean, mean - half, mean + half, n)


def differences(
    lower: Mapping[int, float], higher: Mapping[int, float], *, logarithmic: bool
) -> list[float]:
    """Higher minus lower for every seed that both have, of logarithms where runs differ by factors.

    Pairs without a logarithm are left out.
    """
    pairs = [(lower[seed], higher[seed]) for seed in sorted(lower.keys() & higher)]
    if logarithmic:
        return [log(above / below) for below, above in pairs if min(below, above) > 0]
    return [above - below for below, above in pairs]


def deviation(values: Sequence[float], least: float = 0.0) -> float:
    """Sample standard deviation, or ``least`` where that is more; NaN below two values.

    A few numbers that were rounded to whole ones are often equal, and so seem not to scatter.
    Their deviation is at least that of their rounding, :data:`ROUNDING`.
    """
    n = len(values)
    if n < 2:
        return nan
    mean = sum(values) / n
    return max(least, sqrt(sum((value - mean) ** 2 for value in values) / (n - 1)))


def quantile(degrees: int, level: float = TAIL) -> float:
    """What a t statistic exceeds by chance, in 2.5 % of cases or the share that is given."""
    return float(stdtrit(degrees, 1 - level))


def p_below(values: Sequence[float], bound: float = 0.0, *, least: float = 0.0) -> float:
    """One-sided p-value of "the mean is at least the bound", small where it is below.

    The deviation is at least ``least``, see :func:`deviation`.
    """
    n = len(values)
    if n < 2:
        return nan
    distance, spread = sum(values) / n - bound, deviation(values, least)
    if spread == 0:
        return 0.0 if distance < 0 else 1.0
    return float(stdtr(n - 1, distance * sqrt(n) / spread))


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which hypotheses are rejected by Holm's step-down procedure (1979) at a level."""
    rejected = [False] * len(p_values)
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if isnan(p_values[index]) or p_values[index] > level / (len(p_values) - place):
            break
        rejected[index] = True
    return rejected


def seeds_to_settle(
    distance: float, spread: float, at_least: int, level: float = TAIL
) -> int | None:
    """Pairs at which a mean of this size is told from its bound with 80 % power.

    Args:
        distance: of the mean from the bound.
        spread: standard deviation of the differences.
        at_least: smallest answer.
        level: of the one-sided test that tells them apart.

    Returns:
        The number; None where it is above a thousand.
    """
    for n in range(at_least, _MOST_SEEDS + 1):
        effect = abs(distance) / spread * sqrt(n) if spread else float("inf")
        # Far out, the function below loses itself.
        if effect > 30 or 1 - nctdtr(n - 1, effect, quantile(n - 1, level)) >= POWER:
            return n
    return None

"""Intervals and tests against SciPy, and how often verdicts are wrong."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.report.claims import Comparison, Judgement, Standing
from bench.report.metrics import METRICS, View
from bench.report.statistics import (
    ROUNDING,
    differences,
    holm,
    interval,
    p_below,
    seeds_to_settle,
)

VALUES = st.lists(st.floats(0.01, 1e6), min_size=2, max_size=9)


@given(VALUES, st.booleans())
def test_intervals_are_scipys(values: list[float], logarithmic: bool) -> None:
    found = interval(values, logarithmic=logarithmic)
    numbers = np.log(values) if logarithmic else np.array(values)
    error = stats.sem(numbers)
    back = np.exp if logarithmic else np.array
    assert found.mean == pytest.approx(float(back(numbers.mean())), rel=1e-6)
    if error > 1e-9 * np.abs(numbers).max():
        low, high = stats.t.interval(0.95, len(values) - 1, numbers.mean(), error)
        assert (found.low, found.high) == pytest.approx((float(back(low)), float(back(high))))
    if logarithmic:
        assert 0 <= found.low <= found.mean <= found.high


def test_intervals_of_too_few() -> None:
    assert all(math.isnan(x) for x in (interval([]).mean, interval([3.0]).low))
    assert interval([3.0]).mean == 3
    # A zero has no logarithm.
    assert interval([0.0, 2.0], logarithmic=True).mean == 1


def test_equal_whole_numbers_have_the_interval_of_their_rounding() -> None:
    errors = np.random.default_rng(0).uniform(-0.5, 0.5, 100_000)
    assert errors.std() == pytest.approx(ROUNDING, rel=0.01)
    found = interval([39.0] * 3, least=ROUNDING)
    low, high = stats.t.interval(0.95, 2, 39.0, ROUNDING / math.sqrt(3))
    assert (found.mean, found.low, found.high) == pytest.approx((39, low, high))
    # A deviation that is larger stays as it is.
    assert interval([36.0, 39.0, 43.0], least=ROUNDING) == interval([36.0, 39.0, 43.0])
    t = -1 / (ROUNDING / math.sqrt(3))
    assert p_below([2.0] * 3, 3.0, least=ROUNDING) == pytest.approx(stats.t.cdf(t, 2))


@pytest.mark.parametrize(("least", "covers"), [(0.0, False), (ROUNDING, True)])
def test_intervals_of_counts_between_two_whole_numbers(least: float, covers: bool) -> None:
    """Three seeds, each 7 or 8: how often the interval holds the mean, by all eight outcomes."""
    coverages = []
    for share in np.linspace(0.01, 0.99, 99):
        coverage = 0.0
        for eights in itertools.product((0, 1), repeat=3):
            found = interval([7.0 + eight for eight in eights], least=least)
            if found.low <= 7 + share <= found.high:
                coverage += math.prod(share if eight else 1 - share for eight in eights)
        coverages.append(coverage)
    assert (min(coverages) >= 0.975) == covers


@given(VALUES)
def test_p_values_are_scipys(values: list[float]) -> None:
    if np.std(values) > 1e-6 * max(values):
        expected = stats.ttest_1samp(values, 1.0, alternative="less").pvalue
        assert p_below(values, 1.0) == pytest.approx(expected, abs=1e-9)
    assert p_below([2.0, 2.0], 3.0) == 0
    assert p_below([2.0, 2.0], 2.0) == 1


def test_holm_by_hand() -> None:
    # 0.01 <= 0.05 / 3; 0.02 <= 0.05 / 2; 0.06 > 0.05.
    assert holm([0.06, 0.01, 0.02], 0.05) == [False, True, True]
    # 0.04 > 0.05 / 2 stops what comes after it.
    assert holm([0.04, 0.04, 0.01], 0.05) == [False, False, True]


@pytest.mark.parametrize("level", [0.025, 0.025 / 3])
@pytest.mark.parametrize("effect", [0.5, 1.0, 3.0])
def test_the_seeds_that_settle_it_have_the_power(effect: float, level: float) -> None:
    n = seeds_to_settle(effect, 1.0, 2, level)
    assert n is not None
    rng = np.random.default_rng(0)
    draws = rng.normal(effect, 1.0, (20_000, n))
    t = draws.mean(axis=1) / draws.std(axis=1, ddof=1) * math.sqrt(n)
    power = (t > stats.t.ppf(1 - level, n - 1)).mean()
    assert power >= 0.79
    assert seeds_to_settle(effect, 1.0, n + 5, level) == n + 5
    assert seeds_to_settle(1e-3, 1.0, 2) is None


@pytest.mark.parametrize("orders", [1, 3])
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("metric", ["effective_rank", "rank"])
def test_of_equal_cells_a_claim_rarely_holds_and_is_rarely_refuted(
    orders: int, seeds: int, metric: str
) -> None:
    """10,000 draws with all cells equal: neither in more than 2.5 % (and the noise of drawing)."""
    rng = np.random.default_rng(20)
    draws = 10_000
    counts = dict.fromkeys(Standing, 0)
    # One cell is compared with each of the others, as claims do.
    cells = rng.normal(size=(draws, orders + 1, seeds))
    if METRICS[metric].whole:
        cells = cells.round()
    for cell in cells:
        comparisons = [
            Comparison(METRICS[metric], ("", "a"), ("", "b"), 0.0, list(other - cell[0]))
            for other in cell[1:]
        ]
        counts[Judgement(View(), comparisons).standing] += 1
    for standing in (Standing.HOLDS, Standing.FAILS):
        assert counts[standing] / draws < 0.025 + 3 * math.sqrt(0.025 * 0.975 / draws)
    if orders == 1 and metric == "effective_rank":
        assert counts[Standing.HOLDS] / draws > 0.018


def test_pairs_are_of_common_seeds_and_have_logarithms() -> None:
    lower, higher = {0: 1.0, 1: 2.0, 2: 0.0}, {1: 8.0, 2: 3.0, 3: 9.0}
    assert differences(lower, higher, logarithmic=False) == [6.0, 3.0]
    assert differences(lower, higher, logarithmic=True) == [pytest.approx(math.log(4))]

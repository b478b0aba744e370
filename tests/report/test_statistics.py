"""Intervals and tests against SciPy, and how often verdicts are wrong."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.evaluation.spectrum import effective_rank
from bench.report.claims import Comparison, Judgement, Standing
from bench.report.metrics import METRICS, View
from bench.report.statistics import ROUNDING, difference, holm, interval

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


def test_sums_are_exact_in_every_version_of_python() -> None:
    assert interval([1e16, 1.0, -1e16]).mean == 1 / 3
    assert math.isnan(interval([math.inf, -math.inf]).mean)
    # One infinity among runs decides nothing.
    assert math.isnan(interval([math.inf, 1.0, 2.0]).high)
    sides = [1.0, 2.0, math.inf], [3.0, 4.0, 5.0]
    assert math.isnan(difference(*sides, logarithmic=False).p_below_zero)
    assert effective_rank([1.0, 1e-16, 1e-16]) == effective_rank([1e-16, 1e-16, 1.0])


def test_intervals_of_too_few() -> None:
    assert all(math.isnan(x) for x in (interval([]).mean, interval([3.0]).low))
    assert interval([3.0]).mean == 3
    # A zero has no logarithm.
    assert interval([0.0, 2.0], logarithmic=True).mean == 1


def test_equal_whole_numbers_have_the_interval_of_their_rounding() -> None:
    assert max(np.std([39] * k + [40] * (100 - k)) for k in range(101)) == ROUNDING
    found = interval([39.0] * 3, least=ROUNDING)
    low, high = stats.t.interval(0.95, 2, 39.0, ROUNDING / math.sqrt(3))
    assert (found.mean, found.low, found.high) == pytest.approx((39, low, high))
    # A deviation that is larger stays as it is.
    assert interval([36.0, 39.0, 43.0], least=ROUNDING) == interval([36.0, 39.0, 43.0])
    t = -1 / (ROUNDING * math.sqrt(2 / 3))
    compared = difference([3.0] * 3, [2.0] * 3, logarithmic=False, least=ROUNDING)
    assert compared.p_below_zero == pytest.approx(stats.t.cdf(t, 2))


@pytest.mark.parametrize("seeds", [3, 4, 5, 6])
@pytest.mark.parametrize(("least", "covers"), [(0.0, False), (ROUNDING, True)])
def test_intervals_of_counts_between_two_whole_numbers(
    least: float, covers: bool, seeds: int
) -> None:
    """Seeds of 7 or 8: how often the interval holds the mean, by all outcomes."""
    coverages = []
    for share in np.linspace(0.01, 0.99, 99):
        coverage = 0.0
        for eights in itertools.product((0, 1), repeat=seeds):
            found = interval([7.0 + eight for eight in eights], least=least)
            if found.low <= 7 + share <= found.high:
                coverage += math.prod(share if eight else 1 - share for eight in eights)
        coverages.append(coverage)
    assert (min(coverages) >= 0.975) == covers


@given(VALUES, VALUES, st.booleans())
def test_differences_are_welchs_with_fewer_degrees_of_freedom(
    lower: list[float], higher: list[float], logarithmic: bool
) -> None:
    numbers = [np.log(each) if logarithmic else np.array(each) for each in (lower, higher)]
    found = difference(lower, higher, logarithmic=logarithmic)
    assert found.mean == pytest.approx(numbers[1].mean() - numbers[0].mean(), abs=1e-6)
    if found.error > 1e-6 * max(np.abs(each).max() for each in numbers):
        theirs = stats.ttest_ind(*numbers[::-1], equal_var=False)
        assert found.mean / found.error == pytest.approx(theirs.statistic, rel=1e-6)
        degrees = min(len(lower), len(higher)) - 1
        assert found.p_below_zero == pytest.approx(stats.t.cdf(theirs.statistic, degrees), abs=1e-9)
        low, high = stats.t.interval(0.95, degrees, found.mean, found.error)
        assert found.interval == pytest.approx((low, high))
        # Which is the more careful of the two.
        assert min(len(lower), len(higher)) - 1 <= theirs.df + 1e-9


def test_differences_of_numbers_that_are_equal_or_missing() -> None:
    assert difference([2.0, 2.0], [1.0, 1.0], logarithmic=False).p_below_zero == 0
    assert difference([2.0, 2.0], [2.0, 2.0], logarithmic=False).p_below_zero == 1
    assert math.isnan(difference([], [1.0], logarithmic=False).mean)
    one = difference([1.0], [2.0, 3.0], logarithmic=False)
    assert (one.mean, math.isnan(one.p_below_zero)) == (1.5, True)
    assert all(math.isnan(end) for end in one.interval)


def test_holm_by_hand() -> None:
    # 0.01 <= 0.05 / 3; 0.02 <= 0.05 / 2; 0.06 > 0.05.
    assert holm([0.06, 0.01, 0.02], 0.05) == [False, True, True]
    # 0.04 > 0.05 / 2 stops what comes after it.
    assert holm([0.04, 0.04, 0.01], 0.05) == [False, False, True]


def test_holm_of_what_cannot_be_told() -> None:
    for p_values in itertools.permutations([math.nan, 0.001, math.nan]):
        assert holm(p_values, 0.025) == [p == 0.001 for p in p_values]


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
            Comparison(METRICS[metric], "a", "b", list(cell[0]), list(other)) for other in cell[1:]
        ]
        counts[Judgement(View(), comparisons).standing] += 1
    for standing in (Standing.HOLDS, Standing.FAILS):
        assert counts[standing] / draws < 0.025 + 3 * math.sqrt(0.025 * 0.975 / draws)
    if orders == 1 and metric == "effective_rank":
        assert counts[Standing.HOLDS] / draws > 0.005


@pytest.mark.parametrize("deviations", [(0.04, 0.42), (0.1, 0.1), (0.42, 0.2)])
@pytest.mark.parametrize("sizes", [(3, 3), (3, 6), (6, 6)])
def test_equal_means_of_unequal_columns_are_rarely_told_apart(
    deviations: tuple[float, float], sizes: tuple[int, int]
) -> None:
    """As columns' standard deviations of log FIDs and their numbers of seeds are."""
    rng = np.random.default_rng(4)
    draws = 4_000
    apart = [0, 0]
    for _ in range(draws):
        lower, higher = (
            list(np.exp(rng.normal(0, deviation, size)))
            for deviation, size in zip(deviations, sizes, strict=True)
        )
        low, high = difference(lower, higher, logarithmic=True).interval
        apart[0] += low > 0
        apart[1] += high < 0
    assert max(apart) / draws < 0.025 + 3 * math.sqrt(0.025 * 0.975 / draws)

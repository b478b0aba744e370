"""How often tests of two columns are wrong, for as few seeds as tables have: simulated.

    python -m benchmarks.error_rates

One row for each distribution, one column for each test: the largest share of draws, over standard
deviations and numbers of seeds, in which two columns of equal mean are told apart in one direction.
A test that keeps its level has 2.5 %. Then, for the suite's own test: what it costs to look before
all seeds are there, and to round ranks. docs/decisions.md says what was chosen by it, and when.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import stats

from bench.report.statistics import ROUNDING

_DRAWS = 100_000
# Standard deviations of columns' log FIDs, and seeds of two columns.
_DEVIATIONS = (0.04, 0.1, 0.2, 0.42)
_SEEDS = ((3, 3), (3, 4), (3, 6), (4, 4), (4, 6), (6, 3), (6, 6))

_Columns = tuple[np.ndarray, np.ndarray]
# The t statistics (draws,) of two columns (draws, seeds), and their degrees of freedom.
_Test = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def paired(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Student's t of the differences of common seeds."""
    count = min(a.shape[1], b.shape[1])
    differences = b[:, :count] - a[:, :count]
    error = differences.std(axis=1, ddof=1) / np.sqrt(count)
    return differences.mean(axis=1) / error, np.full(len(a), count - 1.0)


def pooled(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Student's t of two columns of one variance."""
    n, m = a.shape[1], b.shape[1]
    variance = (n - 1) * a.var(axis=1, ddof=1) + (m - 1) * b.var(axis=1, ddof=1)
    error = np.sqrt(variance / (n + m - 2) * (1 / n + 1 / m))
    return (b.mean(axis=1) - a.mean(axis=1)) / error, np.full(len(a), n + m - 2.0)


def welch(a: np.ndarray, b: np.ndarray, least: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Welch's t with his degrees of freedom; ranks have a least standard deviation."""
    n, m = a.shape[1], b.shape[1]
    parts = [np.maximum(each.var(axis=1, ddof=1), least**2) / each.shape[1] for each in (a, b)]
    total = parts[0] + parts[1]
    degrees = total**2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))
    return (b.mean(axis=1) - a.mean(axis=1)) / np.sqrt(total), degrees


def careful(a: np.ndarray, b: np.ndarray, least: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Welch's t with the degrees of freedom of the column that has fewer seeds: the suite's."""
    statistic, _ = welch(a, b, least)
    return statistic, np.full(len(a), min(a.shape[1], b.shape[1]) - 1.0)


TESTS: dict[str, _Test] = {"paired": paired, "pooled": pooled, "Welch": welch, "careful": careful}


def normal(rng: np.random.Generator, correlation: float = 0.0) -> Iterator[_Columns]:
    """Normal numbers; those of one seed are so correlated."""
    for (s, t), (n, m) in itertools.product(itertools.product(_DEVIATIONS, repeat=2), _SEEDS):
        first, own = rng.normal(size=(2, _DRAWS, max(n, m)))
        second = correlation * first + np.sqrt(1 - correlation**2) * own
        yield s * first[:, :n], t * second[:, :m]


def exponential(rng: np.random.Generator) -> Iterator[_Columns]:
    """Skewed numbers, of equal and of unequal deviations."""
    pairs = ((0.2, 0.2), (0.1, 0.2), (0.42, 0.04))
    for (s, t), (n, m), sign in itertools.product(pairs, _SEEDS, (1, -1)):
        yield (
            sign * s * (rng.exponential(size=(_DRAWS, n)) - 1),
            sign * t * (rng.exponential(size=(_DRAWS, m)) - 1),
        )


def two_valued(rng: np.random.Generator) -> Iterator[_Columns]:
    """Numbers that are one of two values, with a little noise."""
    for share, (n, m) in itertools.product((0.1, 0.2, 0.5, 0.8, 0.9), _SEEDS):
        a, b = (
            (rng.random((_DRAWS, k)) < share) + 1e-9 * rng.normal(size=(_DRAWS, k)) for k in (n, m)
        )
        yield a, b


def one_way(found: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Whether a test's t statistics and degrees of freedom tell columns apart, (2, draws)."""
    statistic, degrees = found
    bound = stats.t.ppf(0.975, degrees)
    return np.stack([statistic > bound, statistic < -bound])


def worst(columns: Iterator[_Columns]) -> dict[str, float]:
    """The largest share of draws that each test tells apart in one direction."""
    rates = dict.fromkeys(TESTS, 0.0)
    for a, b in columns:
        for name, test in TESTS.items():
            rates[name] = max(rates[name], float(one_way(test(a, b)).mean(axis=1).max()))
    return rates


def looking(rng: np.random.Generator, counts: Sequence[int]) -> float:
    """The same for the suite's test, where it is read at each of these numbers of seeds."""
    rates = []
    for s, t in itertools.product(_DEVIATIONS, repeat=2):
        a, b = s * rng.normal(size=(_DRAWS, 6)), t * rng.normal(size=(_DRAWS, 6))
        read = [one_way(careful(a[:, :count], b[:, :count])) for count in counts]
        rates.append(float(np.any(read, axis=0).mean(axis=1).max()))
    return max(rates)


def rounded(rng: np.random.Generator, deviations: Sequence[float]) -> float:
    """The same where ranks are rounded, whose means were equal before, for one pair of deviations.

    Means lie anywhere between two whole numbers.
    """
    rates = []
    for mean, (n, m) in itertools.product(np.arange(0, 0.55, 0.1), _SEEDS):
        a, b = (
            (mean + deviation * rng.normal(size=(_DRAWS, count))).round()
            for deviation, count in zip(deviations, (n, m), strict=True)
        )
        rates.append(float(one_way(careful(a, b, least=ROUNDING)).mean(axis=1).max()))
    return max(rates)


def missed(ranks: np.ndarray, mean: float, least: float) -> float:
    """The share of rows whose 95 % interval, with this least standard deviation, misses a mean."""
    count = ranks.shape[1]
    half = stats.t.ppf(0.975, count - 1) * np.maximum(ranks.std(axis=1, ddof=1), least)
    return float((np.abs(ranks.mean(axis=1) - mean) > half / np.sqrt(count)).mean())


def main() -> None:
    """Print the rates, and the power where one column is 1.5 times the other."""
    rng = np.random.default_rng(0)
    print(f"| largest error, one way | {' | '.join(TESTS)} |")
    print("| --- |" + " ---: |" * len(TESTS))
    for name, columns in (
        ("normal", normal(rng)),
        ("normal, correlation 0.35", normal(rng, 0.35)),
        ("normal, correlation -0.5", normal(rng, -0.5)),
        ("exponential", exponential(rng)),
        ("two-valued", two_valued(rng)),
    ):
        print(f"| {name} | {' | '.join(f'{rate:.1%}' for rate in worst(columns).values())} |")
    for count in (3, 6):
        pair = rng.normal(0, 0.2, (_DRAWS, count)), rng.normal(np.log(1.5), 0.2, (_DRAWS, count))
        power = worst(iter([pair]))
        shown = " | ".join(f"{rate:.0%}" for rate in power.values())
        print(f"| found: a factor of 1.5, {count} seeds each | {shown} |")
    early = max(looking(rng, (count, 6)) for count in (3, 4, 5))
    print(
        f"\nread at six seeds alone {looking(rng, (6,)):.1%}, once before, too, {early:.1%}, ",
        end="",
    )
    print(f"at three, four, five and six {looking(rng, (3, 4, 5, 6)):.1%}")
    for count in (3, 6):
        coins = rng.integers(0, 2, (_DRAWS, count)).astype(float)
        shares = " and ".join(f"{missed(coins, 0.5, least):.1%}" for least in (0.0, ROUNDING))
        print(f"{count} ranks that are one of two: missed by plain and by the suite's {shares}")
        for deviation in (0.7, 1.0, 2.0, 4.0):
            ranks = (0.3 + deviation * rng.normal(size=(_DRAWS, count))).round()
            share = missed(ranks, 0.3, ROUNDING)
            print(
                f"{count} rounded ranks, deviation {deviation}: missed by the suite's {share:.1%}"
            )
    scattered = max(
        rounded(rng, pair) for pair in itertools.product((0.2, 0.5, 1.0, 2.0), repeat=2)
    )
    still = max(rounded(rng, (0.01, other)) for other in (0.2, 0.5, 1.0, 2.0))
    print(f"rounded ranks told apart {scattered:.1%}, where one hardly scatters {still:.1%}")


if __name__ == "__main__":
    main()

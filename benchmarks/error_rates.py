"""How often tests of two columns are wrong, for as few seeds as tables have: simulated.

    python -m benchmarks.error_rates

One row for each distribution, one column for each test: the largest share of draws, over standard
deviations and numbers of seeds, in which two columns of equal mean are told apart in one direction.
A test that keeps its level has 2.5 %. docs/decisions.md says what was chosen by it, and when.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

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


def welch(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Welch's t with his degrees of freedom."""
    n, m = a.shape[1], b.shape[1]
    parts = a.var(axis=1, ddof=1) / n, b.var(axis=1, ddof=1) / m
    total = parts[0] + parts[1]
    degrees = total**2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))
    return (b.mean(axis=1) - a.mean(axis=1)) / np.sqrt(total), degrees


def careful(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Welch's t with the degrees of freedom of the column that has fewer seeds: the suite's."""
    statistic, _ = welch(a, b)
    return statistic, np.full(len(a), min(a.shape[1], b.shape[1]) - 1.0)


TESTS: dict[str, _Test] = {"paired": paired, "pooled": pooled, "Welch": welch, "careful": careful}


def normal(rng: np.random.Generator, common: float = 0.0) -> Iterator[_Columns]:
    """Normal numbers; runs of one seed have this intraclass correlation."""
    for (s, t), (n, m) in itertools.product(itertools.product(_DEVIATIONS, repeat=2), _SEEDS):
        shared = np.sqrt(common) * rng.normal(size=(_DRAWS, max(n, m)))
        own = np.sqrt(1 - common)
        yield (
            s * (shared[:, :n] + own * rng.normal(size=(_DRAWS, n))),
            t * (shared[:, :m] + own * rng.normal(size=(_DRAWS, m))),
        )


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


def worst(columns: Iterator[_Columns]) -> dict[str, float]:
    """The largest share of draws that each test tells apart in one direction."""
    rates = dict.fromkeys(TESTS, 0.0)
    for a, b in columns:
        for name, test in TESTS.items():
            statistic, degrees = test(a, b)
            bound = stats.t.ppf(0.975, degrees)
            found = max((statistic > bound).mean(), (statistic < -bound).mean())
            rates[name] = max(rates[name], float(found))
    return rates


def main() -> None:
    """Print the rates, and the power where one column is 1.5 times the other."""
    rng = np.random.default_rng(0)
    print(f"| largest error, one way | {' | '.join(TESTS)} |")
    print("| --- |" + " ---: |" * len(TESTS))
    for name, columns in (
        ("normal", normal(rng)),
        ("normal, intraclass correlation 0.35", normal(rng, 0.35)),
        ("exponential", exponential(rng)),
        ("two-valued", two_valued(rng)),
    ):
        print(f"| {name} | {' | '.join(f'{rate:.1%}' for rate in worst(columns).values())} |")
    for count in (3, 6):
        pair = rng.normal(0, 0.2, (_DRAWS, count)), rng.normal(np.log(1.5), 0.2, (_DRAWS, count))
        power = worst(iter([pair]))
        shown = " | ".join(f"{rate:.0%}" for rate in power.values())
        print(f"| found: a factor of 1.5, {count} seeds each | {shown} |")


if __name__ == "__main__":
    main()

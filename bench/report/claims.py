"""Whether the paper's sentences hold in what was measured: orders of cells, over paired seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, isclose

import numpy as np

from bench.experiments.spec import ClaimSpec, Place
from bench.report.frame import CONFIDENCE, METRICS, Content

# Of fewer differences a bootstrap cannot tell how they scatter.
LEAST_SEEDS = 3
_RESAMPLES = 10_000


class Standing(StrEnum):
    """What can be said of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Comparison:
    """One cell against another that the claim puts above it.

    Attributes:
        lower: the cell that should have the smaller number.
        higher: the cell that should have the larger one.
        n: seeds that both have.
        margin: by how much the lower may still be larger.
        mean: of the differences, higher minus lower; NaN where there are none.
        low: lower end of its 95 % bootstrap interval; NaN below :data:`LEAST_SEEDS`.
        high: upper end.
        deviation: sample standard deviation of the differences.
    """

    lower: Place
    higher: Place
    margin: float
    n: int
    mean: float
    low: float
    high: float
    deviation: float

    @property
    def outcome(self) -> Standing:
        """Holds above 0 less the margin, fails at or below it."""
        if self.n == 0:
            return Standing.NOT_RUN
        if self.n < LEAST_SEEDS:
            return Standing.UNDECIDED
        if self.low > -self.margin:
            return Standing.HOLDS
        return Standing.FAILS if self.high <= -self.margin else Standing.UNDECIDED

    @property
    def distance(self) -> float:
        """How far the mean difference is from where the order would turn."""
        return self.mean + self.margin

    @property
    def evidence(self) -> str:
        """The difference with its interval, and what would settle it where it is open."""
        name = f"{_name(self.higher)} minus {_name(self.lower)}"
        name += f", {-self.margin:g} allowed" if self.margin else ""
        if self.n == 0:
            return f"{name}: no seed has both"
        text = f"{name}: {self.mean:.4g} [{self.low:.4g}, {self.high:.4g}], {self.n} seeds"
        return f"{text}; {self._settling()}" if self.outcome is Standing.UNDECIDED else text

    def _settling(self) -> str:
        if isclose(self.distance, 0, abs_tol=1e-12):
            return "no difference to be seen"
        # As many that the interval's half-width, 1.96 s / sqrt(n), falls below the distance.
        seeds = max(self.n + 1, ceil((1.96 * self.deviation / self.distance) ** 2))
        return f"about {seeds} seeds would settle it if the difference stays"


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes:
        claim: the claim.
        data: name of the data set that it was judged on.
        comparisons: of all its orders.
    """

    claim: ClaimSpec
    data: str
    comparisons: Sequence[Comparison]

    @property
    def outcome(self) -> Standing:
        """One order that fails refutes the claim; it takes all to hold it up."""
        seen = {comparison.outcome for comparison in self.comparisons}
        for outcome in (Standing.FAILS, Standing.NOT_RUN, Standing.UNDECIDED):
            if outcome in seen:
                return outcome
        return Standing.HOLDS

    @property
    def evidence(self) -> str:
        """The comparisons behind the outcome: those that decide it, or the closest one."""
        deciding = [c for c in self.comparisons if c.outcome is self.outcome]
        seeds = min(comparison.n for comparison in deciding)
        if self.outcome is Standing.UNDECIDED and seeds < LEAST_SEEDS:
            ordered = sum(comparison.distance > 0 for comparison in self.comparisons)
            return (
                f"{seeds} of the {LEAST_SEEDS} seeds that it takes; so far {ordered} of "
                f"{len(self.comparisons)} comparisons are as claimed"
            )
        if all(comparison.n == 0 for comparison in self.comparisons):
            return "no two runs to compare"
        if self.outcome is Standing.HOLDS:
            deciding = [min(deciding, key=lambda c: (c.low + c.margin) / c.distance)]
        return "; ".join(comparison.evidence for comparison in deciding)


def judge(content: Content) -> list[Verdict]:
    """Judge the claims of a table by its results.

    Numbers are compared seed by seed: runs of one seed share the order of the images. A mean
    difference is judged by its percentile bootstrap interval (Efron and Tibshirani 1993, chapter
    13), and not adjusted for the number of comparisons.
    """
    table = content.table
    values = {
        metric: _values(content, metric) for metric in {claim.metric for claim in table.claims}
    }
    return [
        Verdict(
            claim,
            table.cells[0].training.dataset,
            [_compare(values[claim.metric], *order, claim.margin) for order in claim.orders],
        )
        for claim in table.claims
    ]


def _values(content: Content, metric: str) -> dict[Place, dict[int, float]]:
    """A metric by place and seed; FIDs of one extractor only."""
    foreign = content.foreign if metric == "fid" else []
    return {
        (cell.row, cell.label): {
            result.spec.seed: METRICS[metric].value(result, content.reading)
            for result in content.results.get(cell, ())
            if result not in foreign
        }
        for cell in content.table.cells
    }


def _compare(
    values: Mapping[Place, Mapping[int, float]], lower: Place, higher: Place, margin: float
) -> Comparison:
    # A figure may show a part of the table alone.
    below, above = values.get(lower, {}), values.get(higher, {})
    differences = np.array([above[seed] - below[seed] for seed in sorted(below.keys() & above)])
    n, nan = len(differences), float("nan")
    if n == 0:
        return Comparison(lower, higher, margin, 0, nan, nan, nan, nan)
    low, high = bootstrap(differences) if n >= LEAST_SEEDS else (nan, nan)
    deviation = float(differences.std(ddof=1)) if n > 1 else nan
    return Comparison(lower, higher, margin, n, float(differences.mean()), low, high, deviation)


def bootstrap(differences: np.ndarray) -> tuple[float, float]:
    """Percentile bootstrap interval (95 %) of the mean; the same for the same numbers.

    Args:
        differences: (n,) float.
    """
    n = len(differences)
    chosen = np.random.default_rng(0).integers(n, size=(_RESAMPLES, n))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(differences[chosen].mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)


def _name(place: Place) -> str:
    return " ".join(part for part in place if part)


def claims_markdown(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as a table in Markdown."""
    lines = [
        "**Claims of the paper, judged by differences over paired seeds (95 % bootstrap)**",
        "",
        "| claim | data | verdict | because |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {v.claim.statement} ({v.claim.source}) | {v.data} | {v.outcome} | {v.evidence} |"
        for v in verdicts
    ]
    return "\n".join(lines) + "\n"


def claim_notes(verdicts: Sequence[Verdict]) -> list[str]:
    """The verdicts as footnotes of their table, which lists itself what was not run."""
    return [
        f"Claim: {v.claim.statement}: {v.outcome} ({v.evidence})."
        for v in verdicts
        if v.outcome is not Standing.NOT_RUN
    ]

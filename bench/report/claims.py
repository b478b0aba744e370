"""Whether the paper's sentences hold in what was measured: orders of cells, over paired seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, sqrt

from bench.experiments.spec import ClaimSpec, Place
from bench.report.frame import Content
from bench.report.metrics import METRICS, REAL, Metric, View
from bench.report.statistics import (
    TAIL,
    Interval,
    deviation,
    differences,
    holm,
    interval,
    p_below,
    seeds_to_settle,
)

# Of fewer differences nothing can be said of how they scatter.
LEAST_SEEDS = 3


class Standing(StrEnum):
    """What can be said of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    DEPENDS = "depends"
    NOT_RUN = "not run"
    NOT_LEARNED = "not learned"


@dataclass(frozen=True)
class Comparison:
    """One cell against another that the claim puts above it.

    Attributes:
        metric: what is compared.
        lower: the cell that should have the smaller number.
        higher: the cell that should have the larger one.
        margin: by how much the lower may still be larger.
        differences: higher minus lower by seed, of logarithms where the metric is logarithmic.
    """

    metric: Metric
    lower: Place
    higher: Place
    margin: float
    differences: Sequence[float]

    @property
    def n(self) -> int:
        """Seeds that both cells have."""
        return len(self.differences)

    @property
    def mean(self) -> float:
        """Mean difference; NaN of none."""
        return self.interval.mean

    @property
    def interval(self) -> Interval:
        """Of the mean difference: 95 %, Student t."""
        return interval(self.differences, least=self._least)

    @property
    def _least(self) -> float:
        # Both numbers of a pair are rounded.
        return sqrt(2) * self.metric.least_deviation

    @property
    def holds(self) -> bool:
        """Whether the whole interval lies on the claimed side."""
        return self.n >= LEAST_SEEDS and self.interval.low > -self.margin

    @property
    def p_against(self) -> float:
        """One-sided p-value of the claimed order: small where it is the other way round."""
        return p_below(self.differences, -self.margin, least=self._least)

    @property
    def evidence(self) -> str:
        """The difference or ratio with its interval."""
        higher, lower = _name(self.higher), _name(self.lower)
        if self.n == 0:
            return f"no seed has both {higher} and {lower}"
        found = self.interval
        ends = [found.mean, found.low, found.high]
        if self.metric.logarithmic:
            ends = [exp(end) for end in ends]
        word = "over" if self.metric.logarithmic else "minus"
        text = "{:.3g} [{:.3g}, {:.3g}]".format(*ends)
        bound = f", claimed to be above {-self.margin:g}" if self.margin else ""
        return f"{self.metric.label}, {higher} {word} {lower}: {text}{bound}, {self.n} seeds"

    def settling(self, orders: int) -> str:
        """How many seeds would settle it, and which way, if the difference stays.

        Args:
            orders: of the claim; a refutation is tested at the level of Holm's first step.
        """
        distance = self.mean + self.margin
        if abs(distance) < 1e-12:
            return "no difference to be seen"
        way, level = ("confirm", TAIL) if distance > 0 else ("refute", TAIL / orders)
        spread = deviation(self.differences, self._least)
        seeds = seeds_to_settle(distance, spread, self.n + 1, level)
        count = "more than a thousand" if seeds is None else f"about {seeds}"
        alone = f"too few to refute one of {orders} comparisons (Holm's correction), "
        return f"{alone if self.p_against <= TAIL else ''}{count} would {way} it with 80 % power"


@dataclass(frozen=True)
class Judgement:
    """What becomes of a claim as one extractor sees the samples of one sampler.

    Attributes:
        view: extractor and sampler; empty for metrics that are not of images.
        comparisons: of all its orders.
        unlearned: runs of its cells that are left out, since they have not learned.
    """

    view: View
    comparisons: Sequence[Comparison]
    unlearned: int = 0

    @property
    def standing(self) -> Standing:
        """It takes all orders to hold a claim up, and one that is refuted refutes it.

        Refuted is an order whose one-sided test rejects it at 2.5 % after Holm's correction for
        the number of orders, so that a claim is refuted by chance no more often than it is held up.
        """
        if any(comparison.n == 0 for comparison in self.comparisons):
            return Standing.NOT_LEARNED if self.unlearned else Standing.NOT_RUN
        if self.seeds < LEAST_SEEDS:
            return Standing.UNDECIDED
        if all(comparison.holds for comparison in self.comparisons):
            return Standing.HOLDS
        return Standing.FAILS if any(self._refuted) else Standing.UNDECIDED

    @property
    def seeds(self) -> int:
        """Seeds of the comparison that has fewest."""
        return min(comparison.n for comparison in self.comparisons)

    @property
    def _refuted(self) -> list[bool]:
        p_values = [comparison.p_against for comparison in self.comparisons]
        return holm(p_values, TAIL)

    @property
    def evidence(self) -> str:
        """The comparisons behind it: those that decide it, or the least clear one."""
        left_out = f"; {self.unlearned} runs left out that have not learned"
        return self._evidence + (left_out if self.unlearned else "")

    @property
    def _evidence(self) -> str:
        if all(comparison.n == 0 for comparison in self.comparisons):
            return "no two runs to compare"
        if self.standing in (Standing.NOT_RUN, Standing.NOT_LEARNED):
            return "; ".join(c.evidence for c in self.comparisons if c.n == 0)
        if self.seeds < LEAST_SEEDS:
            ordered = sum(
                all(c.differences[i] > -c.margin for c in self.comparisons)
                for i in range(self.seeds)
            )
            return f"as claimed in {ordered} of {self.seeds} seeds"
        if self.standing is Standing.FAILS:
            deciding = zip(self.comparisons, self._refuted, strict=True)
            return "; ".join(comparison.evidence for comparison, out in deciding if out)
        if self.standing is Standing.UNDECIDED:
            open_ = [c for c in self.comparisons if not c.holds]
            return "; ".join(f"{c.evidence}, {c.settling(len(self.comparisons))}" for c in open_)
        closest = min(self.comparisons, key=lambda c: c.interval.low + c.margin)
        which = f"closest of {len(self.comparisons)}: " if len(self.comparisons) > 1 else ""
        return which + closest.evidence


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes:
        claim: the claim.
        data: name of the data set that it was judged on.
        profile: the profile of the runs that it was judged by.
        judgements: in every view that all its cells have; one where it is not of images.
    """

    claim: ClaimSpec
    data: str
    profile: str
    judgements: Sequence[Judgement]

    @property
    def standing(self) -> Standing:
        """That in every view, where it is the same."""
        seen = {judgement.standing for judgement in self.judgements}
        return seen.pop() if len(seen) == 1 else Standing.DEPENDS

    @property
    def text(self) -> str:
        """The verdict in words."""
        if self.standing is Standing.DEPENDS:
            return f"{Standing.DEPENDS}: {'; '.join(self._parts)}"
        few = all(judgement.seeds < LEAST_SEEDS for judgement in self.judgements)
        if self.standing is Standing.UNDECIDED and few:
            return f"{Standing.UNDECIDED}, too few seeds"
        decided = self.standing in (Standing.HOLDS, Standing.FAILS)
        several = decided and len(self.judgements) > 1
        return f"{self.standing}{f' {self._everywhere}' if several else ''}"

    @property
    def _everywhere(self) -> str:
        extractors = dict.fromkeys(judgement.view.extractor for judgement in self.judgements)
        return f"under every sampler, seen through {' and through '.join(extractors)}"

    @property
    def _parts(self) -> list[str]:
        """Which verdict it is in which views: through an extractor, and with which samplers."""
        parts = []
        for standing in (Standing.HOLDS, Standing.FAILS, Standing.UNDECIDED):
            samplers: dict[str, list[str]] = {}
            for judgement in self.judgements:
                if judgement.standing is standing:
                    view = judgement.view
                    samplers.setdefault(view.extractor, []).append(view.sampler)
            named = [f"{', '.join(names)} through {each}" for each, names in samplers.items()]
            if named:
                parts.append(f"{standing} with {' and '.join(named)}")
        return parts

    @property
    def evidence(self) -> list[str]:
        """What is behind it, in each view."""
        if len(self.judgements) == 1 or self.standing in (Standing.NOT_RUN, Standing.NOT_LEARNED):
            return [self.judgements[0].evidence]
        return [f"{j.view}: {j.evidence}" for j in self.judgements]


def judge(content: Content) -> list[Verdict]:
    """Judge the claims of a table by its results.

    Numbers are compared seed by seed, since runs of one seed share the order of the images; those
    that differ by factors by their logarithms. Intervals are Student's t of the differences.
    """
    table = content.table
    verdicts = []
    for claim in table.claims:
        declared = [view for view in content.views(claim.metric) if view.sampler != REAL]
        values = {
            view: {
                (cell.row, cell.label): content.values(claim.metric, view, cell, learned=True)
                for cell in table.cells
            }
            for view in declared
        }
        named = {place for order in claim.orders for place in order}
        everywhere = [
            view for view, numbers in values.items() if all(numbers.get(place) for place in named)
        ]
        unlearned = sum(
            len(content.unlearned(cell)) for cell in table.cells if (cell.row, cell.label) in named
        )
        judgements = [
            Judgement(
                view,
                [_compare(values[view], *order, claim=claim) for order in claim.orders],
                unlearned,
            )
            for view in everywhere or list(values)[:1]
        ]
        data = table.cells[0].training.dataset
        verdicts.append(Verdict(claim, data, content.profile, judgements))
    return verdicts


def _compare(
    values: Mapping[Place, Mapping[int, float]], lower: Place, higher: Place, *, claim: ClaimSpec
) -> Comparison:
    # A figure may show a part of the table alone.
    below, above = values.get(lower, {}), values.get(higher, {})
    metric = METRICS[claim.metric]
    found = differences(below, above, logarithmic=metric.logarithmic)
    return Comparison(metric, lower, higher, claim.margin, found)


def _name(place: Place) -> str:
    return " ".join(part for part in place if part)

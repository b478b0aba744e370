"""Judge the paper's claims, which are orders between cells, by what was measured over seeds."""

import functools
import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp

from bench.experiments.spec import PRIOR, Cell, ClaimSpec, TableSpec
from bench.report.frame import TableResults
from bench.report.metrics import METRICS, REAL, Metric, View
from bench.report.statistics import TAIL, Difference, difference, holm
from bench.screen import counted

# Fewer seeds say too little about how numbers scatter.
LEAST_SEEDS = 3
# At most so many of the orders that leave a claim undecided are named.
_NAMED = 4


def span(counts: Collection[int]) -> str:
    """The least and the most of some numbers of seeds: ``3``, or ``3 to 6``."""
    return " to ".join(map(str, dict.fromkeys([min(counts), max(counts)])))


class Standing(StrEnum):
    """What can be said of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDECIDED = "undecided"
    DEPENDS = "depends"
    NOT_RUN = "not run"
    NOT_MEASURED = "not measured"
    NOT_LEARNED = "not learned"
    SHOWN = "no verdict"

    @property
    def empty(self) -> bool:
        """Whether there are no numbers to tell by."""
        return self in (Standing.NOT_RUN, Standing.NOT_MEASURED, Standing.NOT_LEARNED)


@dataclass(frozen=True)
class Comparison:
    """Two cells by name, of which the lower should have the smaller number.

    The numbers of the lower cell's runs are ``below``, those of the higher one's ``above``.
    """

    metric: Metric
    lower: str
    higher: str
    below: Sequence[float]
    above: Sequence[float]

    @property
    def n(self) -> int:
        """Seeds of the cell that has fewer."""
        return min(len(self.below), len(self.above))

    @property
    def difference(self) -> Difference:
        """The higher cell's mean minus the lower one's, of logarithms where the metric has them."""
        return difference(
            self.below,
            self.above,
            logarithmic=self.metric.logarithmic,
            least=self.metric.least_deviation,
        )

    @property
    def holds(self) -> bool:
        """Whether the whole interval lies on the claimed side."""
        return self.n >= LEAST_SEEDS and self.difference.interval[0] > 0

    @property
    def evidence(self) -> str:
        """The difference or ratio with its interval."""
        if self.n == 0:
            return f"no {self.metric.symbol} of {self.lower if not self.below else self.higher}"
        found = self.difference
        ends = [found.mean, *found.interval]
        if self.metric.logarithmic:
            ends = [exp(end) for end in ends]
        sign = "/" if self.metric.logarithmic else "\N{MINUS SIGN}"
        what = f"{self.metric.symbol}({self.higher}) {sign} {self.metric.symbol}({self.lower})"
        shown = "{:.3g}" if self.n < 2 else "{:.3g} [{:.3g}, {:.3g}]"
        counts = dict.fromkeys([len(self.above), len(self.below)])
        seeds = f"{' and '.join(map(str, counts))} seed{'' if max(counts) == 1 else 's'}"
        return f"{what} = {shown.format(*ends)}, {seeds}"


@dataclass(frozen=True)
class Judgement:
    """The verdict on a claim by one extractor and under one sampler.

    Attributes:
        view: extractor and sampler; empty for metrics that are not of images.
        comparisons: of all its orders.
        finished: whether each of its cells has a run.
        unlearned: runs of its cells that are left out, since they have not learned.
        judged: whether the claim says enough to be judged.
    """

    view: View
    comparisons: Sequence[Comparison]
    finished: bool = True
    unlearned: int = 0
    judged: bool = True

    @property
    def standing(self) -> Standing:
        """A claim holds if all its orders hold, and does not hold if one of them is refuted.

        Refuted is an order whose one-sided test rejects it at 2.5 % after Holm's correction for
        the number of orders, so that a claim is refuted by chance no more often than it is held up.
        """
        if any(comparison.n == 0 for comparison in self.comparisons):
            if self.unlearned and self.finished:
                return Standing.NOT_LEARNED
            return Standing.NOT_MEASURED if self.finished else Standing.NOT_RUN
        if not self.judged:
            return Standing.SHOWN
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
        return holm([c.difference.p_below_zero for c in self.comparisons], TAIL)

    @property
    def evidence(self) -> str:
        """The comparisons behind it: those that decide it, or are farthest from it."""
        left_out = f"; left out, not learned: {counted(self.unlearned, 'run')}"
        return self._evidence + (left_out if self.unlearned else "")

    @property
    def _evidence(self) -> str:
        if self.standing.empty:
            missing = "; ".join(dict.fromkeys(c.evidence for c in self.comparisons if c.n == 0))
            if self.standing is Standing.NOT_MEASURED:
                missing = f"{self.view}: " * bool(str(self.view)) + missing
            elif all(c.n == 0 for c in self.comparisons):
                missing = "no two runs to compare"
            return missing
        if self.standing is Standing.SHOWN:
            return "; ".join(c.evidence for c in self.comparisons)
        if self.seeds < LEAST_SEEDS:
            claimed = all(c.difference.mean > 0 for c in self.comparisons)
            counts = [len(side) for c in self.comparisons for side in (c.below, c.above)]
            seeds = f"{span(counts)} seed{'' if max(counts) == 1 else 's'}"
            order = "in the claimed order" if claimed else "not in the claimed order"
            return f"too few seeds for a verdict ({seeds}); their means are {order}"
        if self.standing is Standing.FAILS:
            deciding = zip(self.comparisons, self._refuted, strict=True)
            return "; ".join(comparison.evidence for comparison, out in deciding if out)
        if self.standing is Standing.UNDECIDED:
            # An order that one test alone would refute.
            orders = counted(len(self.comparisons), "order")
            weak = f", too weak to refute the claim (Holm's correction, {orders})"
            left = [(c.difference.p_below_zero, c) for c in self.comparisons if not c.holds]
            left.sort(key=lambda each: each[0])
            named = [c.evidence + (weak if p <= TAIL else "") for p, c in left[:_NAMED]]
            more = [f"and {len(left) - _NAMED} more"] if len(left) > _NAMED else []
            return "; ".join(named + more)
        closest = min(self.comparisons, key=lambda c: c.difference.interval[0])
        count = len(self.comparisons)
        return (f"nearest to failing, of {count} orders: " if count > 1 else "") + closest.evidence


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Attributes:
        claim: the claim.
        content: the table that it was judged by.
        cells: what it is about.
        judgements: in every view that has :data:`LEAST_SEEDS` of all its cells, or, where there is
            none, in every view that has all its cells; one where it is not of images.
        beside: judgements that are shown, and do not count.
    """

    claim: ClaimSpec
    content: TableResults
    cells: Sequence[Cell]
    judgements: Sequence[Judgement]
    beside: Sequence[Judgement] = ()

    @property
    def data(self) -> str:
        """Name of the data set that it was judged on."""
        return self.content.table.cells[0].training.dataset

    @property
    def extractors(self) -> list[str]:
        """Those that it was judged by; one empty name where the metric is not of images."""
        return list(dict.fromkeys(judgement.view.extractor for judgement in self.judgements))

    def seeds(self, extractors: Collection[str]) -> list[int]:
        """Seeds of each cell, learned or not, in the view of these extractors that has fewest."""
        views = [j.view for j in self.judgements if j.view.extractor in extractors]
        values, metric = self.content.values, self.claim.metric
        return [min(len(values(metric, view, cell)) for view in views) for cell in self.cells]

    @property
    def standing(self) -> Standing:
        """That in every view, where it is the same."""
        seen = {judgement.standing for judgement in self.judgements}
        return seen.pop() if len(seen) == 1 else Standing.DEPENDS

    @property
    def text(self) -> str:
        """The verdict in words."""
        judged = not self.standing.empty and self.standing is not Standing.SHOWN
        seeds, fixed = self.seeds(self.extractors), self.content.table.seeds
        interim = judged and min(seeds) < fixed
        return self._text + f" (interim: {span(seeds)} of {fixed} seeds)" * interim

    @property
    def _text(self) -> str:
        if self.standing is Standing.SHOWN:
            return f"{Standing.SHOWN}, since the paper names no margin"
        if self.standing is Standing.DEPENDS:
            return f"{Standing.DEPENDS}: {'; '.join(self._parts)}"
        few = all(judgement.seeds < LEAST_SEEDS for judgement in self.judgements)
        if self.standing is Standing.UNDECIDED and few:
            return f"{Standing.UNDECIDED}, too few seeds"
        which = {Standing.HOLDS: "every", Standing.FAILS: "any"}.get(self.standing)
        if not which or len(self.judgements) == 1:
            return self.standing
        fewer = any(each.view.extractor in self.extractors for each in self.beside)
        enough = f" with {LEAST_SEEDS} seeds" * fewer
        return f"{self.standing} under {which} sampler{enough}, by {' and '.join(self.extractors)}"

    @property
    def _parts(self) -> list[str]:
        """Each verdict with the extractors and samplers that give it."""
        parts = []
        for standing in (Standing.HOLDS, Standing.FAILS, Standing.UNDECIDED):
            views = [j.view for j in self.judgements if j.standing is standing]
            groups = itertools.groupby(views, key=lambda view: view.extractor)
            named = [f"{', '.join(v.sampler for v in seen)} by {e}" for e, seen in groups]
            if named:
                parts.append(f"{standing} under {' and '.join(named)}")
        return parts

    @property
    def evidence(self) -> list[str]:
        """What is behind it, in each view."""
        shown = [*self.judgements, *self.beside]
        if len(shown) == 1 or self.standing.empty:
            return [shown[0].evidence]
        return [f"{j.view}: {j.evidence}" for j in shown]


def judge(content: TableResults) -> list[Verdict]:
    """Judge the claims of a table, by :func:`bench.report.statistics.difference`."""
    table, verdicts = content.table, []
    places = table.places
    for claim in table.claims:
        orders = [(places[lower], places[higher]) for lower, higher in claim.orders]
        ordered = set(itertools.chain(*orders))
        cells = [cell for cell in table.cells if cell in ordered]
        views = [view for view in content.views(claim.metric) if view.sampler != REAL] or [View()]
        values = {v: {c: content.learned(claim.metric, v, c) for c in cells} for v in views}
        compare = functools.partial(_compare, table, METRICS[claim.metric])
        judgements = [
            Judgement(
                view,
                [compare(values[view], *order) for order in orders],
                finished=all(content.results.get(cell) for cell in cells),
                unlearned=sum(len(content.unlearned(cell)) for cell in cells),
                judged=claim.judged,
            )
            for view in [view for view in views if all(values[view].values())] or views[:1]
        ]
        # What has seen too few runs must not undo what others tell.
        deciding = [each for each in judgements if each.seeds >= LEAST_SEEDS] or judgements
        beside = [each for each in judgements if each not in deciding]
        if not claim.judged:
            beside += _against_priors(compare, values, *orders[0])
        verdicts.append(Verdict(claim, content, cells, deciding, beside))
    return verdicts


# Numbers of the runs of each cell.
_Numbers = Mapping[Cell, Sequence[float]]


def _against_priors(
    compare: Callable[..., Comparison], values: Mapping[View, _Numbers], lower: Cell, higher: Cell
) -> Iterator[Judgement]:
    """What is shown beside a claim without a verdict: a method with a prior, sampled from it."""
    for view, numbers in values.items():
        prior = values.get(View(view.extractor, PRIOR))
        if prior and view.sampler != PRIOR:
            compared = compare({lower: numbers[lower], higher: prior[higher]}, lower, higher)
            if compared.n:
                seen = View(view.extractor, f"{view.sampler} against the prior")
                yield Judgement(seen, [compared], judged=False)


def _compare(
    table: TableSpec, metric: Metric, values: _Numbers, lower: Cell, higher: Cell
) -> Comparison:
    below, above = (
        # A distance of 0 has no logarithm.
        [value for value in values[cell] if value > 0 or not metric.logarithmic]
        for cell in (lower, higher)
    )
    return Comparison(metric, table.naming(lower), table.naming(higher), below, above)

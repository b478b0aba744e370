"""How often claims are decided by chance, and how often they would be found true: simulated.

    python -m benchmarks.chance_verdicts [RUNS]

Columns of Tables 3 to 6 and of section 3 are drawn, with as many seeds as were fixed for them, from
normal distributions whose covariance, over the samplers, is that of the column's finished runs (of
logarithms of FIDs; MNIST in ``paper``, faces in ``overnight``). Claims are judged as the suite
judges them, by one extractor at a time, where it has measured three seeds of each column. One row
for each claim and extractor:

- all equal: no column differs from another; the share of draws in which some sampler, and every
  one, decides the claim;
- one equal: the two columns of one order do not differ, and all other orders are plainly as
  claimed; the largest such share over the orders;
- as printed: columns differ as the printed numbers do; how often the claim holds by some, and every
  sampler.
"""

import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from pathlib import Path

import numpy as np

from bench.campaign.runs import every_result
from bench.experiments.profiles import PROFILES
from bench.experiments.published import PUBLISHED
from bench.experiments.spec import FITTED, ClaimSpec, Place, TableSpec, TrainingSpec
from bench.experiments.tables import TABLES
from bench.report.claims import LEAST_SEEDS, Comparison, Judgement, Standing
from bench.report.display import Display
from bench.report.metrics import METRICS, View
from bench.store.folders import Store
from bench.store.records import Result

_DRAWS = 2_000
# Plainly more: a factor of e^9 between FIDs, and nine ranks.
_FAR = 9.0
_SETTLED = (Standing.HOLDS, Standing.FAILS)
# Numbers (draws, seeds, views) of each column.
_Columns = Mapping[Place, np.ndarray]


@dataclass(frozen=True)
class Simulation:
    """A claim of a table, as an extractor sees it."""

    table: TableSpec
    claim: ClaimSpec
    views: Sequence[View]
    columns: _Columns

    @property
    def printed(self) -> dict[Place, float] | None:
        """What the paper prints for each column; None where it lacks one."""
        keys = {p: (self.table.published, self.claim.metric, *p) for p in self.columns}
        found = {place: PUBLISHED[key].value for place, key in keys.items() if key in PUBLISHED}
        return found if len(found) == len(keys) else None

    def shares(
        self,
        wanted: Sequence[Standing],
        *,
        centres: Mapping[Place, float] | None = None,
        equal: int | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Whether a claim comes out as one of these by some view, and by every one: (draws,) each.

        ``centres`` are means of columns, else all the same; where ``equal`` is one of the orders,
        the higher column of every other one is plainly higher.
        """
        metric = METRICS[self.claim.metric]

        def moved(numbers: np.ndarray, by: float) -> list[float]:
            return [each * exp(by) if metric.logarithmic else each + by for each in numbers]

        def mean(place: Place) -> float:
            if centres is None:
                return 0.0
            return log(centres[place]) if metric.logarithmic else centres[place]

        def standing(draw: int, view: int) -> Standing:
            orders = [
                Comparison(
                    metric,
                    "",
                    "",
                    moved(self.columns[low][draw, :, view], mean(low)),
                    moved(
                        self.columns[high][draw, :, view],
                        mean(high) + _FAR * (equal not in (None, order)),
                    ),
                )
                for order, (low, high) in enumerate(self.claim.orders)
            ]
            return Judgement(self.views[view], orders).standing

        seen = [[standing(d, v) in wanted for v in range(len(self.views))] for d in range(_DRAWS)]
        return np.array([any(views) for views in seen]), np.array([all(views) for views in seen])

    def one_equal(self) -> tuple[float, float]:
        """The largest shares of draws in which one order alone decides the claim by chance."""
        found = []
        for equal in range(len(self.claim.orders)):
            sides = self.shares(_SETTLED, equal=equal)
            found.append([float(side.mean()) for side in sides])
        some, every = (max(side) for side in zip(*found, strict=True))
        return some, every


def measured(results: Sequence[Result], training: TrainingSpec) -> list[Result]:
    """Finished runs of a column: at the paper's settings, or on faces."""
    if training.dataset == "celeba":
        training, _ = PROFILES["overnight"].apply(replace(training, dataset="celeba-10k"))
    # How many of the faces are trained on is known where they lie.
    images = training.train_images
    return [r for r in results if replace(r.spec, seed=0, train_images=images) == training]


def drawn(
    results: Sequence[Result],
    rng: np.random.Generator,
    training: TrainingSpec,
    seeds: int,
    seen_by: tuple[str, tuple[View, ...]],
) -> np.ndarray | None:
    """A metric of a column about its mean, (draws, seeds, views); None of too few runs."""
    name, views = seen_by
    metric, display = METRICS[name], Display()
    rows = [
        [metric.value(result, display, view) for view in views]
        for result in measured(results, training)
    ]
    seen = np.array([row for row in rows if None not in row], dtype=float)
    if len(seen) < LEAST_SEEDS:
        return None
    covariance = np.cov(np.log(seen) if metric.logarithmic else seen, rowvar=False)
    numbers = rng.multivariate_normal(
        np.zeros(seen.shape[1]), np.atleast_2d(covariance), (_DRAWS, seeds)
    )
    return np.exp(numbers) if metric.logarithmic else numbers


def simulations(results: Sequence[Result]) -> list[Simulation]:
    """Every claim of the tables whose number of seeds was fixed, by each extractor."""
    # A column is drawn once for all claims about it.
    column = functools.cache(functools.partial(drawn, results, np.random.default_rng(0)))
    found = []
    for name in ("table3", "table4", "table5", "table6", "section3"):
        table = TABLES[name]
        for claim in (each for each in table.claims if each.judged):
            by_view = METRICS[claim.metric].by_view
            for extractor in ("imagenet", "classifier") if by_view else ("",):
                views = tuple(View(extractor, sampler) for sampler in FITTED)
                views = views if by_view else (View(),)
                columns = {
                    place: column(table.places[place].training, table.seeds, (claim.metric, views))
                    for place in dict.fromkeys(place for order in claim.orders for place in order)
                }
                kept = {place: each for place, each in columns.items() if each is not None}
                if len(kept) == len(columns):
                    found.append(Simulation(table, claim, views, kept))
    return found


def main() -> None:
    """Print the shares, by claim and extractor, and those of at least one claim on MNIST."""
    results = every_result(Store(Path(*sys.argv[1:2] or ["runs"])).read())
    print("| claim | extractor | all equal | one equal | as printed |")
    print("| --- | --- | ---: | ---: | ---: |")
    on_mnist = []
    for each in simulations(results):
        chance = each.shares(_SETTLED)
        if each.views[0].extractor != "imagenet":
            on_mnist.append(chance)
        shares = [[float(side.mean()) for side in chance], each.one_equal()]
        if printed := each.printed:
            true = each.shares([Standing.HOLDS], centres=printed)
            shares.append([float(side.mean()) for side in true])
        shown = [" and ".join(f"{share:.1%}" for share in pair) for pair in shares]
        extractor = each.views[0].extractor or "--"
        row = [each.claim.statement, extractor, *shown, *["--"] * (3 - len(shown))]
        print(f"| {' | '.join(row)} |", flush=True)
    some, every = (np.any(side, axis=0).mean() for side in zip(*on_mnist, strict=True))
    print(f"at least one claim on MNIST, all equal, without imagenet: {some:.1%} and {every:.1%}")


if __name__ == "__main__":
    main()

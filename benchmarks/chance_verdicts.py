"""How often some sampler decides some claim where no column differs from another: simulated.

    python -m benchmarks.chance_verdicts [RUNS]

Each column of Tables 3 and 4 and of section 3 is drawn with six seeds from a normal distribution of
mean 0 whose covariance, over the samplers, is that of the column's finished runs at the paper's
settings (of logarithms of FIDs). The claims are judged as the suite judges them, by the classifier.
"""

import functools
import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.campaign.runs import every_result
from bench.experiments.spec import FITTED, ClaimSpec, Place, TrainingSpec
from bench.experiments.tables import TABLES
from bench.report.claims import Comparison, Judgement, Standing
from bench.report.display import Display
from bench.report.metrics import METRICS, View
from bench.store.folders import Store
from bench.store.records import Result

_DRAWS, _SEEDS = 2_000, 6


def drawn(
    results: Sequence[Result], rng: np.random.Generator, training: TrainingSpec, name: str
) -> np.ndarray:
    """A metric of a column, (draws, seeds, samplers)."""
    metric, display = METRICS[name], Display()
    of_column = [each for each in results if replace(each.spec, seed=0) == training]
    seen = np.array([[metric.value(r, display, v) for v in _views(name)] for r in of_column])
    covariance = np.cov(np.log(seen) if metric.logarithmic else seen, rowvar=False)
    mean, size = np.zeros(seen.shape[1]), (_DRAWS, _SEEDS)
    numbers = rng.multivariate_normal(mean, np.atleast_2d(covariance), size)
    return np.exp(numbers) if metric.logarithmic else numbers


def decided(claim: ClaimSpec, columns: Mapping[Place, np.ndarray]) -> np.ndarray:
    """Whether a claim is held up or refuted, (draws, samplers)."""
    metric, views = METRICS[claim.metric], _views(claim.metric)

    def standing(draw: int, view: int) -> Standing:
        numbers = {place: list(each[draw, :, view]) for place, each in columns.items()}
        orders = [Comparison(metric, "", "", numbers[a], numbers[b]) for a, b in claim.orders]
        return Judgement(views[view], orders).standing

    settled = (Standing.HOLDS, Standing.FAILS)
    pairs = itertools.product(range(_DRAWS), range(len(views)))
    return np.array([standing(*pair) in settled for pair in pairs]).reshape(_DRAWS, len(views))


def _views(name: str) -> list[View]:
    by_sampler = [View("classifier", sampler) for sampler in FITTED]
    return by_sampler if METRICS[name].by_view else [View()]


def main() -> None:
    """Print the share of draws in which a claim is decided by any sampler, and by all."""
    results = every_result(Store(Path(*sys.argv[1:2] or ["runs"])).read())
    # A column is drawn once for all claims about it.
    column = functools.cache(functools.partial(drawn, results, np.random.default_rng(0)))
    found = []
    for table in (TABLES["table3"], TABLES["table4"], TABLES["section3"]):
        for claim in (each for each in table.claims if each.judged):
            places = dict.fromkeys(itertools.chain(*claim.orders))
            trainings = {place: table.places[place].training for place in places}
            columns = {place: column(each, claim.metric) for place, each in trainings.items()}
            by_sampler = decided(claim, columns)
            found.append((claim.statement, by_sampler.any(axis=1), by_sampler.all(axis=1)))
    _, *sides = zip(*found, strict=True)
    found.append(("some claim", *(np.any(side, axis=0) for side in sides)))
    for statement, by_any, by_all in found:
        print(f"{statement}: by any sampler {by_any.mean():.1%}, by all {by_all.mean():.1%}")


if __name__ == "__main__":
    main()

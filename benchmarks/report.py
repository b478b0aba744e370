"""Rounds of two ways of doing a thing, taken in turns, and their ratio."""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.files import write_bytes
from bench.store.provenance import provenance


@dataclass(frozen=True)
class Comparison:
    """Rates of a baseline and of the suite, a pair for each round.

    Attributes:
        name: what was done.
        unit: of the rates.
        baseline: rates of the baseline, by round.
        suite: rates of the suite, by round.
    """

    name: str
    unit: str
    baseline: list[float]
    suite: list[float]

    @property
    def ratios(self) -> list[float]:
        """How many times the baseline's rate the suite's was, by round."""
        return [ours / theirs for ours, theirs in zip(self.suite, self.baseline, strict=True)]

    def line(self) -> str:
        """The medians, and the spread of the ratio over rounds."""
        return (
            f"{self.name}: {statistics.median(self.suite):,.0f} {self.unit}, baseline "
            f"{statistics.median(self.baseline):,.0f}: {statistics.median(self.ratios):.2f} times "
            f"({min(self.ratios):.2f} to {max(self.ratios):.2f} in {len(self.ratios)} rounds)"
        )


def compare(
    name: str,
    unit: str,
    *,
    work: int,
    baseline_work: int | None = None,
    baseline: Callable[[], object],
    suite: Callable[[], object],
    rounds: int,
) -> Comparison:
    """Do both by turns, so that a slow moment of the machine hits both.

    Args:
        name: what is done.
        unit: of the rates, ``work`` units a second.
        work: units that one call does.
        baseline_work: those of the baseline's, where they are fewer.
        baseline: does it as a user would.
        suite: does it as the suite does.
        rounds: how often; an odd number has a middle.
    """
    rates: dict[str, list[float]] = {"baseline": [], "suite": []}
    for _ in range(rounds):
        for side, call, units in (
            ("baseline", baseline, baseline_work or work),
            ("suite", suite, work),
        ):
            start = time.perf_counter()
            call()
            rates[side].append(units / (time.perf_counter() - start))
    return Comparison(name, unit, rates["baseline"], rates["suite"])


def options(about: str | None, name: str, **defaults: int) -> argparse.Namespace:
    """The options of a benchmark: numbers by their defaults, and where its JSON is written."""
    parser = argparse.ArgumentParser(description=about)
    for option, default in defaults.items():
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--out", type=Path, default=Path(f"benchmarks/results/{name}.json"))
    return parser.parse_args()


def write_json(path: Path, threads: int, device: str = "cpu", **content: object) -> None:
    """Write what was measured, and on what."""
    whole = {"provenance": provenance(device, threads), **content}
    write_bytes(path, f"{json.dumps(whole, indent=1)}\n".encode())


def write_comparisons(
    path: Path, comparisons: Sequence[Comparison], threads: int, device: str = "cpu"
) -> None:
    """Write comparisons with their ratios."""
    rows = [asdict(each) | {"ratios": each.ratios} for each in comparisons]
    write_json(path, threads, device, comparisons=rows)

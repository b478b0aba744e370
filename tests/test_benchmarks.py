"""Benchmarks run to their end, at sizes that say nothing of speed."""

import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.campaign.runs import every_result
from bench.experiments.tables import TABLES
from bench.report.claims import Standing
from bench.report.statistics import ROUNDING, difference
from bench.store.folders import Store
from benchmarks import chance_verdicts, startup
from benchmarks.error_rates import careful
from benchmarks.faults import run_campaign

ROOT = Path(__file__).parent.parent
# Of few samples, pytorch-fid's distance ends in an error.
SMALL = {
    "startup": [],
    "scaling": [],
    "evaluation": ["--samples", "1000"],
    "training": ["--steps", "4"],
    "methods": ["--steps", "1"],
    "preparation": ["--pictures", "300"],
}


def test_what_make_benchmarks_names_is_there() -> None:
    named = re.findall(r"for name in (.*); do \S+ -m benchmarks", (ROOT / "Makefile").read_text())
    assert [set(names.split()) for names in named] == [{*SMALL, "faults"}]
    for name in (*SMALL, "faults"):
        assert callable(importlib.import_module(f"benchmarks.{name}").main)
    assert Store(startup.RECORDS).read()


@pytest.mark.parametrize("least", [0.0, ROUNDING])
def test_the_test_whose_errors_are_counted_is_the_suites(least: float) -> None:
    rows, others = (np.random.default_rng(0).normal(size=(20, count)) for count in (3, 6))
    found = [
        difference(list(a), list(b), logarithmic=False, least=least)
        for a, b in zip(rows, others, strict=True)
    ]
    statistics, degrees = careful(rows, others, least)
    assert [each.mean / each.error for each in found] == pytest.approx(statistics)
    assert [each.degrees for each in found] == degrees.tolist()


def test_chance_is_asked_of_every_claim_that_three_seeds_can_judge(
    committed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chance_verdicts, "_DRAWS", 8)
    found = chance_verdicts.simulations(every_result(Store(committed).read()))
    by_extractor = {
        name: {each.claim for each in found if each.views[0].extractor == name}
        for name in ("", "classifier", "imagenet")
    }
    of_faces = {claim for name in ("table5", "table6") for claim in TABLES[name].claims}
    of_mnist = {c for name in ("table3", "table4", "section3") for c in TABLES[name].claims}
    assert by_extractor["imagenet"] >= of_faces
    judged = {claim for claim in of_mnist if claim.judged}
    assert by_extractor["classifier"] | by_extractor[""] == judged
    for each in found:
        for shares in (each.shares(list(Standing)), each.shares(list(Standing), equal=0)):
            assert np.all(shares)
        held = each.shares([Standing.HOLDS], centres=dict.fromkeys(each.columns, 1.0))
        plain = each.shares([Standing.HOLDS])
        assert np.array_equal(held, plain)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_benchmark_writes_its_numbers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "numbers.json"
    arguments = ["--rounds", "1", "--out", str(out), *SMALL[name]]
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    importlib.import_module(f"benchmarks.{name}").main()
    written = json.loads(out.read_text())
    assert written["provenance"]["commit"]
    for comparison in written.get("comparisons", ()):
        assert len(comparison["ratios"]) == 1
        assert comparison["ratios"][0] > 0
    for growth in written.get("growth", ()):
        assert all(times[0] > 0 for times in growth["seconds"].values())
    assert written.get("comparisons") or written.get("growth")


@pytest.mark.slow
def test_under_faults_nothing_is_lost_and_nothing_differs(tmp_path: Path) -> None:
    campaign = run_campaign(1, seed=1, folder=tmp_path)
    assert len(campaign.expected) == 2
    assert campaign.rounds == 1
    assert sum(campaign.faults.values()) > 0, campaign.line()
    assert (campaign.lost, campaign.differing, campaign.tracebacks) == (0, 0, 0), campaign.line()

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.cli import main
from bench.experiments.published import PUBLISHED
from bench.experiments.tables import PAPER_TABLES, TABLES
from bench.report.claims import Standing, bootstrap, claims_markdown, judge
from bench.report.frame import METRICS, Content
from tests.support.results import content as content_of

GOLDEN = Path(__file__).parent / "golden"


def _outcomes(content: Content) -> list[str]:
    return [verdict.outcome for verdict in judge(content)]


def test_claims_are_of_cells_that_exist() -> None:
    for table in TABLES.values():
        places = {(cell.row, cell.label) for cell in table.cells}
        for claim in table.claims:
            assert claim.metric in METRICS
            assert {place for order in claim.orders for place in order} <= places
    assert sum(len(TABLES[name].claims) for name in PAPER_TABLES) == 8


@pytest.mark.parametrize("name", PAPER_TABLES)
def test_the_printed_numbers_bear_the_claims_out(name: str) -> None:
    """The paper says what its own tables show, where it prints the cells."""
    for claim in TABLES[name].claims:
        for lower, higher in claim.orders:
            numbers = [PUBLISHED.get((name, claim.metric, *place)) for place in (lower, higher)]
            if all(numbers):
                below, above = (number.value for number in numbers if number)
                assert below < above, claim.statement


def test_a_claim_holds_where_every_order_does() -> None:
    ranks = [[70, 68, 73], [39, 41, 40], [8, 6, 8], [4, 5, 4]]
    rank, best, worst = judge(content_of("table4", ranks))
    assert rank.outcome == "holds"
    assert (best.outcome, worst.outcome) == ("does not hold", "does not hold")
    # The closest of the orders that hold: 4 and 5 against 8 and 6.
    assert rank.evidence == "8 minus 12: 3 [1, 4], 3 seeds"
    assert "8 minus 4: -32.67 [" in best.evidence


def test_one_order_the_other_way_refutes_a_claim() -> None:
    ranks = [[70, 68, 73], [39, 41, 40], [8, 6, 8], [9, 9, 9]]
    (verdict, *_) = judge(content_of("table4", ranks))
    assert verdict.outcome == "does not hold"
    assert verdict.evidence == "8 minus 12: -1.667 [-3, -1], 3 seeds"


def test_what_seeds_disagree_on_is_undecided_and_says_what_would_settle_it() -> None:
    ranks = [[70, 68, 73], [39, 41, 40], [8, 6, 8], [4, 9, 4]]
    (verdict, *_) = judge(content_of("table4", ranks))
    assert verdict.outcome == "undecided"
    # Differences 4, -3, 4: mean 1.667, deviation 4.041, (1.96 x 4.041 / 1.667)^2 = 22.6.
    assert verdict.evidence == (
        "8 minus 12: 1.667 [-3, 4], 3 seeds; about 23 seeds would settle it if the difference stays"
    )


def test_differences_are_between_runs_of_one_seed() -> None:
    """The second column wanders by more than the difference, which is 1 in every seed."""
    content = content_of("table3", [[1, 51, 101, 26], [2, 52, 102, 27], [3, 53, 103, 28]])
    assert _outcomes(content) == ["holds"]
    results = dict(content.results)
    first, second, _ = content.table.cells
    # Without their partners, the seeds of the first column say nothing.
    results[first] = results[first][:2]
    results[second] = results[second][2:]
    (verdict,) = judge(replace(content, results=results))
    assert verdict.outcome is Standing.NOT_RUN
    assert verdict.evidence == "2x minus 1x: no seed has both"


def test_too_few_seeds_decide_nothing() -> None:
    rank, best, _ = judge(content_of("table4", [[70], [39], [8], [4]]))
    assert (rank.outcome, best.outcome) == ("undecided", "undecided")
    assert rank.evidence == (
        "1 of the 3 seeds that it takes; so far 3 of 3 comparisons are as claimed"
    )
    assert "so far 1 of 3" in best.evidence
    assert _outcomes(content_of("table4", [[], [], [], []])) == ["not run"] * 3


def test_equal_numbers_are_not_in_order() -> None:
    (verdict,) = judge(content_of("table3", [[5, 5, 5], [5, 5, 5], [9, 9, 9]]))
    assert verdict.outcome == "does not hold"


def test_a_comparable_number_may_be_larger_by_the_margin() -> None:
    """IRMAE against the AE, which it must beat, and the VAE, within 0.05."""
    others = [[0.9, 0.9, 0.9]] * 5
    ae, irmae = [0.62, 0.63, 0.64], [0.58, 0.57, 0.58]
    for vae, outcome in (
        ([0.55, 0.56, 0.54], "holds"),
        ([0.50, 0.51, 0.50], "does not hold"),
        ([0.50, 0.56, 0.54], "undecided"),
    ):
        superior, comparable = judge(content_of("mnist-baselines", [ae, vae, *others, irmae]))
        assert superior.outcome == "holds"
        assert comparable.outcome == outcome
    # Mean -0.04333, 0.00667 from the margin; deviation 0.03512: (1.96 x 5.268)^2 = 106.6.
    assert comparable.evidence == (
        "VAE minus IRMAE (l = 8), -0.05 allowed: -0.04333 [-0.08, -0.01], 3 seeds; about 107 "
        "seeds would settle it if the difference stays"
    )


def test_fids_of_two_extractors_are_not_compared() -> None:
    content = content_of("table4", [[4, 4, 4], [1, 1, 1], [2, 2, 2], [8, 8, 8]])
    assert _outcomes(content)[1:] == ["holds", "holds"]
    last = content.table.cells[-1]
    others = content_of("table4", [[], [], [], [8, 8, 8]], checksum="cd").results[last]
    results = content.results | {last: others}  # type: ignore[operator]
    rank, best, worst = judge(replace(content, results=results))
    assert (best.outcome, worst.outcome) == ("not run", "not run")
    assert rank.outcome == "does not hold"


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=8))
@settings(max_examples=20)
def test_the_interval_is_scipys_percentile_bootstrap(values: list[float]) -> None:
    differences = np.array(values)
    ours = bootstrap(differences)
    assert ours == bootstrap(differences)
    reference = stats.bootstrap(
        (differences,), np.mean, n_resamples=10_000, method="percentile", rng=1
    ).confidence_interval
    # Two draws of resamples: their quantiles agree to a few percent of the spread.
    tolerance = 0.1 * (differences.std() + 1e-9)
    assert ours == pytest.approx((reference.low, reference.high), abs=tolerance)


def test_verdicts_are_printed_and_stand_under_their_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--runs-dir", str(GOLDEN / "runs"), "--tables-dir", str(tmp_path)]
    assert main(["--collect", "--table", "3", "--table", "4", "--claims", *folders]) == 0
    output = capsys.readouterr().out
    printed = output[output.index("**Claims of the paper") :]
    assert printed.count("| mnist-sample | undecided | 2 of the 3 seeds that it takes;") == 4
    assert "The latent rank falls with depth (section 2.2)" in printed
    for ending in ("md", "tex"):
        text = (tmp_path / f"table4.{ending}").read_text()
        assert "Claim: The FID is best at l = 4: undecided (2 of the 3 seeds" in text


def test_an_unrun_claim_is_in_the_list_and_not_under_the_table(tmp_path: Path) -> None:
    verdicts = judge(content_of("table6", [[]] * 10))
    text = claims_markdown(verdicts)
    assert text.count("| celeba | not run |") == 3

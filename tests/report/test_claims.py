from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bench.cli import main
from bench.experiments.published import PUBLISHED
from bench.experiments.spec import FITTED
from bench.experiments.tables import PAPER_TABLES, TABLES
from bench.report.claims import Standing, judge
from bench.report.frame import Content
from bench.report.markdown import claims_markdown
from bench.report.metrics import METRICS
from bench.report.reading import Reading
from tests.support.results import content as content_of

GOLDEN = Path(__file__).parent / "golden"


def _content_of_ranks(ranks: Sequence[Sequence[int]]) -> Content:
    return content_of("table4", ranks)


def _standings(content: Content) -> list[str]:
    return [verdict.standing for verdict in judge(content)]


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
    ranks = [[70, 68, 73], [39, 41, 40], [8, 7, 9], [4, 4, 4]]
    rank, best, worst = judge(_content_of_ranks(ranks))
    assert rank.standing == "holds"
    assert (best.text, worst.text) == (
        "does not hold under every sampler, seen through inception",
    ) * 2
    # The closest of the orders that hold; differences 4, 3, 5: 4 +- 4.303 x 1 / sqrt(3).
    assert rank.evidence == ["closest of 3: Latent rank, 8 minus 12: 4 [1.52, 6.48], 3 seeds"]


def test_one_order_the_other_way_refutes_a_claim() -> None:
    (verdict, *_) = judge(_content_of_ranks([[70, 68, 73], [39, 41, 40], [8, 7, 9], [19, 19, 19]]))
    assert verdict.standing == "does not hold"
    assert verdict.evidence == ["Latent rank, 8 minus 12: -11 [-13.5, -8.52], 3 seeds"]


def test_a_refutation_must_stand_holms_correction() -> None:
    """-4, -3, -5 has p = 0.010 one-sided: below 0.025, above a third of it."""
    ranks = [[70, 68, 73], [39, 41, 40], [8, 7, 9], [12, 10, 14]]
    differences = [8 - 12, 7 - 10, 9 - 14]
    p = stats.ttest_1samp(differences, 0, alternative="less").pvalue
    assert 0.025 / 3 < p < 0.025
    (verdict, *_) = judge(_content_of_ranks(ranks))
    assert verdict.standing == "undecided"
    assert verdict.evidence == [
        (
            "Latent rank, 8 minus 12: -4 [-6.48, -1.52], 3 seeds, too few to refute one of 3 "
            "comparisons (Holm's correction), about 4 would refute it with 80 % power"
        )
    ]


def test_what_seeds_disagree_on_is_undecided_and_says_what_would_settle_it() -> None:
    (verdict, *_) = judge(_content_of_ranks([[70, 68, 73], [39, 41, 40], [8, 6, 8], [4, 9, 4]]))
    assert verdict.standing == "undecided"
    # Differences 4, -3, 4: mean 1.667, deviation 4.041; 49 by statsmodels' TTestPower.
    assert verdict.evidence == [
        (
            "Latent rank, 8 minus 12: 1.67 [-8.37, 11.7], 3 seeds, about 49 would confirm it with "
            "80 % power"
        )
    ]


def test_fids_are_compared_by_their_ratios() -> None:
    """Twice, four times and twice as much: exp of log 2.52 +- 4.303 x 0.4002 / sqrt(3)."""
    content = content_of("table4", [[10, 10, 10], [5, 5, 5], [20, 20, 20], [40, 80, 40]])
    _, best, worst = judge(content)
    assert best.standing == "holds"
    assert worst.text == "undecided"
    comparison = worst.judgements[0].comparisons[2]
    logs = np.log([2, 4, 2])
    low, high = np.exp(stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs)))
    found = re.search(r"FID, 12 over 8: (\S+) \[(\S+), (\S+)\]", comparison.evidence)
    assert found is not None
    assert [float(x) for x in found.groups()] == pytest.approx(
        [math.exp(logs.mean()), low, high], rel=1e-2
    )


def test_a_claim_of_fids_says_on_which_sampler_it_depends() -> None:
    content = content_of("table4", [[20, 21, 22], [10, 11, 10], [40, 41, 44], [80, 81, 90]])
    assert judge(content)[1].text == "holds under every sampler, seen through inception"
    for each in content.results[content.table.cells[0]]:
        each.seen("inception", "fid")["mvg"] = 1 + 0.1 * each.spec.seed
    for cell in content.table.cells[1:]:
        for each in content.results[cell]:
            each.seen("inception", "fid")["gmm4"] = 15.0 + each.spec.seed
    verdict = judge(content)[1]
    assert verdict.text == (
        "depends: holds with gmm10 through inception; does not hold with mvg through inception; "
        "undecided with gmm4 through inception"
    )
    views = [f"inception, {name}" for name in ("gmm10", "gmm4", "mvg")]
    assert [line.partition(": ")[0] for line in verdict.evidence] == views
    one = replace(content, reading=Reading(samplers=("mvg",)))
    assert judge(one)[1].text == "does not hold"


def test_differences_are_between_runs_of_one_seed() -> None:
    """The second column wanders by more than the difference, which is 1 in every seed."""
    content = content_of("table3", [[1, 51, 101, 26], [2, 52, 102, 27], [3, 53, 103, 28]])
    assert _standings(content) == ["holds"]
    results = dict(content.results)
    first, second, _ = content.table.cells
    # Without their partners, the seeds of the first column say nothing.
    results[first] = results[first][:2]
    results[second] = results[second][2:]
    (verdict,) = judge(replace(content, results=results))
    assert verdict.standing is Standing.NOT_RUN
    assert verdict.evidence == ["no seed has both 2x and 1x"]


def test_too_few_seeds_decide_nothing() -> None:
    rank, best, _ = judge(_content_of_ranks([[70, 71], [39, 40], [8, 80], [4, 5]]))
    assert (rank.standing, best.standing) == ("undecided", "undecided")
    assert rank.text == "undecided, too few seeds"
    assert rank.evidence == ["as claimed in 1 of 2 seeds"]
    assert _standings(content_of("table4", [[], [], [], []])) == ["not run"] * 3


def test_equal_numbers_are_no_order() -> None:
    (verdict,) = judge(content_of("table3", [[5, 5, 5], [5, 5, 5], [9, 9, 9]]))
    assert verdict.standing == "undecided"
    assert "no difference to be seen" in verdict.evidence[0]


def test_a_comparable_number_may_be_larger_by_the_margin() -> None:
    """IRMAE against the AE, which it must beat, and the VAE, within 0.05."""
    others = [[0.4, 0.4, 0.4]] * 5
    ae, irmae = [0.22, 0.23, 0.24], [0.18, 0.17, 0.18]
    for vae, standing in (
        ([0.17, 0.16, 0.17], "holds"),
        ([0.05, 0.05, 0.05], "does not hold"),
        ([0.10, 0.16, 0.14], "undecided"),
    ):
        superior, comparable = judge(content_of("mnist-baselines", [ae, vae, *others, irmae]))
        assert superior.standing == "holds"
        assert comparable.standing == standing
    evidence = comparable.evidence[0].removeprefix("inception, gmm10: ")
    assert evidence.startswith("Told from real, VAE minus IRMAE (l = 8): -0.0433 [")
    assert "], claimed to be above -0.05, 3 seeds" in evidence


def test_claims_are_judged_through_each_extractor() -> None:
    """Through one the third column is best, through the other the second."""
    values = [[4, 4, 4], [1, 1, 1], [2, 2, 2], [8, 8, 8]]
    content = content_of("table4", values, extractors=["imagenet", "classifier"])
    _, best, worst = judge(content)
    assert best.text == "holds under every sampler, seen through imagenet and through classifier"
    assert best.evidence[0].startswith("imagenet, gmm10: ")
    third = content.table.cells[2]
    for result in content.results[third]:
        for sampler in FITTED:
            result.seen("classifier", "fid")[sampler] = 0.5
    _, best, worst = judge(content)
    assert best.standing == "depends"
    assert best.text == (
        "depends: holds with gmm10, gmm4, mvg through imagenet; "
        "does not hold with gmm10, gmm4, mvg through classifier"
    )
    assert worst.standing == "holds"


def test_fids_of_two_extractors_are_not_compared() -> None:
    content = content_of("table4", [[4, 4, 4], [1, 1, 1], [2, 2, 2], [8, 8, 8]])
    assert _standings(content)[1:] == ["holds", "holds"]
    last = content.table.cells[-1]
    others = content_of("table4", [[], [], [], [8, 8, 8]], features="imagenet")
    results = content.results | {last: others.results[others.table.cells[-1]]}  # type: ignore[operator]
    rank, best, worst = judge(replace(content, results=results))
    assert (best.standing, worst.standing) == ("not run", "not run")
    assert rank.standing == "does not hold"


def test_verdicts_are_printed_and_stand_under_their_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--runs-dir", str(GOLDEN / "runs"), "--tables-dir", str(tmp_path)]
    assert main(["--collect", "--table", "3", "--table", "4", "--claims", *folders]) == 0
    output = capsys.readouterr().out
    printed = output[output.index("**Claims of the paper") :]
    # Four epochs of a thousand digits: nothing is learned, and nothing is judged.
    assert printed.count(", mnist-sample, profile smoke): not learned.") == 4
    assert "\n- The latent rank falls with depth (section 2.2, " in printed
    for ending in ("md", "tex"):
        text = (tmp_path / f"table4.{ending}").read_text()
        assert "Claim: The FID is best at l = 4: not learned." in text
        assert "no two runs to compare; " in text


def test_an_unrun_claim_is_in_the_list_and_not_under_the_table(tmp_path: Path) -> None:
    verdicts = judge(content_of("table6", [[]] * 10))
    text = claims_markdown(verdicts)
    assert text.count(", celeba, profile paper): not run.\n  - no two runs to compare") == 3

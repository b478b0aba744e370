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
from bench.report.claims import judge
from bench.report.display import Display
from bench.report.frame import TableResults
from bench.report.markdown import claims_markdown
from bench.report.metrics import METRICS
from bench.report.statistics import ROUNDING
from tests.support.results import content as content_of

GOLDEN = Path(__file__).parent / "golden"

CLOSEST = "rank(l = 8) \N{MINUS SIGN} rank(l = 12)"


def _by_scipy(lower: Sequence[float], higher: Sequence[float]) -> str:
    """A difference of ranks with its interval, whose deviations are at least that of rounding."""
    variances = [
        max(float(np.std(each, ddof=1)), ROUNDING) ** 2 / len(each) for each in (lower, higher)
    ]
    mean = np.mean(higher) - np.mean(lower)
    degrees = min(len(lower), len(higher)) - 1
    low, high = stats.t.interval(0.95, degrees, mean, math.sqrt(sum(variances)))
    return f"{mean:.3g} [{low:.3g}, {high:.3g}]"


def _standings(content: TableResults) -> list[str]:
    return [verdict.standing for verdict in judge(content)]


def test_claims_are_of_cells_that_exist() -> None:
    for table in TABLES.values():
        places = {(cell.row, cell.label) for cell in table.cells}
        for claim in table.claims:
            assert claim.metric in METRICS
            assert {place for order in claim.orders for place in order} <= places
    assert sum(len(TABLES[name].claims) for name in PAPER_TABLES) == 15


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
    ranks = {"2": [70, 68, 73], "4": [39, 41, 40], "8": [8, 7, 9], "12": [4, 4, 4]}
    rank, best, worst, _ = judge(content_of("table4", ranks))
    assert rank.standing == "holds"
    assert (best.text, worst.text) == ("does not hold under any sampler, by inception",) * 2
    expected = _by_scipy(ranks["12"], ranks["8"])
    assert rank.evidence == [f"nearest to failing, of 3 orders: {CLOSEST} = {expected}, 3 seeds"]


def test_one_order_the_other_way_refutes_a_claim() -> None:
    (verdict, *_) = judge(
        content_of(
            "table4", {"2": [70, 68, 73], "4": [39, 41, 40], "8": [8, 7, 9], "12": [19, 19, 19]}
        )
    )
    assert verdict.standing == "does not hold"
    expected = _by_scipy([19, 19, 19], [8, 7, 9])
    assert verdict.evidence == [f"{CLOSEST} = {expected}, 3 seeds"]


def test_a_refutation_must_stand_holms_correction() -> None:
    """One order is the other way round at a level of 0.025, and not at a third of it."""
    ranks = {"2": [70, 68, 73], "4": [39, 41, 40], "8": [8, 7, 9], "12": [14, 12, 16]}
    error = math.sqrt((np.var(ranks["8"], ddof=1) + np.var(ranks["12"], ddof=1)) / 3)
    assert 0.025 / 3 < stats.t.cdf(-6 / error, 2) < 0.025
    (verdict, *_) = judge(content_of("table4", ranks))
    assert verdict.standing == "undecided"
    expected = _by_scipy(ranks["12"], ranks["8"])
    weak = "too weak to refute the claim (Holm's correction, 3 orders)"
    assert verdict.evidence == [f"{CLOSEST} = {expected}, 3 seeds, {weak}"]


def test_what_seeds_disagree_on_is_undecided() -> None:
    (verdict, *_) = judge(
        content_of(
            "table4", {"2": [70, 68, 73], "4": [39, 41, 40], "8": [8, 6, 8], "12": [4, 9, 4]}
        )
    )
    assert verdict.standing == "undecided"
    expected = _by_scipy([4, 9, 4], [8, 6, 8])
    assert verdict.evidence == [f"{CLOSEST} = {expected}, 3 seeds"]


def test_of_many_orders_those_farthest_from_holding_are_named() -> None:
    fids = {f"AE {d}": fid for d, fid in (("32", 90), ("64", 95), ("128", 97), ("256", 99))}
    fids |= {"AE 512": 103, "IRMAE (l = 4) 256": 100, "IRMAE (l = 4) 512": 101}
    made = content_of("table6", {name: [fid - 9, fid, fid + 9] for name, fid in fids.items()})
    verdict = next(each for each in judge(made) if "any" in each.claim.statement)
    assert verdict.standing == "undecided"
    *named, more = re.sub(r"^\S+ \S+: ", "", verdict.evidence[0]).split("; ")
    assert more == "and 6 more"
    assert [each.partition(" [")[0].rpartition(" = ")[0] for each in named] == [
        f"FID(AE, {higher}) / FID(IRMAE (l = 4), {lower})"
        for higher, lower in (("32", "512"), ("32", "256"), ("64", "512"), ("64", "256"))
    ]


def test_fids_are_compared_by_their_ratios() -> None:
    content = content_of(
        "table4", {"2": [10, 10, 10], "4": [5, 5, 5], "8": [20, 20, 20], "12": [40, 80, 40]}
    )
    _, best, worst, _ = judge(content)
    assert best.standing == "holds"
    assert worst.text == "undecided"
    comparison = worst.judgements[0].comparisons[2]
    logs = np.log([2, 4, 2])
    # The 20s do not scatter.
    low, high = np.exp(stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs)))
    found = re.search(r"FID\(l = 12\) / FID\(l = 8\) = (\S+) \[(\S+), (\S+)\]", comparison.evidence)
    assert found is not None
    assert [float(x) for x in found.groups()] == pytest.approx(
        [math.exp(logs.mean()), low, high], rel=1e-2
    )


def test_a_claim_of_fids_says_on_which_sampler_it_depends() -> None:
    content = content_of(
        "table4", {"2": [20, 21, 22], "4": [10, 11, 10], "8": [40, 41, 44], "12": [80, 81, 90]}
    )
    assert judge(content)[1].text == "holds under every sampler, by inception"
    for each in content.results[content.table.cells[0]]:
        each.seen("inception", "fid")["mvg"] = 1 + 0.1 * each.spec.seed
    for cell in content.table.cells[1:]:
        for each in content.results[cell]:
            each.seen("inception", "fid")["gmm4"] = 15.0 + each.spec.seed
    verdict = judge(content)[1]
    assert verdict.text == (
        "depends: holds under gmm10 by inception; does not hold under mvg by inception; "
        "undecided under gmm4 by inception"
    )
    views = [f"inception, {name}" for name in ("gmm10", "gmm4", "mvg")]
    assert [line.partition(": ")[0] for line in verdict.evidence] == views
    one = replace(content, display=Display(samplers=("mvg",)))
    assert judge(one)[1].text == "does not hold"


def test_cells_are_compared_whichever_seeds_they_have() -> None:
    """Runs of one seed have nothing in common, so that no seed needs its like."""
    made = content_of("table3", {"1x": [8, 7, 9], "2x": [43, 42, 44], "4x": [66, 64, 67, 65]})
    results = dict(made.results)
    first = made.table.cells[0]
    results[first] = [
        replace(each, trained=replace(each.trained, spec=replace(each.spec, seed=9 + i)))
        for i, each in enumerate(results[first])
    ]
    rank, *_ = judge(replace(made, results=results))
    assert rank.standing == "holds"
    assert rank.evidence == judge(made)[0].evidence
    assert rank.evidence[0].endswith("4 and 3 seeds")


def test_with_fewer_seeds_than_were_fixed_a_verdict_is_interim() -> None:
    made = content_of("table3", {"1x": [8, 7, 9], "2x": [43, 42, 44], "4x": [66, 64, 67, 65]})
    planned = replace(made, table=replace(made.table, seeds=6))
    assert judge(made)[0].text == "holds"
    assert judge(planned)[0].text == "holds (interim: 3 to 4 of 6 seeds)"
    empty = replace(planned, results={})
    assert judge(empty)[0].text == "not run"


def test_what_one_extractor_has_seen_less_of_is_interim() -> None:
    values = {"1x": [1.0] * 6, "2x": [2.0] * 6, "4x": [3.0] * 6}
    made = content_of("table3", values, extractors=["inception", "classifier"])
    planned = replace(made, table=replace(made.table, seeds=6))
    assert judge(planned)[2].text.endswith("by inception and classifier")
    for cell in made.table.cells:
        for result in made.results[cell][3:]:
            result.seen("classifier", "fid").clear()
    assert judge(planned)[2].text.endswith("and classifier (interim: 3 of 6 seeds)")


@pytest.mark.parametrize("seeds", [1, 2])
def test_what_has_seen_too_few_runs_decides_nothing(seeds: int) -> None:
    """Through one extractor the claim holds; what another has seen so far is only shown."""
    values = {"1x": [2.0] * 6, "2x": [1.0] * 6, "4x": [3.0] * 6}
    made = content_of("table3", values, extractors=["inception", "classifier"])
    planned = replace(made, table=replace(made.table, seeds=6))
    for cell in made.table.cells[1:]:
        for result in made.results[cell][seeds:]:
            result.seen("classifier", "fid").clear()
    verdict = judge(planned)[1]
    assert verdict.text == "holds under every sampler, by inception"
    first = "inception, gmm10: nearest to failing, of 2 orders: FID(1x) / FID(2x) = 2 ["
    assert verdict.evidence[0].startswith(first)
    said = f"too few seeds for a verdict ({seeds} to 6 seeds); their means are in the claimed order"
    assert verdict.evidence[3:] == [f"classifier, {name}: {said}" for name in FITTED]


def test_a_sampler_with_too_few_seeds_is_not_one_of_every_sampler() -> None:
    values = {"1x": [2.0] * 4, "2x": [1.0] * 4, "4x": [3.0] * 4}
    made = content_of("table3", values)
    for result in made.results[made.table.cells[0]][2:]:
        del result.seen("inception", "fid")["mvg"]
    verdict = judge(made)[1]
    assert verdict.text == "holds under every sampler with 3 seeds, by inception"
    assert verdict.evidence[-1] == (
        "inception, mvg: too few seeds for a verdict (2 to 4 seeds); "
        "their means are in the claimed order"
    )


def test_a_claim_without_numbers_of_the_sampler_that_is_shown_is_not_measured() -> None:
    values = {"1x": [8, 7, 9], "2x": [43, 42, 44], "4x": [66, 64, 67]}
    made = content_of("table3", values, display=Display(samplers=("prior",)))
    _, best, _ = judge(made)
    assert best.text == "not measured"
    assert best.evidence == ["no FID of 2x"]


def test_a_fid_of_zero_is_compared_with_nothing() -> None:
    made = content_of("table3", {"1x": [0, 41, 42], "2x": [200, 201, 202], "4x": [8, 9, 10]})
    assert judge(made)[1].text == "undecided, too few seeds"


def test_too_few_seeds_decide_nothing() -> None:
    rank, best, *_ = judge(
        content_of("table4", {"2": [70, 71], "4": [39, 40], "8": [8, 80], "12": [4, 5]})
    )
    assert (rank.standing, best.standing) == ("undecided", "undecided")
    assert rank.text == "undecided, too few seeds"
    assert rank.evidence == [
        "too few seeds for a verdict (2 seeds); their means are not in the claimed order"
    ]
    one = {"2": [70], "4": [39, 40], "8": [8], "12": [4]}
    assert judge(content_of("table4", one))[0].evidence == [
        "too few seeds for a verdict (1 to 2 seeds); their means are in the claimed order"
    ]
    assert _standings(content_of("table4", {})) == ["not run"] * 4


def test_equal_numbers_are_no_order() -> None:
    verdict, *_ = judge(content_of("table3", {"1x": [5, 5, 5], "2x": [5, 5, 5], "4x": [9, 9, 9]}))
    assert verdict.standing == "undecided"


def test_what_is_called_comparable_is_shown_without_a_verdict() -> None:
    """The paper names no margin; the VAE is compared by its own prior, too."""
    made = content_of(
        "section3",
        {
            "AE": [0.22, 0.23, 0.24],
            "VAE": [0.10, 0.16, 0.14],
            "IRMAE (l = 8)": [0.18, 0.17, 0.18],
        },
    )
    for each in made.results[made.table.cells[1]]:
        seen = each.seen("inception", "neighbours")
        seen["prior"] = {"real": 0.9, "samples": 0.9}
        each.seen("inception", "fid")["prior"] = 1.0
    superior, comparable = judge(made)
    assert superior.standing == "holds"
    assert comparable.text == "no verdict, since the paper names no margin"
    what = "distance(VAE) \N{MINUS SIGN} distance(IRMAE (l = 8)) = "
    assert comparable.evidence[0].startswith(f"inception, gmm10: {what}-0.0433 [")
    beside = [f"inception, {name} against the prior: {what}0.223 [" for name in FITTED]
    assert len(comparable.evidence) == 2 * len(FITTED)
    for line, start in zip(comparable.evidence[len(FITTED) :], beside, strict=True):
        assert line.startswith(start)


def test_claims_are_judged_through_each_extractor() -> None:
    """Through one the third column is best, through the other the second."""
    values = {"2": [4, 4, 4], "4": [1, 1, 1], "8": [2, 2, 2], "12": [8, 8, 8]}
    content = content_of("table4", values, extractors=["imagenet", "classifier"])
    _, best, worst, _ = judge(content)
    assert best.text == "holds under every sampler, by imagenet and classifier"
    assert best.evidence[0].startswith("imagenet, gmm10: ")
    third = content.table.cells[2]
    for result in content.results[third]:
        for sampler in FITTED:
            result.seen("classifier", "fid")[sampler] = 0.5
    _, best, worst, _ = judge(content)
    assert best.standing == "depends"
    assert best.text == (
        "depends: holds under gmm10, gmm4, mvg by imagenet; "
        "does not hold under gmm10, gmm4, mvg by classifier"
    )
    assert worst.standing == "holds"


def test_fids_of_two_extractors_are_not_compared() -> None:
    content = content_of(
        "table4", {"2": [4, 4, 4], "4": [1, 1, 1], "8": [2, 2, 2], "12": [8, 8, 8]}
    )
    assert _standings(content)[1:] == ["holds"] * 3
    last = content.table.cells[-1]
    others = content_of("table4", {"12": [8, 8, 8]}, extractor="imagenet")
    results = content.results | {last: others.results[others.table.cells[-1]]}  # type: ignore[operator]
    rank, best, worst, _ = judge(replace(content, results=results))
    assert (best.standing, worst.standing) == ("not measured",) * 2
    assert best.evidence == ["inception, gmm10: no FID of l = 12"]
    assert rank.standing == "does not hold"


def test_an_interval_that_ends_at_nought_is_on_no_side() -> None:
    fids = {"2": [10] * 3, "4": [10] * 3, "8": [20] * 3, "12": [40] * 3}
    assert _standings(content_of("table4", fids))[1] == "undecided"


def test_verdicts_are_printed_and_stand_under_their_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--runs-dir", str(GOLDEN / "runs"), "--tables-dir", str(tmp_path)]
    assert main(["--collect", "--table", "3", "--table", "4", "--claims", *folders]) == 0
    output = capsys.readouterr().out
    printed = output[output.index("**Claims") :]
    # Four epochs of a thousand digits: nothing is learned, and nothing is judged.
    assert printed.count(", mnist-sample, profile smoke): not learned.") == 7
    assert "\n- Claim: The latent rank falls with depth (section 2.2, " in printed
    assert printed.count("\n| The ") == 7
    for ending in ("md", "tex"):
        text = (tmp_path / f"table4.{ending}").read_text()
        assert "Claim: The FID is best at l = 4: not learned." in text
        assert "no two runs to compare; " in text


def test_small_errors_are_printed_with_digits_that_count() -> None:
    names = [cell.name for cell in TABLES["rank-methods"].cells]
    made = content_of("rank-methods", {name: [0.0123, 0.0124, 0.0125] for name in names})
    lines = claims_markdown(judge(made)).splitlines()
    (row,) = [line for line in lines if line.startswith("| The test error of RRAE 8 is below")]
    assert "| 0.0124, 0.0124 |" in row


def test_a_name_in_the_list_of_claims_is_no_html_and_ends_no_cell() -> None:
    made = content_of("table4", {"2": [70], "4": [39], "8": [8], "12": [4]})
    (verdict, *_) = judge(replace(made, profile="a<br>b|c\\|d"))
    row = claims_markdown([verdict]).splitlines()[4]
    assert row.endswith(r"| mnist, a\<br>b\|c\\\|d |")


def test_an_unrun_claim_is_in_the_list() -> None:
    verdicts = judge(content_of("table6", {}))
    text = claims_markdown(verdicts)
    assert text.count(", celeba, profile paper): not run.\n  - no two runs to compare") == 5

"""A run that has not learned is shown as what it is, and decides nothing."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench.cli import main
from bench.experiments.figures import FIGURES
from bench.report.claims import Standing, judge
from bench.report.display import Display, error_share
from bench.report.figures import frontier, sweep
from bench.report.frame import TableResults, frame
from bench.report.notes import notes, run_notes
from bench.report.page import write_report
from bench.report.rows import rows
from bench.report.table_files import write_table
from bench.store.folders import Store
from bench.store.records import FailedRun
from tests.support.results import content, everywhere, result, write
from tests.support.tiny import TINY

RANKS = {"2": [70, 71, 72], "4": [40, 41, 42], "8": [8, 9, 8], "12": [4, 4, 4]}


def _without(base: TableResults, column: int, seeds: set[int]) -> TableResults:
    """The same where runs of a column are as bad as the mean image."""
    cell = base.table.cells[column]
    changed = [
        replace(
            each,
            measurements=tuple(
                replace(
                    record,
                    metrics=record.metrics | {"mean_image_mse": record.metrics["test_mse"] * 1.02},
                )
                for record in each.measurements
            ),
        )
        if each.spec.seed in seeds
        else each
        for each in base.results[cell]
    ]
    return replace(base, results={**base.results, cell: changed})


def test_a_column_that_alone_has_learned_is_not_in_bold() -> None:
    made = content("table4", RANKS)
    for column in range(3):
        made = _without(made, column, {0, 1, 2})
    assert not any(cell.best for row in rows(made, frame(made)) for cell in row.cells)


def _standings(made: TableResults) -> dict[str, Standing]:
    return {verdict.claim.statement: verdict.standing for verdict in judge(made)}


def test_the_share_is_of_the_mean_images_error() -> None:
    base = content("table4", RANKS)
    assert base.display.learned(result(test_mse=0.9, mean_image_mse=1.0))
    assert not base.display.learned(result(test_mse=0.91, mean_image_mse=1.0))
    assert error_share(result(test_mse=0.0, mean_image_mse=0.0)) == 0


def test_it_takes_part_in_no_verdict() -> None:
    base = content("table4", RANKS)
    claim = "The latent rank falls with depth"
    assert _standings(base)[claim] is Standing.HOLDS
    # Two seeds are left to compare, which decide nothing.
    assert _standings(_without(base, 3, {0}))[claim] is Standing.UNDECIDED
    made = _without(base, 3, {0, 1, 2})
    assert _standings(made)[claim] is Standing.NOT_LEARNED
    (verdict,) = [each for each in judge(made) if each.claim.statement == claim]
    assert verdict.evidence == ["no rank of l = 12; left out, not learned: 3 runs"]


def test_it_is_marked_in_every_form_of_a_table_and_is_not_bold(tmp_path: Path) -> None:
    made = _without(content("table4", RANKS), 3, {0, 2})
    data = frame(made)
    assert list(data[data.metric == "rank"].seeds_not_learned) == ["", "", "", "0 2"]
    for row in rows(made, data):
        marked = [cell.text.endswith("\N{DAGGER}") for cell in row.cells]
        shown = row.kind in ("measured", "gmm10", "gmm4", "mvg")
        assert marked == [False, False, False, shown], row
        # The smallest error is its own, and would be bold.
        assert not (shown and row.cells[3].best)
        if row.kind == "reproduced":
            assert [cell.text for cell in row.cells] == ["yes", "mean only", "yes", "--"]
    assert (
        "\N{DAGGER} Not learned, and left out of verdicts and bold: test error above 90% of the "
        "mean training image's (Depth l 12: 98%, 98%)."
    ) in [note.text for note in notes(made, data, rows(made, data))]
    write_table(made, tmp_path)
    assert r"$\dagger$" in (tmp_path / "table4.tex").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("figure", "draw", "expected"),
    [("figure1", sweep.draw, [[128.0]] * 3), ("frontier", frontier.draw, [[12.0]] * 2)],
)
def test_it_is_marked_in_figures(
    figure: str, draw: Callable[..., Figure], expected: list[list[float]]
) -> None:
    declared = FIGURES[figure]
    names = everywhere(declared.table, [])
    values = {name: [float(10 + place)] for place, name in enumerate(names)}
    made = _without(content(declared.table, values, extractor="imagenet"), 2, {0})
    page = draw(declared, made)
    crosses = [line for axes in page.axes for line in axes.lines if line.get_marker() == "x"]
    assert [np.asarray(line.get_xdata()).tolist() for line in crosses] == expected
    assert any("Not learned" in note for note in run_notes(made))


def test_the_report_marks_it_and_lists_what_no_table_shows(tmp_path: Path) -> None:
    made = _without(content("table4", RANKS), 3, {0})
    other = result(TINY, test_mse=0.1, mean_image_mse=0.1)
    failed = FailedRun("mnist-ae-d4-s0-00000000", TINY, "FloatingPointError: loss is nan", "here")
    path = tmp_path / "report.html"
    write_report(path, [made], [], display=Display(), others=[other, failed])
    html = path.read_text(encoding="utf-8")
    # The one of the table and the one of none.
    assert html.count("(not learned)") == 2
    assert html.count(other.run_id) == 1
    assert html.count(failed.run_id) == 1


@pytest.mark.parametrize("changed", [[], ["--set", "epochs=2"], ["--set", "latent_dim=64"]])
def test_every_cached_run_is_on_the_one_page(
    tmp_path: Path, changed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of settings that no table has too; and no table that cannot have them is complained of."""
    made = result(replace(TINY, learning_rate=3e-3))
    write(Store(tmp_path / "runs"), made)
    folders = [f"--{name}-dir={tmp_path / name}" for name in ("runs", "tables", "figures")]
    page = tmp_path / "report.html"
    assert main(["--report", str(page), *folders, *changed]) == 4
    assert "error" not in capsys.readouterr().err
    assert made.run_id in page.read_text(encoding="utf-8")


def test_a_claim_of_a_column_that_was_not_run_is_not_run() -> None:
    """Whatever has not learned in the others."""
    made = _without(content("table4", RANKS | {"12": []}), 0, {0})
    standings = _standings(made)
    assert standings["The latent rank falls with depth"] is Standing.NOT_RUN
    assert standings["The FID is worst at l = 12"] is Standing.NOT_RUN

import csv
import io
import json
import math
import re
import shutil
import statistics
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from bench.cli import main
from bench.experiments.spec import Cell, TableSpec
from bench.experiments.tables import TABLES
from bench.report.frame import TableResults, frame
from bench.report.latex import escape_latex
from bench.report.notes import fid_notes, notes
from bench.report.rows import rows
from bench.report.table_files import forms, write_table
from bench.store import identity
from tests.support.results import content as content_of
from tests.support.results import everywhere, result

GOLDEN = Path(__file__).parent / "golden"


def _cells(content: TableResults) -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of a frame by metric and column."""
    rows: list[dict[str, Any]] = frame(content).to_dict("records")  # type: ignore[assignment]
    shown = [row for row in rows if row["sampler"] in ("", "gmm10")]
    return {(row["metric"], row["column"]): row for row in shown}


def test_frame_has_each_number_beside_the_papers() -> None:
    cells = _cells(content_of("table4", {"2": [70, 72], "4": [40, 41], "8": [8]}))
    row = cells["rank", "2"]
    assert (row["mean"], row["n"], row["paper"], row["difference"]) == (71, 2, 70, 1)
    assert row["seeds"] == "0 1"
    assert row["high"] - row["mean"] == pytest.approx(stats.t.ppf(0.975, 1) * math.sqrt(2 / 2))
    assert math.isnan(cells["rank", "8"]["low"])
    assert cells["rank", "12"]["n"] == 0
    assert math.isnan(cells["fid", "12"]["mean"])
    fid = cells["fid", "4"]
    assert fid["comparable"]
    assert fid["difference"] == pytest.approx(math.sqrt(40 * 41) - 30.1)
    assert "Table 4" in fid["paper_source"]


def test_ranks_are_reproduced_as_a_whole_in_the_mean_or_not() -> None:
    """Within 10 % or 2 of the printed 70, 39, 8, 4."""
    made = content_of("table4", {"2": [64, 62], "4": [42, 44, 43], "8": [10]})
    data = frame(made)
    (row,) = [each for each in rows(made, data) if each.kind == "reproduced"]
    assert [cell.text for cell in row.cells] == ["mean only", "no", "mean only", "--"]
    assert any(
        note.text.startswith("Reproduced: yes, if the whole")
        for note in notes(made, data, rows(made, data))
    )
    # 70.3 +- 1.4 of 70; 41 +- 2.5 of 39, above 42.9; 9 +- 1.2 of 8, above 10; 5 +- 0.8 of 4.
    surer = content_of(
        "table4", {"2": [70, 70, 71], "4": [40, 41, 42], "8": [9, 9, 9], "12": [5, 5, 5, 5]}
    )
    (row,) = [each for each in rows(surer, frame(surer)) if each.kind == "reproduced"]
    assert [cell.text for cell in row.cells] == ["yes", "mean only", "mean only", "yes"]
    # The paper prints no rank there, though FIDs that are compared.
    of_dimensions = content_of("table6", everywhere("table6", [40]))
    for other in (replace(made, profile="quick"), of_dimensions):
        data = frame(other)
        assert not [each for each in rows(other, data) if each.kind == "reproduced"]
        assert not any("Reproduced" in note.text for note in notes(other, data, rows(other, data)))
    assert frame(of_dimensions).difference.notna().any()


def test_fids_of_another_extractor_are_never_set_against_the_papers() -> None:
    content = content_of(
        "table4", {"2": [70], "4": [40], "8": [8], "12": [4]}, extractor="classifier"
    )
    data = frame(content)
    fids = data[data.metric == "fid"]
    assert not fids.comparable.any()
    assert fids.difference.isna().all()
    assert data[data.metric == "rank"].difference.notna().all()
    assert r"\textcolor{gray}{44.0}" in forms(content, frame(content))[".tex"]
    assert "paper, not comparable" in forms(content, frame(content))[".md"]
    assert any(
        "classifier: the classifier of mnist that the suite ships (128 features, weights bc9b84f1)"
        in note.text
        for note in notes(content, data, rows(content, data))
    )


def test_each_extractor_has_a_block_of_rows_of_its_own_numbers() -> None:
    """Of the last column, one of two runs was seen by Inception alone."""
    both = ["imagenet", "inception", "classifier"]
    content = content_of("table4", {"2": [70], "4": [40], "8": [8], "12": [4, 5]}, extractors=both)
    last = content.table.cells[-1]
    seen = content.results[last][1]
    fewer = replace(seen, measurements=seen.measurements[1:2])
    content = replace(content, results={**content.results, last: [content.results[last][0], fewer]})
    data = frame(content)
    shown = [(row.metric, row.kind) for row in rows(content, data) if row.metric.startswith("FID")]
    assert shown[0] == ("FID", "paper")
    assert [metric for metric, kind in shown if kind == "gmm10"] == [
        "FID (inception)",
        "FID (imagenet)",
        "FID (classifier)",
    ]
    assert ("FID (inception)", "difference, gmm10") in shown
    assert not any("difference" in kind for metric, kind in shown if metric != "FID (inception)")
    fids = data[(data.metric == "fid") & (data.column == "12") & (data.sampler == "mvg")]
    assert dict(zip(fids.extractor, fids.n, strict=True)) == {
        "inception": 2,
        "imagenet": 1,
        "classifier": 1,
    }
    counts = {r.metric: [cell.text for cell in r.cells] for r in rows(content, data)}
    assert counts["Seeds"] == ["1", "1", "1", "2"]
    assert counts["Seeds (imagenet)"] == ["1", "1", "1", "1"]
    assert "Seeds (inception)" not in counts
    said = " ".join(note.text for note in notes(content, data, rows(content, data)))
    assert "weights 57934424), which has measured fewer seeds (Depth l 12: 1 of 2)" in said
    assert "FIDs through another network than Inception are on another scale" in said
    # Asked for by name, one is shown alone.
    alone = replace(content, display=replace(content.display, extractors=("imagenet",)))
    assert set(frame(alone).extractor) == {"", "imagenet"}


def test_seeds_that_were_measured_before_a_metric_came_are_told() -> None:
    content = content_of("table4-samples", {"2": [70], "4": [40], "8": [8], "12": [4, 5]})
    last = content.table.cells[-1]
    first, second = content.results[last]
    (record,) = first.measurements
    metrics = {name: value for name, value in record.metrics.items() if name != "coverage"}
    older = replace(first, measurements=(replace(record, metrics=metrics),))
    content = replace(content, results={**content.results, last: [older, second]})
    said = " ".join(
        note.text for note in notes(content, frame(content), rows(content, frame(content)))
    )
    assert ", which has measured Coverage of fewer seeds (Depth l 12: 1 of 2)" in said
    assert "KID" not in said.partition("FID extractor")[2].partition("of fewer seeds")[0]


def test_an_extractor_is_told_of_the_columns_that_it_has_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A plugin's column may be of other data, and a metric's code may have changed."""
    made = content_of("table6", everywhere("table6", [2.0]), extractor="imagenet")
    digits = Cell("digits", replace(TABLES["table4"].cells[0].training, epochs=50))
    seen = result(digits.training, extractors=["classifier", "imagenet"])
    table = replace(made.table, cells=(*made.table.cells, digits))
    mixed = replace(made, table=table, results={**made.results, digits: [seen]})
    (told,) = [note for note in fid_notes(mixed) if note.startswith("FID extractors: ")]
    assert "classifier: the classifier of mnist that the suite ships" in told
    monkeypatch.setitem(identity.METRIC_VERSIONS, "fid", 999)
    (told,) = [note for note in fid_notes(mixed) if note.startswith("FID extractors: ")]
    assert "which has measured fewer seeds" in told
    counts = {row.label: row.cells for row in rows(mixed, frame(mixed))}
    assert {cell.text for cell in counts["Seeds (imagenet), AE"]} == {"0"}


def test_columns_without_a_printed_number_do_not_make_the_others_comparable() -> None:
    content = content_of("table5", everywhere("table5", [50.0]), extractor="imagenet")
    (row,) = [r for r in rows(content, frame(content)) if r.metric == "FID"]
    assert row.kind == "paper, not comparable"


def test_the_paper_is_grey_beside_others_than_inception_alone() -> None:
    def shades(extractors: list[str]) -> set[bool]:
        content = content_of(
            "table4", {"2": [70], "4": [40], "8": [8], "12": [4]}, extractors=extractors
        )
        (row,) = [
            r for r in rows(content, frame(content)) if r.metric == "FID" and "paper" in r.kind
        ]
        return {cell.grey for cell in row.cells}

    assert shades(["inception", "classifier"]) == {False}
    assert shades(["imagenet", "classifier"]) == {True}


def _bold(content: TableResults, label: str) -> list[bool]:
    """Which columns of a row are in bold."""
    lines = forms(content, frame(content))[".md"].splitlines()
    row = next(line for line in lines if re.match(rf"\| {label} ", line))
    return ["**" in cell for cell in row.split("|")[3:-1]]


def test_bold_is_the_smallest_mean() -> None:
    content = content_of(
        "table4", {"2": [70, 71, 72], "4": [40, 44, 40], "8": [8, 2, 10], "12": [4, 4, 4]}
    )
    for row in (
        r"FID \(inception\) +\| gmm10",
        r"FID \(inception\) +\| mvg",
        r"Test MSE +\| measured",
    ):
        assert _bold(content, row) == [False, False, False, True]
    # What has no direction has no best, and neither have the paper's single numbers.
    for row in (
        r"Latent rank +\| measured",
        r"FID +\| paper",
        r"FID \(inception\) +\| real images",
    ):
        assert not any(_bold(content, row))
    # Two seeds say too little of what the smallest is.
    two = content_of("table4", {"2": [70, 71], "4": [40, 44], "8": [8, 2], "12": [4, 4]})
    assert not any(_bold(two, r"FID \(inception\) +\| gmm10"))


def test_a_row_with_too_few_seeds_of_a_column_has_nothing_in_bold() -> None:
    """What it lacks could be the smallest."""
    values = {"2": [70, 71, 72], "4": [40, 42, 41], "8": [8, 9, 7], "12": [4, 5, 3]}
    for fewer in ([], [4, 5]):
        made = content_of("table4", values | {"12": fewer})
        assert not any(_bold(made, r"FID \(inception\) +\| gmm10"))
        assert (
            "Bold would be the smallest mean"
            in notes(made, frame(made), rows(made, frame(made)))[0].text
        )
    both = content_of("table4", values, extractors=["imagenet", "classifier"])
    for run in both.results[both.table.cells[0]]:
        run.seen("imagenet", "fid").clear()
    assert not any(_bold(both, r"FID \(imagenet\) +\| gmm10"))
    assert _bold(both, r"FID \(classifier\) +\| gmm10") == [False, False, False, True]
    assert (
        "Bold: the smallest mean of its row"
        in notes(both, frame(both), rows(both, frame(both)))[0].text
    )


def test_the_row_of_priors_has_its_smallest_mean_in_bold() -> None:
    """Most methods have no prior, and never will."""
    made = content_of("section3", {"AE": [3, 3, 3], "VAE": [2, 2, 2], "IRMAE (l = 8)": [1, 1, 1]})
    for cell, fid in zip(made.table.cells[1:], (4.0, 5.0), strict=True):
        for run in made.results[cell]:
            run.seen("inception", "neighbours")["prior"] = {"real": 0.9, "samples": fid / 10}
            run.seen("inception", "fid")["prior"] = fid
    assert sum(_bold(made, r".*\| prior")) == 1
    assert (
        "Bold: the smallest mean of its row"
        in notes(made, frame(made), rows(made, frame(made)))[0].text
    )
    # A method that was not run may have one.
    waiting = replace(made, results={**made.results, made.table.cells[0]: []})
    assert not any(_bold(waiting, r".*\| prior"))


def test_fids_have_intervals_that_stay_above_zero() -> None:
    content = content_of("table4", {"2": [70, 7, 700], "4": [40], "8": [8]})
    row = _cells(content)["fid", "2"]
    assert 0 < row["low"] < row["mean"] < row["high"]
    assert row["mean"] == pytest.approx((70 * 7 * 700) ** (1 / 3))
    text = forms(content, frame(content))[".md"]
    assert re.search(r"FID \(inception\) +\| gmm10 +\| +70\.0 \[0\.230, 213\d\d\] \|", text)
    assert "the geometric mean with its interval in brackets" in text


def test_differences_are_printed_in_the_papers_setting_alone() -> None:
    content = content_of("table4", {"2": [70], "4": [40], "8": [8], "12": [4]})
    assert "difference" in forms(content, frame(content))[".md"]
    for other in (
        replace(content, profile="quick"),
        replace(content, overrides={"epochs": 30}),
    ):
        assert frame(other).difference.isna().all()
        assert "difference" not in forms(other, frame(other))[".md"]
    # The paper's own numbers of others, in another setting, are no reference either.
    table5 = content_of("table5", everywhere("table5", [50.0]))
    differences = _cells(table5)
    assert math.isnan(differences["fid", "WAE"]["difference"])
    assert differences["fid", "IRMAE"]["difference"] == pytest.approx(50 - 42.0)


def test_every_number_is_labelled() -> None:
    content = content_of(
        "table4",
        {"2": [70, 71], "4": [40], "8": [8], "12": [4]},
        missing=["Depth l 4: seed 1 failed"],
    )
    printed = forms(content, frame(content))
    for text in (printed[".md"], printed[".tex"].replace("\\", "")):
        for words in (
            "Student t",
            "0.001 of the largest",
            "Inception (2048 features, weights 6726825d)",
            "gmm10",
            "10,000 samples against 10,000 test images",
            "MNIST resized to 32x32",
            "Profile paper: 60,000 training images, 50 epochs, batch 32, Adam at 0.0001, fp32",
            "seed 1 failed",
            "shuffled",
        ):
            assert words in text
    assert re.search(r"Seeds +\| n +\| +2 \| +1 \| +1 \| +1 \|\n", printed[".md"])


def test_settings_of_most_columns_are_said_without_their_names() -> None:
    made = content_of("rank-sweep", everywhere("rank-sweep", [20.0]))
    (said,) = [
        note.text
        for note in notes(made, frame(made), rows(made, frame(made)))
        if note.text.startswith("Data:")
    ]
    assert said.endswith(
        "1 epoch, batch 32, Adam at 0.0001, fp32 (PCA (latent_dim 32, 16, 8, 4)); "
        "60,000 training images, 50 epochs, batch 32, Adam at 0.0001, fp32 elsewhere."
    )


def test_csv_has_full_precision(tmp_path: Path) -> None:
    content = content_of("table4", {"2": [1 / 3], "4": [2 / 3], "8": [0.1], "12": [1e-17]})
    write_table(content, tmp_path)
    with (tmp_path / "table4.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["sampler"] == "gmm10"]
    assert [float(row["mean"]) for row in rows] == [1 / 3, 2 / 3, 0.1, 1e-17]


def test_the_csv_has_the_threshold_of_ranks_that_depend_on_it() -> None:
    data = frame(content_of("table4-ranks", everywhere("table4-ranks", [9.0])))
    assert data.rank_threshold.isna().all()
    data = frame(content_of("shape", everywhere("shape", [9.0])))
    assert set(data[data.rank_threshold == 1e-3].metric) == {"rank", "rank_sampled"}


def test_known_answers_stand_where_nothing_is_published() -> None:
    content = content_of("shape", {"AE": [20], "VAE": [9], "IRMAE (l = 4)": [7]})
    text = forms(content, frame(content))[".md"]
    assert "known answer" in text
    assert "paper" not in text.split("\n- ")[0]


def test_numbers_of_rows_agree_between_formats() -> None:
    content = content_of("table4", {"2": [70, 71], "4": [40, 44], "8": [8, 9]})
    printed = forms(content, frame(content))
    body = printed[".tex"].split(r"\midrule")[1].split(r"\bottomrule")[0]
    tex = [
        [cell.strip() for cell in line.split("&")[2:]]
        for line in body.replace(r"\addlinespace", "").replace(r"\\", "").splitlines()
        if "&" in line
    ]
    rows = [line.split("|")[3:-1] for line in printed[".md"].splitlines() if "|" in line]
    marks = str.maketrans({"\N{PLUS-MINUS SIGN}": r"$\pm$", "\N{MINUS SIGN}": "$-$"})
    plain = [
        [cell.strip().translate(marks).replace("--", "-{}-") for cell in row] for row in rows[2:]
    ]
    bold = [[f"\\textbf{{{c[2:-2]}}}" if c.startswith("**") else c for c in row] for row in plain]
    assert tex == bold


def test_a_row_that_is_empty_in_every_block_of_columns_stays() -> None:
    for values, blocks in (({}, 2), ({"AE": [9]}, 1)):
        content = content_of("mnist-baselines", values)
        text = forms(content, frame(content))[".tex"]
        assert text.count("Latent rank & measured") == blocks


def test_text_is_escaped_in_latex() -> None:
    assert escape_latex("Ærø: x² ≠ ½, é, a---b") == (
        "[U+00C6]r[U+00F8]: x[U+00B2] [U+2260] [U+00BD], e, a-{}-{}-b"
    )
    assert escape_latex(r"50 % of \x_1 & {a} ~ $^# --x") == (
        r"50 \% of \textbackslash{}x\_1 \& \{a\} \textasciitilde{} \$\textasciicircum{}\# -{}-x"
    )


needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is missing")


def _compile(folder: Path, name: str) -> str:
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", name]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    return result.stdout


@needs_latex
def test_latex_compiles_by_itself_and_inside_a_document(tmp_path: Path) -> None:
    base = content_of(
        "table4",
        {"2": [70, 71], "4": [40], "8": [8]},
        missing=["l 12: <100 % of $x_1$ & \\y ~ failed"],
    )
    strange = TableSpec("strange", "50 % & _more_ {x} \\", "l", base.table.cells, ("rank", "fid"))
    names = "写真/\N{GRINNING FACE} café Ærø \udce9 e\N{COMBINING ACUTE ACCENT} 50 % \N{DAGGER}"
    foreign = replace(strange, name="foreign", title=names, notes=(names,))
    for table in (base.table, strange, foreign):
        content = replace(base, table=table)
        write_table(content, tmp_path)
        assert "1 page" in _compile(tmp_path, f"{content.table.name}.tex")
    body = (
        r"\begin{document}\input{table4}\input{strange.tex} after \ref{tab:table4} \end{document}"
    )
    outer = r"\documentclass{article}\usepackage{booktabs,graphicx,xcolor}"
    (tmp_path / "outer.tex").write_text(outer + body)
    _compile(tmp_path, "outer.tex")
    log = _compile(tmp_path, "outer.tex")
    assert "Reference `tab:table4'" not in log
    # What is wider than the text is shrunk.
    assert "Overfull" not in log


@needs_latex
def test_latex_of_the_largest_table_fits_a_page(tmp_path: Path) -> None:
    content = content_of("mnist-baselines", everywhere("mnist-baselines", [70, 71, 75]))
    write_table(replace(content, missing=["a cell, and why it is empty"] * 40), tmp_path)
    log = _compile(tmp_path, "mnist-baselines.tex")
    assert "1 page" in log
    assert "Float too large" not in log
    assert "Overfull" not in log


@pytest.mark.parametrize("table", ["3", "4"])
def test_golden_tables(table: str, tmp_path: Path) -> None:
    """Committed records of real smoke runs, two seeds each, give the approved tables."""
    folders = ["--runs-dir", str(GOLDEN / "runs"), "--tables-dir", str(tmp_path)]
    assert main(["--collect", "--table", table, *folders]) == 0
    for ending in ("md", "tex", "csv"):
        name = f"table{table}.{ending}"
        assert (tmp_path / name).read_text() == (GOLDEN / "tables" / name).read_text()


def test_golden_numbers_by_hand() -> None:
    """One approved number is computed here from the records' text alone."""
    spectra = [
        json.loads(path.read_text())["content"]["metrics"]["spectrum"]
        for path in sorted((GOLDEN / "runs").glob("*-l2-s*/measured-*.json"))
    ]
    ranks = [sum(value > spectrum[0] / 1000 for value in spectrum) for spectrum in spectra]
    assert len(ranks) == 2
    rows = list(csv.DictReader(io.StringIO((GOLDEN / "tables" / "table4.csv").read_text())))
    row = next(r for r in rows if (r["metric"], r["column"]) == ("rank", "2"))
    assert float(row["mean"]) == sum(ranks) / 2
    half_width = stats.t.ppf(0.975, 1) * abs(ranks[0] - ranks[1]) / 2
    assert float(row["high"]) == pytest.approx(float(row["mean"]) + half_width)


def test_real_images_are_shown_by_mean_and_deviation_over_their_sets() -> None:
    """The same for every column with runs, whichever run has them."""
    made = content_of("table4", {"2": [70], "4": [39]})
    spread = {"fid": [6.0, 7.5], "kid": [-0.00003, 0.00005], "coverage": [0.96, 0.98]}
    first = made.all_results[0]
    record = first.measurements[0]
    changed = replace(record, metrics=record.metrics | {"real_images": spread})
    cell = made.table.cells[0]
    results = {**made.results, cell: [replace(first, measurements=(changed,))]}
    made = replace(made, results=results)
    data = frame(made)
    real = data[(data.metric == "fid") & (data["sampler"] == "real")]
    assert real["mean"].tolist()[:2] == [6.75, 6.75]
    assert real.deviation.tolist()[:2] == pytest.approx([statistics.stdev([6, 7.5])] * 2)
    assert real["mean"].isna().tolist() == [False, False, True, True]
    (printed,) = [row for row in rows(made, data) if row.kind == "real images"]
    assert [cell.text for cell in printed.cells] == ["6.75 (SD 1.06)", "6.75 (SD 1.06)", "--", "--"]
    assert any("over 2 disjoint sets" in note.text for note in notes(made, data, rows(made, data)))


def test_real_images_have_one_row_below_all_lines() -> None:
    values = everywhere("table6", [50.0]) | {"AE 32": []}
    made = content_of("table6", values, extractor="imagenet")
    printed = [row for row in rows(made, frame(made)) if row.metric == "FID (imagenet)"]
    assert [row.line for row in printed if row.kind == "real images"] == [""]
    assert printed[-1].kind == "real images"
    # A line without a run in a column leaves none of them out.
    assert [cell.text for cell in printed[-1].cells] == ["0.250"] * 5


def test_bold_is_the_smallest_of_the_means_that_are_printed() -> None:
    """Of FIDs the geometric one, in which a seed that went astray counts less."""
    content = content_of(
        "table4", {"2": [10, 10, 10], "4": [1, 1, 40], "8": [20] * 3, "12": [30] * 3}
    )
    assert _bold(content, r"FID \(inception\) +\| gmm10") == [False, True, False, False]

"""The report's data; test_browser.py opens it in Chromium."""

import re
from base64 import b64decode
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.cli import main
from bench.evaluation.spectrum import rank
from bench.experiments.figures import FIGURES
from bench.experiments.tables import PAPER_TABLES, TABLES
from tests.support import report_runs as reports
from tests.support.results import results_in

Element = ET.Element


@pytest.fixture(scope="module")
def page(report: Path) -> Element:
    return _parsed(report / "report.html")


def _parsed(path: Path) -> Element:
    """The page is XML too, so that whatever is unclosed or unescaped is an error."""
    return ET.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 - our own file


def _text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _section(page: Element, name: str) -> Element:
    (found,) = page.iterfind(f".//section[@id='{name}']")
    return found


def _rows(page: Element, name: str) -> list[list[str]]:
    """The cells of a section's table; a label that spans several rows is in each of them."""
    found: list[list[str]] = []
    for body in _section(page, name).iterfind(".//tbody"):
        for row in body.iterfind("tr"):
            spans = row.find("th[@rowspan]") is not None or name in ("claims", "runs")
            repeated = [] if spans else [found[-1][0]]
            found.append([*repeated, *map(_text, row)])
    return found


def _names(page: Element, name: str) -> set[str]:
    return set(_text(page.findall(f".//*[@id='{name}']")[0]).split(": ")[1].rstrip(".").split(", "))


def test_anchors_lead_somewhere_and_nothing_else_is_asked_for(page: Element) -> None:
    ids = [each.attrib["id"] for each in page.iter() if "id" in each.attrib]
    links = [each.attrib["href"] for each in page.iter("a")]
    assert len(ids) == len(set(ids))
    assert {"#claims", "#table3", "#table6", "#figures", "#runs"} < set(links)
    assert set(links) <= {f"#{each}" for each in ids}
    loaded = {each.get(name, "data:") for each in page.iter() for name in ("src", "data", "action")}
    loaded |= {each.attrib["href"] for each in page.iter("link")}
    assert all(source.startswith("data:") for source in loaded)
    assert page.find(".//script") is None
    assert re.search(r"url\(|@import", "".join(map(_text, page.iter("style")))) is None


def test_claims_stand_at_the_top_with_sources_verdicts_and_evidence(page: Element) -> None:
    sections = [str(each.get("id")) for each in page.iter("section")]
    assert sections[:5] == ["claims", *PAPER_TABLES]
    assert sections[-2:] == ["figures", "runs"]
    declared = [(c.statement, c.source) for name in sections[1:-2] for c in TABLES[name].claims]
    assert [(row[0], row[1]) for row in _rows(page, "claims")] == declared
    verdicts = [_text(each) for each in _section(page, "claims").iter("summary")]
    unlearned, missing = (
        sum(len(TABLES[name].claims) for name in names)
        for names in (
            ("table3", "table4"),
            ("table5", "table6", "section3", "rank-sweep", "rank-methods"),
        )
    )
    assert (verdicts.count("not learned"), verdicts.count("not run")) == (unlearned, missing)
    assert len(_section(page, "claims").findall(".//details[ul]")) == len(declared)


@pytest.mark.parametrize("name", ["table3", "table4"])
def test_a_table_has_the_numbers_and_notes_of_its_other_forms(page: Element, name: str) -> None:
    text = (reports.GOLDEN.parent / "tables" / f"{name}.md").read_text(encoding="utf-8")
    printed = [
        [cell.strip().strip("*") for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|") and "---" not in line
    ]
    assert [_text(each) for each in _section(page, name).iterfind(".//thead/tr/*")] == printed[0]
    assert _rows(page, name) == printed[1:]
    grey = [each.text for each in _section(page, name).iterfind(".//td[@class='number grey']")]
    assert grey == [text for row in printed if "not comparable" in row[1] for text in row[2:]]
    items = _section(page, name).findall("ul/li")
    said = {(each.findtext("details/summary") or str(each.text)).strip() for each in items}
    notes = {line[2:].replace("\\", "") for line in text.splitlines() if line.startswith("- ")}
    assert notes <= said


def test_tables_and_figures_can_be_read_aloud(report: Path, page: Element) -> None:
    assert all(each.find("caption") is not None for each in page.iter("table"))
    scopes = {each.get("scope") for each in page.iter("th")}
    assert scopes == {"col", "row", "rowgroup"}
    images = list(page.iter("img"))
    # Spectra and curves of Tables 3 and 4, each as it was drawn and with what stands below it.
    captions = list(page.iter("figcaption"))
    names = [str(each.findtext("strong")).split("(")[-1].rstrip(")") for each in captions]
    assert len(names) == len(images) == 4
    for name, image, caption in zip(names, images, captions, strict=True):
        content = b64decode(image.attrib["src"].partition(",")[2])
        assert content == (report / "figures" / f"{name}.png").read_bytes()
        assert FIGURES[name].title in image.attrib["alt"]
        notes = (report / "figures" / f"{name}.txt").read_text().splitlines()[2:]
        assert " ".join(notes) in " ".join(_text(caption).split())
        assert any("Profile smoke" in note for note in notes)


def test_every_run_is_listed_once(page: Element) -> None:
    listed = {row[0]: row[1:] for row in _rows(page, "runs")}
    results = results_in(reports.GOLDEN)
    assert len(_rows(page, "runs")) == len(listed) == len(results) + 1
    shared = _text(next(_section(page, "runs").iter("caption")))
    assert "latent_dim 128" in shared
    for result in results:
        settings, seed, ranks, mse, extractors, took, commit = listed[result.run_id]
        scale, depth = result.spec.init_scale, result.spec.depth
        assert settings == f"depth {depth}, init_scale {scale:g}"
        assert seed == str(result.spec.seed)
        assert ranks == str(rank(result.metrics["spectrum"], 1e-3))
        assert mse.split()[0] == f"{result.metrics['test_mse']:.5f}"
        assert extractors == "classifier"
        hours, minutes, seconds = map(int, took.split(":"))
        measured = result.trained.timing["seconds"]
        assert 3600 * hours + 60 * minutes + seconds == pytest.approx(measured, abs=0.5)
        assert str(result.trained.provenance["commit"]).startswith(commit.partition("+")[0])


def test_a_failed_run_is_listed_with_its_reason_as_text(page: Element) -> None:
    (failed,) = [row for row in _rows(page, "runs") if len(row) == 4]
    assert failed[1:] == ["depth 12, init_scale 1", "7", f"failed: {reports.REASON}"]
    assert "12 finished runs, 1 failed;" in _text(page)


def test_what_was_not_run_is_left_out_and_named(page: Element) -> None:
    # Of Figure 2, one run is there, but none of its images.
    assert {"table5-original", "figure1", "figure2", "walks-table5"} <= _names(page, "left-out")


def test_the_same_runs_make_the_same_page(report: Path, tmp_path: Path) -> None:
    pages = []
    for name in ("first", "second"):
        places = {"runs": report / "runs", "tables": tmp_path / name, "figures": tmp_path / name}
        folders = [f"--{kind}-dir={path}" for kind, path in places.items()]
        path = tmp_path / name / "report.html"
        command = ["--collect", "--table", "4", "--figure", "ranks-depth", "--report", str(path)]
        assert main([*command, *folders]) in (0, 4)
        pages.append(path.read_bytes())
    assert pages[0] == pages[1]


def test_a_report_of_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    reports.write(tmp_path / "runs", tmp_path)
    page = _parsed(tmp_path / "report.html")
    assert _rows(page, "runs") == []
    assert set(FIGURES) <= _names(page, "left-out")


def test_a_report_of_one_table_is_of_it_alone(tmp_path: Path) -> None:
    folders = ["--runs-dir", str(reports.GOLDEN), "--tables-dir", str(tmp_path)]
    path = tmp_path / "one.html"
    assert main(["--collect", "--table", "4", "--report", str(path), *folders]) == 0
    page = _parsed(path)
    assert [each.get("id") for each in page.iter("section")] == ["claims", "table4", "runs"]
    assert len(_rows(page, "runs")) == 8
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "one.html",
        *("table4.csv", "table4.md", "table4.tex"),
    ]


def test_alone_claims_and_report_train_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--runs-dir", str(reports.GOLDEN), "--tables-dir", str(tmp_path)]
    assert main(["--claims", *folders]) == 4
    output = capsys.readouterr().out
    assert ", mnist-sample, profile smoke): not learned.\n" in output
    assert ", celeba, profile paper): not run.\n  - no two runs to compare\n" in output
    assert main(["--claims", "--report", "--plan", *folders]) == 2
    assert not Path("report.html").exists()


def test_intervals_are_broken_where_columns_are_many(page: Element) -> None:
    """Nine of them in one line are wider than a window of 1,400 pixels."""
    tables = {name: _section(page, name).find(".//table") for name in ("table4", "rank-methods")}
    classes = {name: table.get("class") for name, table in tables.items() if table is not None}
    assert classes == {"table4": None, "rank-methods": "many"}

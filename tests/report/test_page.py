"""The report as text; test_browser.py opens it in Chromium."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.cli import main
from bench.experiments.figures import FIGURES
from bench.experiments.tables import PAPER_TABLES, TABLES
from bench.report.page.charts import HEIGHT, WIDTH, chart
from tests.support import report_runs as reports

VOID = {"meta", "link", "img", "br", "line", "polyline", "circle"}


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    reports.fill(folder / "runs")
    return reports.write(folder / "runs", folder)


def _text(html: str) -> str:
    body = re.sub(r"<(style|script)>.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def _section(html: str, name: str) -> str:
    return html.split(f'<section id="{name}"')[1].split("</section>", maxsplit=1)[0]


def test_it_is_well_formed_and_anchors_lead_somewhere(html: str) -> None:
    stack: list[str] = []
    ids: list[str] = []
    links: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            values = dict(attrs)
            ids.extend(filter(None, [values.get("id")]))
            if tag == "a":
                links.append(str(values["href"]))
            if tag not in VOID:
                stack.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if tag not in VOID:
                assert stack.pop() == tag

    Reader().feed(html)
    assert stack == []
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert all(link.startswith("#") for link in links)


def test_claims_stand_at_the_top_with_their_verdicts(html: str) -> None:
    claims = _text("<section" + _section(html, "claims"))
    for name in PAPER_TABLES:
        for claim in TABLES[name].claims:
            assert f"{claim.statement} ({claim.source})" in claims
    assert claims.count("not learned mnist-sample, smoke") == 6
    assert claims.count("not run celeba, paper no two runs to compare") == 4
    assert html.index('id="claims"') < html.index('id="table3"') < html.index('id="figures"')


def test_a_table_has_the_numbers_of_its_other_forms(html: str) -> None:
    """Turned on its side: the approved Markdown's columns are the report's lines."""
    markdown = (reports.GOLDEN.parent / "tables" / "table4.md").read_text()
    rows = [line.strip("|").split("|") for line in markdown.splitlines() if line.startswith("|")]
    expected = [
        [cell.strip().strip("*") for cell in column]
        for column in list(zip(*(row[1:] for row in rows if "---" not in row[0]), strict=True))
    ]
    section = _section(html, "table4")
    body = section.split("<tbody>")[1].split("</tbody>")[0]
    cells = re.compile(r"<t[hd][^>]*>(.*?)</t[hd]>", re.DOTALL)
    lines = [cells.findall(row)[:-1] for row in body.split("</tr>")[:-1]]
    assert lines == expected[1:]
    heads = re.findall(r"<button[^>]*>(.*?)</button>", section)
    assert heads == expected[0]
    for words in (
        "Student t",
        "the classifier of mnist that the suite ships",
        "gmm10",
        "Profile smoke",
        "shuffled",
    ):
        assert words in _text(section)
    assert 'data-value="4.0"' in body


def test_runs_have_pages_of_their_own(html: str) -> None:
    store_runs = sorted(path.name for path in reports.GOLDEN.iterdir())
    for run_id in store_runs:
        page = html.split(f'<details id="{run_id}"')[1].split("</details>", maxsplit=1)[0]
        text = _text(page)
        for words in (
            "fid_gmm10",
            "latent_dim 128",
            "extractor checksum bc9b84f1",
            "fingerprint",
            "images_sha256",
            "commit",
            "Time of training seconds",
            "images_per_second",
            "device cpu",
        ):
            assert words in text
        assert page.count("<svg") == 2
        assert page.count("data:image/jpeg;base64,") == 1
        # Where a table has its number, a link leads here.
        assert f'href="#{run_id}"' in html.split('<section id="runs"', maxsplit=1)[0]


def test_failures_are_shown_as_such(html: str) -> None:
    assert "12 finished runs, 1 failed" in _text(html)
    (page,) = re.findall(r'<details id="[^"]*" class="run failed">.*?</details>', html, re.DOTALL)
    assert reports.TRACEBACK in unescape(page)
    assert "seed 7 failed" in _section(html, "table4")
    assert "-s7 failed (RuntimeError: </pre><script>)" in unescape(_section(html, "table4"))


def test_what_is_written_in_records_is_never_markup(html: str) -> None:
    assert "<script>document.title" not in html
    assert html.count("<script>") == 1


def test_it_asks_for_nothing_beside_itself(html: str) -> None:
    sources = re.findall(r'(?:src|href|data|action)="([^"]*)"', html)
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in html


def test_what_was_not_run_is_left_out_and_named(html: str) -> None:
    named = _text(html).split("nothing is cached: ")[1]
    # Of Figure 2, one run is there, but none of its images.
    for name in ("table5-original", "figure1", "figure2", "walks-table5"):
        assert name in named
    assert "Figure 1" not in html.split('id="figures"')[1].split("</section>", maxsplit=1)[0]
    assert "spectra-depth" in html.split('id="figures"')[1].split("</section>", maxsplit=1)[0]


def test_samples_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    store = reports.fill(tmp_path / "runs")
    first, second, *_ = sorted(store.root.glob("mnist*/measured-*.npz"))
    first.write_bytes(first.read_bytes()[:-40])
    second.write_text("<html>")
    html = reports.write(store.root, tmp_path)
    assert html.count("data:image/jpeg;base64,") == 10


def test_the_same_runs_make_the_same_page(tmp_path: Path) -> None:
    reports.fill(tmp_path / "runs")
    first, second = (reports.write(tmp_path / "runs", tmp_path / name) for name in "ab")
    assert first == second


def test_a_report_of_nothing_says_so(tmp_path: Path) -> None:
    html = reports.write(tmp_path / "runs", tmp_path)
    assert "0 finished runs;" in _text(html)
    assert "None has finished." in html
    assert all(name in html for name in FIGURES)


def test_a_report_of_one_table_is_of_it_alone(tmp_path: Path) -> None:
    folders = ["--runs-dir", str(reports.GOLDEN), "--tables-dir", str(tmp_path)]
    path = tmp_path / "one.html"
    assert main(["--collect", "--table", "4", "--report", str(path), *folders]) == 0
    html = path.read_text()
    assert "8 finished runs" in _text(html)
    assert 'id="table3"' not in html
    assert 'id="figures"' not in html
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "one.html",
        *("table4.csv", "table4.md", "table4.tex"),
    ]


def test_alone_claims_and_report_train_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--runs-dir", str(reports.GOLDEN), "--tables-dir", str(tmp_path)]
    assert main(["--claims", *folders]) == 1
    output = capsys.readouterr().out
    assert ", mnist-sample, profile smoke): not learned.\n" in output
    assert ", celeba, profile paper): not run.\n  - no two runs to compare\n" in output
    assert main(["--claims", "--report", "--plan", *folders]) == 0
    assert not list(tmp_path.glob("*.html"))


def test_a_chart_by_hand() -> None:
    drawn = chart("loss", "epoch", [0, 1, 2], [10, 1, 0.1], marked=1)
    assert drawn is not None
    points = [tuple(map(float, point.split(","))) for point in drawn.points.split()]
    # A straight line, from the top to the bottom, its middle marked.
    assert points[0][1] < points[1][1] < points[2][1]
    middle = [(a + b) / 2 for a, b in zip(points[0], points[2], strict=True)]
    assert list(points[1]) == pytest.approx(middle)
    assert drawn.mark == points[1]
    assert [label for _, label in drawn.yticks] == ["1e-1", "1e0", "1e1"]
    assert [y for y, _ in drawn.yticks] == [points[2][1], points[1][1], points[0][1]]
    assert [label for _, label in drawn.xticks] == ["0", "2"]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)


def test_charts_of_what_cannot_be_drawn() -> None:
    nan = float("nan")
    assert chart("", "", [], []) is None
    assert chart("", "", [1], [1]) is None
    assert chart("", "", [1, 2, 3], [0, nan, 1]) is None
    flat = chart("", "", [1, 2], [3, 3], marked=5)
    assert flat is not None
    assert flat.mark is None
    long = chart("", "", range(10_000), [1 + i for i in range(10_000)])
    assert long is not None
    assert len(long.points.split()) <= 300

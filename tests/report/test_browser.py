"""The report as Chromium shows it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.support import report_runs as reports

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]

DESK = ViewportSize(width=1280, height=900)
PHONE = ViewportSize(width=360, height=740)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    reports.fill(folder / "runs")
    reports.write(folder / "runs", folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, report: Path) -> Iterator[Page]:
    context = browser.new_context(viewport=DESK)
    opened = context.new_page()
    opened.goto(report.as_uri())
    yield opened
    context.close()


def _column(page: Page, table: str, column: int) -> list[str]:
    return page.locator(f"#{table} tbody tr > :nth-child({column + 1})").all_inner_texts()


def test_it_opens_without_errors_and_without_the_network(browser: Browser, report: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    page.wait_for_load_state("networkidle")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    assert "reproduced" in page.title()
    context.close()


def test_every_image_is_there(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    page.evaluate("document.querySelectorAll('img').forEach((each) => { each.loading = 'eager'; })")
    page.wait_for_function("[...document.images].every((each) => each.complete)")
    widths = page.evaluate("[...document.images].map((each) => each.naturalWidth)")
    # Figures of spectra and curves of Tables 3 and 4; samples of twelve runs.
    assert len(widths) == 4 + 12
    assert min(widths) > 1
    assert page.evaluate("[...document.images].every((each) => each.alt.length > 10)")


def test_tables_sort_by_keyboard(page: Page) -> None:
    assert _column(page, "table4", 0) == ["2", "4", "8", "12"]
    measured = page.locator("#table4 th button", has_text="gmm10")
    before = _column(page, "table4", 4)
    means = sorted(float(text.split()[0]) for text in before)
    assert [float(text.split()[0]) for text in before] != means
    measured.focus()
    page.keyboard.press("Enter")
    assert [float(text.split()[0]) for text in _column(page, "table4", 4)] == means
    header = measured.locator("xpath=..")
    assert header.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert [float(text.split()[0]) for text in _column(page, "table4", 4)] == means[::-1]
    assert header.get_attribute("aria-sort") == "descending"
    # By their place in the table, not as text, where 12 comes before 2.
    page.locator("#table4 th button", has_text="Depth l").click()
    assert _column(page, "table4", 0) == ["2", "4", "8", "12"]
    assert header.get_attribute("aria-sort") is None


def test_what_is_missing_comes_last_either_way(page: Page) -> None:
    paper = page.locator("#table5 th button", has_text="paper")
    for expected in (["42.0", "44.7", "53.7"], ["53.7", "44.7", "42.0"]):
        paper.click()
        assert _column(page, "table5", 1) == [*expected, "--", "--", "--"]


def test_claims_sort_as_text(page: Page) -> None:
    verdict = page.locator("#claims th button", has_text="Verdict")
    verdict.click()
    verdicts = _column(page, "claims", 1)
    assert verdicts == sorted(verdicts)
    assert len(set(verdicts)) == 2


def test_a_link_unfolds_its_run(page: Page) -> None:
    link = page.locator("#table4 tbody a").first
    target = page.locator(f"[id='{str(link.get_attribute('href'))[1:]}']")
    assert target.get_attribute("open") is None
    link.focus()
    page.keyboard.press("Enter")
    # Following a link takes a moment.
    expect(target).to_have_attribute("open", "")
    expect(target.locator("svg").first).to_be_visible()


def test_runs_unfold_by_keyboard(page: Page) -> None:
    summary = page.locator("details.run.failed summary")
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("details.run.failed pre").inner_text() == reports.TRACEBACK


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    browser: Browser, report: Path, scheme: str, size: ViewportSize
) -> None:
    """Contrast, names, roles, order of headings and the like, by axe-core's rules."""
    context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(report.as_uri())
    page.evaluate("[...document.querySelectorAll('details')].at(-1).open = true")
    page.evaluate("document.querySelector('details.failed').open = true")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (colour == "rgb(255, 255, 255)") == (scheme == "light")
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()

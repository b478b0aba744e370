"""The report as Chromium shows it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python of [dev]")
pytest.importorskip("playwright", reason="needs playwright of [dev]")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ViewportSize, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    arguments = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


def test_it_opens_whole_without_errors_and_without_the_network(
    browser: Browser, report: Path
) -> None:
    context, address = browser.new_context(), (report / "report.html").as_uri()
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.wait_for_load_state("networkidle")
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [address]
    assert min(page.evaluate("[...document.images].map((each) => each.naturalWidth)")) > 1
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 1000])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    browser: Browser, report: Path, scheme: str, width: int
) -> None:
    """Contrast, names, roles, order of headings and the like, by axe-core's rules."""
    size = ViewportSize(width=width, height=900)
    context = browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto((report / "report.html").as_uri())
    heights = page.evaluate("[...document.querySelectorAll('tr')].map((each) => each.offsetHeight)")
    # An interval in a column of nine takes four lines on a narrow screen.
    assert max(heights) < (70 if width == 1400 else 90)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (colour == "rgb(255, 255, 255)") == (scheme == "light")
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()

"""The report as a browser shows it: at a desk, on a phone, on paper, without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from cifar_exp.comparison import Ranking
from cifar_exp.report import write
from tests.browser import opened
from tests.rankings import ranking, row

WIDTHS = {"desktop": 1280, "phone": 390}
GIVEN = {
    "one combination": ranking(row(1, "mse+sgd")),
    "sixty combinations": ranking(
        *(
            row(
                n,
                f"loss_{n % 12}+optimizer-{n // 12}",
                test_accuracies=tuple(0.9 - n / 100 + step / 100 for step in range(3)),
                test_accuracy_mean=0.91 - n / 100,
            )
            for n in range(60)
        )
    ),
    "none with a result": ranking(row(None, "mse+sgd")),
}


@pytest.fixture(scope="module", params=GIVEN)
def report(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    given: Ranking = GIVEN[request.param]
    folder = tmp_path_factory.mktemp("report")
    write(given, folder)
    return folder / "report.html"


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS.keys())
def test_it_fits_and_needs_nothing_else(browser: Browser, report: Path, width: int) -> None:
    page, complaints, requests = opened(browser, report, width)
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".verdict").is_visible()
    assert page.locator("h2").count() >= 3
    for figure in page.locator("figure svg").all():
        box = figure.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 50
    page.close()


def test_every_entry_of_its_contents_leads_somewhere(browser: Browser, report: Path) -> None:
    page, _, _ = opened(browser, report, WIDTHS["desktop"])
    for link in page.locator("nav a").all():
        target = link.get_attribute("href") or ""
        assert page.locator(target).inner_text() == link.inner_text()
    page.close()


def test_it_prints(browser: Browser, report: Path) -> None:
    page, _, _ = opened(browser, report, WIDTHS["desktop"])
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.close()

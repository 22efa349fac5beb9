"""MLflow's UI in a browser: the addresses that are printed, and the saved views."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.server import tracking_server
from cifar_exp.tracking import connect, read_records
from tests import tiny
from tests.command import Cli

pytestmark = [pytest.mark.chaos, pytest.mark.usefixtures("no_pictures")]

SIZE = {"width": 1440, "height": 900}
PATIENCE = 60_000  # milliseconds
LOCAL = "http://127.0.0.1:5000"
DRAWN = """() => {
    const canvas = document.querySelector("canvas.foreground");
    const context = canvas && canvas.getContext("2d");
    return context && context.getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean);
}"""
"""Whether the lines of the parallel coordinates have been drawn."""


@dataclass(frozen=True)
class Opened:
    """A page of MLflow's UI, and what a sweep printed."""

    page: Page
    printed: str
    store: str
    server: str

    def open(self, address: str) -> Page:
        self.page.goto(address.replace(LOCAL, self.server))
        return self.page

    def link(self, label: str) -> str:
        """Return the address that was printed with this label."""
        [line] = [each for each in self.printed.splitlines() if each.startswith(f"{label}: ")]
        return line.removeprefix(f"{label}: ")

    def view(self, key: str, mode: str = "TABLE") -> Page:
        """Open a saved view."""
        address = self.link("Ranking").replace("ShareKey=ranking", f"ShareKey={key}")
        return self.open(f"{address}&compareRunsMode={mode}")


@pytest.fixture
def opened(
    browser: Browser,
    cli: Cli,
    images: Path,
    tmp_path: Path,
    store_template: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Opened]:
    shutil.copy(store_template, tmp_path / "server.db")
    store = f"sqlite:///{tmp_path / 'server.db'}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    Path("tiny.toml").write_text(tiny.definition(images))
    ran = cli("run", "tiny.toml", "--workers", 1)
    assert ran.code == 0, ran.err
    with tracking_server(tmp_path) as server:
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE)
        yield Opened(page, ran.out, store, server)
        page.close()


def column(page: Page, name: str) -> list[str]:
    """Return the texts of a column of the table of runs, by its id."""
    cells = page.locator(f'.ag-center-cols-container [role=gridcell][col-id="{name}"]')
    expect(cells.first).to_be_visible(timeout=PATIENCE)
    by_row = sorted(cells.all(), key=lambda cell: (cell.bounding_box() or {"y": 0})["y"])
    return [cell.inner_text().strip() for cell in by_row]


def headers(page: Page) -> list[str]:
    """Return the ids of the columns that are not fixed, from left to right."""
    cells = page.locator(".ag-header-viewport .ag-header-cell")
    expect(cells.first).to_be_visible(timeout=PATIENCE)
    ordered = sorted(cells.all(), key=lambda cell: (cell.bounding_box() or {"x": 0})["x"])
    return [cell.get_attribute("col-id") or "" for cell in ordered]


def test_the_printed_address_and_the_views(opened: Opened) -> None:
    records = read_records(connect(opened.store), "tiny")
    combinations = {r.metrics["rank"]: r for r in records if r.kind == "combination"}
    trials = [r for r in records if r.kind == "trial"]

    page = opened.open(opened.link("Ranking"))
    ranks = column(page, "metrics.`rank`")
    assert ranks == ["1", "2"]
    accuracies = [combinations[int(rank)].metrics["test_accuracy_mean"] for rank in ranks]
    assert list(map(float, column(page, "metrics.`test_accuracy_mean`"))) == accuracies
    assert headers(page)[:3] == [
        "metrics.`rank`",
        "metrics.`test_accuracy_mean`",
        "metrics.`test_accuracy_std`",
    ]

    page = opened.view("trials-by-combination")
    settings = column(page, "tags.`setting`")
    assert [settings[0], settings[4]] == ["", ""]  # the rows of the two groups
    assert sorted(filter(None, settings)) == sorted(t.tags["setting"] for t in trials)
    assert headers(page)[:2] == ["metrics.`val_accuracy`", "tags.`setting`"]

    page = opened.view("parallel-coordinates", "CHART")
    axes = page.locator(".dimension .axis .label")
    expect(axes).to_have_text(["batch_size", "log10_lr", "val_accuracy"], timeout=PATIENCE)
    page.wait_for_function(DRAWN, timeout=PATIENCE)

"""The documentation site: built without a warning, complete, readable without a network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from playwright.sync_api import Browser

import cifar_exp
from cifar_exp import testing
from cifar_exp.cli import cli
from tests.browser import opened
from tests.docs.pages import ROOT
from tests.once import once

LOADED = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?((?:https?:)?//[^\s\">]*)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site; a broken link, an unknown anchor or a forgotten page is an error."""

    def build(folder: Path) -> None:
        built = subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
            cwd=ROOT,
            env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert built.returncode == 0, built.stderr

    return once(tmp_path_factory, "site", build)


def ids(page: Path) -> set[str]:
    return set(re.findall(r'id="([^"]+)"', page.read_text("utf-8")))


def test_it_has_every_command_and_every_public_name(site: Path) -> None:
    assert {f"cifar-exp-{name}" for name in cli.commands} <= ids(site / "commands.html")
    names = {f"cifar_exp.{name}" for name in cifar_exp.__all__}
    names |= {f"cifar_exp.testing.{name}" for name in testing.__all__}
    assert names <= ids(site / "api.html")


def test_every_page_leads_to_every_other(site: Path) -> None:
    pages = {page.name for page in site.glob("*.html")} - {"404.html"}
    for name in pages:
        text = (site / name).read_text("utf-8")
        paths = set(re.findall(r'<a [^>]*href="([^":#]+)[#"]', text))
        assert pages - {name} <= paths
        assert all((site / path).is_file() for path in paths)


def test_the_citation_names_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text("utf-8").splitlines()
    for key in ("version", "license"):
        assert f"{key}: {project[key]}" in citation


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        assert LOADED.findall(page.read_text("utf-8")) == []


@pytest.mark.chaos
@pytest.mark.parametrize("width", [1440, 390])
def test_it_fits_the_screen_and_is_searched_as_a_file(
    browser: Browser, site: Path, width: int
) -> None:
    for name in ("index", "tutorial", "method", "components", "api", "commands"):
        page, complaints, requests = opened(browser, site / f"{name}.html", width)
        assert complaints == []
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width == 1440 and name == "index":
            page.fill("input[name=query]", "holdout")
            page.locator(".md-search-result__item").first.wait_for(timeout=30_000)
        page.close()

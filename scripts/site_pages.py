"""A hook of mkdocs: the pages of the site that are not in docs/, and the links among all pages.

The files of the repository link each other as a Git host needs it, `docs/method.md` or
`../CONTRIBUTING.md`. In the site all pages are in one folder.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
REPOSITORY_PAGES = {
    "index.md": "README.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "benchmarks.md": "benchmarks/README.md",
}
PAGE_OF = {
    "benchmarks": "benchmarks.md",
    "experiments": "experiments.md",
    **{path: uri for uri, path in REPOSITORY_PAGES.items()},
}
"""Files and folders of the repository outside of docs/, and their pages in the site."""
COMMANDS = """# Commands

::: mkdocs-click
    :module: cifar_exp.cli
    :command: cli
    :prog_name: cifar-exp
    :depth: 1
"""
PYTHON = """# Python

::: cifar_exp

::: cifar_exp.testing
    options:
      heading: cifar_exp.testing
      toc_label: cifar_exp.testing
"""
LINK = re.compile(r"\[([^\[\]]*)\]\(([^():#\s]+)(#[^()\s]*)?\)")
"""A link to a file: its text, path and anchor."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    texts = {uri: (ROOT / path).read_text("utf-8") for uri, path in REPOSITORY_PAGES.items()}
    texts |= {"commands.md": COMMANDS, "api.md": PYTHON, "experiments.md": definitions()}
    for uri, text in texts.items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Change the links of a page to those of the site."""
    del config, files
    uri = page.file.src_uri
    folder = posixpath.dirname(REPOSITORY_PAGES.get(uri, f"docs/{uri}"))
    return LINK.sub(
        lambda link: site_link(link[1], posixpath.join(folder, link[2]), link[3] or ""), markdown
    )


def site_link(text: str, path: str, anchor: str) -> str:
    """Return the link to a file of the repository; its text alone, if it is not in the site."""
    target = posixpath.normpath(path)
    if target in PAGE_OF:
        return f"[{text}]({PAGE_OF[target]}{anchor})"
    if target.startswith("docs/"):
        return f"[{text}]({target.removeprefix('docs/')}{anchor})"
    return text


def definitions() -> str:
    """Return a page with every definition in experiments/."""
    paths = sorted((ROOT / "experiments").glob("*.toml"))
    texts = (f"## {path.name}\n\n```toml\n{path.read_text('utf-8')}```\n" for path in paths)
    return "\n".join(["# Definitions of the project\n", *texts])

"""A figure of the report with its words, and how it is stored."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.figure import Figure

DOTS_PER_INCH = 130
WIDTH = 7.5  # inches
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # names stay text that can be searched
    "svg.hashsalt": "cifar_exp",  # the same figure gives the same file
    "text.parse_math": False,  # a name with a $ is no formula
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A figure; `caption` says what it shows and how to read it."""

    name: str
    """Of its files."""
    title: str
    caption: str
    figure: Figure


@contextmanager
def style() -> Iterator[None]:
    """Draw and store all figures alike, whatever the user's own settings of matplotlib are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast(Any, STYLE))
        yield


def blank(rows: float, width: float = WIDTH) -> Figure:
    """Return an empty figure that is `rows` inches high."""
    return Figure(figsize=(width, rows), layout="constrained")


def store(picture: Picture, folder: Path) -> str:
    """Write a picture as PNG and SVG into a folder; return the SVG as a part of a page."""
    picture.figure.savefig(folder / f"{picture.name}.png", dpi=DOTS_PER_INCH)
    text = io.StringIO()
    picture.figure.savefig(text, format="svg", metadata={"Date": None})
    (folder / f"{picture.name}.svg").write_text(text.getvalue(), encoding="utf-8")
    return _part_of_page(text.getvalue(), picture)


def _part_of_page(svg: str, picture: Picture) -> str:
    """Leave out what only a file needs, and make ids differ from those of other pictures."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'\bid="', f'id="{picture.name}-', element)
    element = re.sub(r'(url\(|xlink:href=")#', rf"\1#{picture.name}-", element)
    width = re.search(r'width="([\d.]+)pt"', element)
    points = float(width[1]) if width else 0.0
    opening = (
        f'<svg role="img" aria-labelledby="{picture.name}-caption" '
        f'style="width:{points:.0f}pt;max-width:100%;min-width:min({points:.0f}pt,32rem)"'
    )
    start, _, rest = element.partition(">")
    start = re.sub(r' (?:width|height)="[\d.]+pt"', "", start)
    return start.replace("<svg", opening, 1) + ">" + rest

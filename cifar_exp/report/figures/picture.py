"""A figure of the report with title and caption, and its storage."""

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
SUFFIXES = ("png", "svg", "pdf")
"""Of the files of a figure."""
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",  # keep names searchable
    "svg.hashsalt": "cifar_exp",  # makes the file reproducible
    "pdf.fonttype": 42,  # TrueType, as journals reject Type 3
    "text.parse_math": False,  # a name with a $ is not a formula
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
    """A figure; `caption` explains what it shows and how to read it."""

    name: str
    """Name of its files, without suffix."""
    title: str
    caption: str
    figure: Figure


class Drawing(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        png = io.BytesIO()
        with style():
            self.savefig(png, format="png", dpi=DOTS_PER_INCH)
        return png.getvalue()


@contextmanager
def style() -> Iterator[None]:
    """Use the style of the report, independent of the user's matplotlib settings."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast(Any, STYLE))
        yield


def blank(rows: float, width: float = WIDTH) -> Figure:
    """Return an empty figure of height `rows` and width `width`, in inches."""
    return Drawing(figsize=(width, rows), layout="constrained")


def within(
    limits: tuple[float, float], bounds: tuple[float, float] = (0, 1), scale: float = 100
) -> tuple[float, float]:
    """Return the limits of an axis that ends where its quantity does, at `bounds` x `scale`."""
    return max(limits[0], scale * bounds[0]), min(limits[1], scale * bounds[1])


def store(picture: Picture, folder: Path) -> str:
    """Write a picture as PNG, SVG and PDF into a folder; return the SVG element for a page."""
    picture.figure.savefig(folder / f"{picture.name}.png", dpi=DOTS_PER_INCH)
    picture.figure.savefig(folder / f"{picture.name}.pdf", metadata={"CreationDate": None})
    text = io.StringIO()
    picture.figure.savefig(text, format="svg", metadata={"Date": None})
    (folder / f"{picture.name}.svg").write_text(text.getvalue(), encoding="utf-8")
    return _svg_element(text.getvalue(), picture)


def _svg_element(svg: str, picture: Picture) -> str:
    """Return the SVG element without file metadata, and with ids that are unique in the page."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'\bid="', f'id="{picture.name}-', element)
    element = re.sub(r'(url\(|xlink:href=")#', rf"\1#{picture.name}-", element)
    width = re.search(r'width="([\d.]+)pt"', element)
    points = float(width[1]) if width else 0.0
    opening = (
        f'<svg role="img" aria-labelledby="{picture.name}-caption" '
        f'style="width:{points:.0f}pt;max-width:100%"'
    )
    start, _, rest = element.partition(">")
    start = re.sub(r' (?:width|height)="[\d.]+pt"', "", start)
    return start.replace("<svg", opening, 1) + ">" + rest

"""Colours of combinations: the same in every figure, in the report's tables and in MLflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cifar_exp.comparison import Ranking

# Okabe and Ito, Color Universal Design, 2008, without yellow, which is hard to see on white.
HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333")
# Shades of a hue: the hue itself, then mixed with black (below 0) or white (above 0).
SHADES = (0.0, -0.4, 0.4, -0.2, 0.2, -0.6, 0.6, -0.5, 0.5)
GREY = "#b0b0b0"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Markers of highlighted combinations, for readers who cannot distinguish the colours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """The colours of a ranking's combinations, and those that are highlighted in figures."""

    colours: Mapping[str, str]
    standing_out: tuple[str, ...]
    """Names of the highlighted combinations, in rank order."""

    @property
    def crowded(self) -> bool:
        """Whether some combinations are drawn in grey."""
        return len(self.standing_out) < len(self.colours)

    def line(self, name: str) -> str:
        """Return the colour of a line: grey unless it is highlighted."""
        return self.colours[name] if name in self.standing_out else GREY

    def marker(self, name: str) -> str:
        """Return the marker of a line: a small dot unless it is highlighted."""
        if name not in self.standing_out:
            return "."
        return MARKERS[self.standing_out.index(name)]


def colours(names: Iterable[str]) -> dict[str, str]:
    """Return a colour as #rrggbb for each combination, by its position in sorted order.

    So the colour does not depend on the rank. After 63 combinations the colours repeat.
    """
    return {
        name: _shade(HUES[position % len(HUES)], SHADES[position // len(HUES) % len(SHADES)])
        for position, name in enumerate(sorted(names))
    }


def palette(ranking: Ranking) -> Palette:
    """Highlight all combinations or, if there are many, the first ones that may be the best."""
    names = [row.combination for row in ranking.combinations]
    best = [row.combination for row in ranking.combinations if row.may_be_best]
    highlighted = names if len(names) <= len(MARKERS) else best or names
    return Palette(colours=colours(names), standing_out=tuple(highlighted[: len(MARKERS)]))


def _shade(colour: str, mixed: float) -> str:
    """Mix a colour with white, or with black if `mixed` is below 0."""
    target = 255 if mixed > 0 else 0
    parts = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return "#" + "".join(f"{round(p + abs(mixed) * (target - p)):02x}" for p in parts)

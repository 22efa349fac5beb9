"""One colour a combination: the same in every figure, in the report's table and in MLflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cifar_exp.comparison import Ranking

# Okabe and Ito, Color Universal Design, 2008, without the yellow that white paper swallows.
HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#333333")
# Of each hue: itself, then mixed with black (below 0) or with white.
SHADES = (0.0, -0.4, 0.4, -0.2, 0.2, -0.6, 0.6, -0.5, 0.5)
GREY = "#b0b0b0"
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Of those that stand out: a reader who sees no colour tells them apart by these."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """The colours of a ranking's combinations, and the few that stand out in crowded figures."""

    colours: Mapping[str, str]
    standing_out: tuple[str, ...]
    """In rank order."""

    @property
    def crowded(self) -> bool:
        """Whether some combinations are drawn in grey."""
        return len(self.standing_out) < len(self.colours)

    def line(self, name: str) -> str:
        """Return the colour of a line: grey where it does not stand out."""
        return self.colours[name] if name in self.standing_out else GREY

    def marker(self, name: str) -> str:
        """Return the marker of a line; a small dot where it does not stand out."""
        if name not in self.standing_out:
            return "."
        return MARKERS[self.standing_out.index(name)]


def colours(names: Iterable[str]) -> dict[str, str]:
    """Give each combination a colour as #rrggbb, by its place among all names in sorted order.

    So it does not change with the ranking. Sixty-three differ, then they repeat.
    """
    return {
        name: _shade(HUES[position % len(HUES)], SHADES[position // len(HUES) % len(SHADES)])
        for position, name in enumerate(sorted(names))
    }


def palette(ranking: Ranking) -> Palette:
    """Let all combinations stand out, or the first ones of the best group where they are many."""
    names = [row.combination for row in ranking.combinations]
    best = [row.combination for row in ranking.combinations if row.in_best_group]
    few = names if len(names) <= len(MARKERS) else best or names
    return Palette(colours=colours(names), standing_out=tuple(few[: len(MARKERS)]))


def _shade(colour: str, mixed: float) -> str:
    """Mix a colour with white, or with black where `mixed` is below 0."""
    other = 255 if mixed > 0 else 0
    parts = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return "#" + "".join(f"{round(p + abs(mixed) * (other - p)):02x}" for p in parts)

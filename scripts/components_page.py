"""Generates the tables of docs/components.md from the components; run by `make generate`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from cifar_exp.components import components_of
from cifar_exp.components.optimizers.library import LIBRARIES, NOT_FREE, reason_against

PAGE = Path(__file__).parents[1] / "docs" / "components.md"
TABLES = (
    *("losses", "optimizers", "schedules", "models"),
    *("augmentations", "samplers", "pruners", "metrics"),
)


def written(page: str) -> str:
    """Return the page with every table between two markers updated."""
    for kind in TABLES:
        markers = re.compile(rf"(<!-- {kind} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = markers.sub(lambda found, kind=kind: f"{found[1]}{_table(kind)}{found[2]}", page)  # type: ignore[misc]
    markers = re.compile(r"(<!-- libraries -->\n).*?(<!-- end -->)", re.DOTALL)
    return markers.sub(lambda found: f"{found[1]}{_libraries()}{found[2]}", page)


def _libraries() -> str:
    """Return the table of the optimizers of libraries, by whether they can be used and why not."""
    rows = [("library", "can it be used", "optimizers")]
    for prefix, library in LIBRARIES.items():
        by_reason: dict[str, list[str]] = {}
        for name in library.names():
            by_reason.setdefault(_usable(f"{prefix}{name}"), []).append(name)
        rows += [
            (f"`{prefix}`", reason, ", ".join(f"`{name}`" for name in names))
            for reason, names in sorted(
                by_reason.items(), key=lambda entry: not entry[0].startswith("yes")
            )
        ]
    header, *lines = (f"| {' | '.join(row)} |\n" for row in rows)
    return "".join([header, "| --- | --- | --- |\n", *lines])


def _usable(name: str) -> str:
    """Return whether an optimizer can be used, or why not."""
    licence = ", but not commercially: CC BY-NC-SA" if name in NOT_FREE else ""
    return reason_against(name) or f"yes{licence}"


def _table(kind: str) -> str:
    components = components_of(kind)
    has_settings = any(_settings(component) for component in components.values())
    headers = ["name", "description", *(["settings"] if has_settings else [])]
    rows = [
        [f"`{name}`", _summary(component), *([_settings(component)] if has_settings else [])]
        for name, component in components.items()
    ]
    lines = [headers, ["---"] * len(headers), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _summary(component: Any) -> str:
    description: str | None = getattr(component, "description", None)  # of a metric
    return (description or (component.__doc__ or "").partition("\n")[0]).replace("|", "\\|")


def _settings(component: Any) -> str:
    fields = getattr(component, "model_fields", {})
    return ", ".join(f"`{name}` = {field.default}" for name, field in fields.items())


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

"""Runs the checks of a component, and says what does not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from cifar_exp.components import components_of
from cifar_exp.components.plugins.contract import checked
from cifar_exp.components.plugins.forms import FORMS
from cifar_exp.components.plugins.marks import MARK
from cifar_exp.components.plugins.registry import place_in_plugin
from cifar_exp.system.formatting import first_line

Checked = TypeVar("Checked")
Checks = Mapping[str, Callable[[Checked], str]]
"""What is checked, and a function that returns a finding or raises an AssertionError."""


class ContractError(AssertionError):
    """A component does not fulfil the contract of its kind."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was checked, and what was found; `problem` is None if it holds."""

    what: str
    finding: str
    problem: str | None = None


def run(checks: Checks[Checked], component: Checked) -> list[Result]:
    """Return the result of every check."""
    return [_result(what, check, component) for what, check in checks.items()]


def hold(name: str, results: list[Result]) -> list[Result]:
    """Return results.

    Raises:
        ContractError: Something does not hold.
    """
    problems = [f"{result.what}: {result.problem}" for result in results if result.problem]
    if problems:
        raise ContractError(f"{name}: " + "; ".join(problems))
    return results


def component_of(kind: str, given: Any) -> Any:
    """Return a component: by its name, of a marked function or class, or as it is given."""
    if isinstance(given, str):
        return components_of(kind)[given]
    if MARK in getattr(given, "__dict__", {}):
        return checked(kind, FORMS[kind](given, given.__name__, given.__module__), given.__module__)
    return given


def with_settings(kind: str, given: Any) -> Any:
    """Return a component with settings: the default ones, unless it has its settings."""
    component = component_of(kind, given)
    return component() if isinstance(component, type) else component


def _result(what: str, check: Callable[[Checked], str], component: Checked) -> Result:
    try:
        return Result(what, check(component))
    except AssertionError as error:
        problem = first_line(error)
    except (Exception, SystemExit) as error:
        place = place_in_plugin(error)
        problem = f"{type(error).__name__}: {first_line(error)}"
        problem += f" ({place})" if place else ""
    return Result(what, "", problem)

"""The command `check`: contract tests of components.

Imports are inside the command: torch takes seconds to load, and `--help` must be fast.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cifar_exp.cli.outcome import INCOMPLETE
from cifar_exp.cli.parameters import cli, plugin_option
from cifar_exp.components import WORDS
from cifar_exp.errors import BadInput

if TYPE_CHECKING:
    from cifar_exp.testing import Result

KIND_OF = {word: kind for kind, word in WORDS.items()} | {"network": "models"}
HEADERS = ("what", "result", "found")


@cli.command()
@click.argument("kind", type=click.Choice([*KIND_OF]), required=False)
@click.argument("name", required=False)
@plugin_option
@click.option(
    "-s",
    "settings",
    multiple=True,
    metavar="SETTING=VALUE",
    help="A setting of the component, such as gamma=0.5.",
)
def check(kind: str | None, name: str | None, settings: tuple[str, ...]) -> None:
    """Run the contract tests of a component, or of all that plug-ins have.

    They take about ten seconds: shapes, gradients, whether the loss falls, whether networks in a
    group compute the same as alone, and what stored models and resumed trainings need.
    """
    from cifar_exp.components.plugins import registry
    from cifar_exp.display import console

    registry.load_installed()
    chosen = _chosen(kind, name)
    if settings and len(chosen) > 1:
        raise click.UsageError("-s sets one component: name it")
    failed = []
    for kind_of, each in chosen:
        results = _results(kind_of, each, settings)
        _print(console.stdout(), f"{WORDS[kind_of]} {each}", results)
        if problems := [result for result in results if result.problem]:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            failed.append(
                f"{WORDS[kind_of]} {each}: {problems[0].what}: {problems[0].problem}{more}"
            )
    if failed:
        print("\n".join(failed), file=sys.stderr)
        sys.exit(INCOMPLETE)


def _chosen(kind: str | None, name: str | None) -> Sequence[tuple[str, str]]:
    """Return kind and name of the component that is named, or of all that plug-ins have.

    Raises:
        BadInput: There is none.
    """
    from cifar_exp.components.plugins import registry

    if kind is not None and name is not None:
        _check_known(KIND_OF[kind], name)
        return [(KIND_OF[kind], name)]
    found = [key for plugin in registry.loaded_plugins() for key in registry.components(plugin)]
    of_kind = [key for key in found if kind is None or key[0] == KIND_OF[kind]]
    if not of_kind:
        raise BadInput(
            f"there is no {kind or 'component'} of a plug-in to check: give --plugin FILE.py, or "
            "name one, such as `cifar-exp check loss focal`"
        )
    return of_kind


def _check_known(kind: str, name: str) -> None:
    """Raise BadInput unless a component has this name; networks of libraries have a prefix."""
    from cifar_exp.components import components_of
    from cifar_exp.components.models.build import check_name
    from cifar_exp.components.validation import unknown

    table = components_of(kind)
    if name in table:
        return
    if kind == "models":
        try:
            check_name(name)
        except ValueError as error:
            raise BadInput(str(error)) from None
    else:
        raise BadInput(unknown(WORDS[kind], name, table))


def _results(kind: str, name: str, given: Sequence[str]) -> list[Result]:
    from cifar_exp.testing import (
        augmentations,
        datasets,
        losses,
        networks,
        optimizers,
        schedules,
    )

    examine: dict[str, Any] = {
        "losses": losses.results,
        "optimizers": optimizers.results,
        "models": networks.results,
        "datasets": datasets.results,
        "augmentations": augmentations.results,
        "schedules": schedules.results,
    }
    results: list[Result] = examine[kind](_component(kind, name, given))
    return results


def _component(kind: str, name: str, given: Sequence[str]) -> Any:
    """Return a component with settings.

    Raises:
        BadInput: A setting is invalid or missing.
    """
    from pydantic import ValidationError

    from cifar_exp.cli import overrides
    from cifar_exp.components import components_of
    from cifar_exp.components.models.build import with_settings
    from cifar_exp.components.validation import problems_of

    settings = overrides.values(given)
    try:
        if kind == "models":
            return with_settings(name, settings)
        return components_of(kind)[name](**settings)
    except ValidationError as error:
        problems = "\n".join(f"-s {problem}" for problem in problems_of(error))
        raise BadInput(problems) from None
    except TypeError:
        raise BadInput(f"-s: {WORDS[kind]} {name} has no settings") from None


def _print(screen: Any, title: str, results: Sequence[Result]) -> None:
    from cifar_exp.display.table import print_table

    rows = [(r.what, "FAILED" if r.problem else "ok", r.problem or r.finding) for r in results]
    print_table(screen, title, HEADERS, rows, left="found")

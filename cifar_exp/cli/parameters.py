"""Parameter types and options that several commands share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from cifar_exp.components import components_of
from cifar_exp.components.plugins import VARIABLE
from cifar_exp.system import paths
from cifar_exp.system.names import is_utf8, readable

Callback = Callable[..., None]

MAX_THREADS = 1024
"""Larger than the number of cores, as another machine's results may need its number of threads.

With very many threads a process has no memory left for its libraries.
"""


class Whole(click.IntRange):
    """A whole number of at least 1, named so in messages; click's own name is `integer range`."""

    name = "whole number"

    def __init__(self, largest: int | None = None) -> None:
        super().__init__(1, largest)


class Finite(click.FloatRange):
    """A finite number within bounds; click's own range accepts `nan`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert a value, and reject one that is not finite."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class MlflowName(click.types.StringParamType):
    """The name of an MLflow experiment; MLflow itself rejects other names with an exception."""

    longest = 500

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name, and reject an empty or a too long one."""
        text = super().convert(value, param, ctx)
        if not text.strip():
            self.fail("the name is empty.", param, ctx)
        if len(text) > self.longest:
            self.fail(f"the name has more than {self.longest} characters.", param, ctx)
        return text


class ComponentName(click.types.StringParamType):
    """The name of a component, which a shell can complete; it is checked with the settings."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names of this kind that begin like a text."""
        del ctx, param
        return _beginning(incomplete, components_of(self._kind))


class DefinitionFile(click.Path):
    """A definition file, or the name of a shipped definition."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path of the file."""
        from cifar_exp.experiment.shipped import find

        return super().convert(find(os.fspath(value)), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the names of shipped definitions that begin like a text, and files."""
        from cifar_exp.experiment.shipped import shipped

        files = super().shell_complete(ctx, param, incomplete)
        return [*_beginning(incomplete, shipped()), *files]


def _beginning(start: str, names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(start)]


tracking_option = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    help="MLflow store.  [default: mlflow.db in this folder]",
)
storage_option = click.option(
    "--storage",
    envvar="OPTUNA_STORAGE",
    help="Optuna storage.  [default: optuna.db in this folder]",
)
workers_option = click.option(
    "--workers",
    type=Whole(),
    help="Trainers in parallel, or as many as can run.  [default: one per core or GPU]",
)
threads_option = click.option(
    "--threads",
    type=Whole(MAX_THREADS),
    help="Threads of each training.  [default: cores / workers]",
)
group_option = click.option(
    "--group",
    type=Whole(),
    help="Networks that a worker trains together.  [default: 1; up to 64 on a GPU]",
)


def _load_plugins(context: click.Context, option: click.Parameter, paths: tuple[Path, ...]) -> None:
    """Import the files that `--plugin` and CIFAR_EXP_PLUGINS name."""
    del context, option
    if paths or os.environ.get(VARIABLE):
        from cifar_exp.components.plugins import registry

        registry.load(registry.files(paths))


plugin_option = click.option(
    "--plugin",
    multiple=True,
    metavar="FILE.py",
    type=click.Path(path_type=Path),
    expose_value=False,
    callback=_load_plugins,
    help="File with components of your own; may be repeated.",
)
data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder of the data set's files."
)


def definition_options(command: Callback) -> Callback:
    """Add the parameters of `run` and `plan`: a definition, its overrides, workers and threads."""
    options = [
        click.argument("experiment", metavar="EXPERIMENT.toml", type=DefinitionFile()),
        click.option("--trials", type=Whole(), help="Trials of each study, in total."),
        click.option("--studies", type=Whole(), help="Independent studies of each combination."),
        click.option("--epochs", type=Whole(), help="Epochs per training."),
        click.option("--seeds", type=Whole(), help="Confirmations of each study."),
        click.option("--precision", help="fp32, tf32, bf16 or auto."),
        click.option(
            "--dataset",
            type=ComponentName("datasets"),
            help="Data set to use instead of the definition's.",
        ),
        data_dir_option,
        click.option(
            "-o",
            "--override",
            "overrides",
            multiple=True,
            metavar="KEY=VALUE",
            help="Any value of the definition, such as search.trials=5.",
        ),
        plugin_option,
        workers_option,
        threads_option,
        group_option,
    ]
    for option in reversed(options):
        command = option(command)
    return command


class Command(click.Command):
    """A command that uses the cache or a store, and thus a home folder and texts in UTF-8."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; `--help` does not get here."""
        for param in self.params:
            if isinstance(param.type, click.types.StringParamType):
                _check_utf8(ctx, param)
        paths.require_home()
        return super().invoke(ctx)


def _check_utf8(ctx: click.Context, param: click.Parameter) -> None:
    """Reject a text, or texts, that cannot be recorded."""
    text = "".join(ctx.params[str(param.name)] or ())
    if not is_utf8(text):
        raise click.BadParameter(f"{readable(text)} is not UTF-8.", ctx, param)


class Group(click.Group):
    """The program, as a group of commands."""

    command_class = Command


@click.group(
    cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="cifar_exp")
@click.option(
    "--debug", is_flag=True, expose_value=False, help="Show tracebacks; may follow the command."
)
def cli() -> None:
    """Rank loss functions and optimizers for an image classification task."""

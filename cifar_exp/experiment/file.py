"""Definition files: TOML text read strictly, with all of its problems at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from cifar_exp.components.validation import DefinitionError, Options, Problem, problems_of, quoted
from cifar_exp.experiment.definition import Experiment

NO_OPTIONS: Options = {}
MOST_LETTERS = 2**18  # a hundred losses and a hundred optimizers have a tenth of that
MOST_DOTS = 200
BY_HAND = "train"
"""The name that trainings by hand carry, which are part of no experiment."""
NAME_IS_TAKEN = Problem(("name",), f"{quoted(BY_HAND)} is that of trainings by hand")


def read(text: str, source: str = "definition", options: Options = NO_OPTIONS) -> Experiment:
    """Read a definition from TOML text.

    Args:
        text: The TOML text.
        source: Where it comes from, such as its file.
        options: The command line's words that have set some of its keys, by key path.

    Raises:
        DefinitionError: The text is no TOML, or the definition has problems: all of them, one a
            line, each with `source` and key path, or with the option that it comes from.
    """
    document = _parse(text, source)
    taken = [NAME_IS_TAKEN] if document.get("name") == BY_HAND else []
    return read_document(document, source, options, taken)


def read_document(
    document: Mapping[str, Any],
    source: str,
    options: Options = NO_OPTIONS,
    known_problems: Iterable[Problem] = (),
) -> Experiment:
    """Read a definition from its parsed form; see `read`. What is known to be wrong is told too."""
    problems = list(known_problems)
    try:
        experiment = Experiment.model_validate(document)
    except ValidationError as error:
        problems += problems_of(error)
    if problems:
        told = [problem.told(source, options) for problem in problems]
        raise DefinitionError("\n".join(dict.fromkeys(told)))
    return experiment


def single_definition(
    options: Mapping[str, Any], settings: Mapping[str, Mapping[str, Any]]
) -> Experiment:
    """Read the options of one training as a definition of one combination without a search.

    Args:
        options: The values of a definition's keys, `loss`, `optimizer`, `lr` and `batch_size`.
        settings: The settings of the `loss` and of the `optimizer`.

    Raises:
        DefinitionError: An option or setting is wrong.
    """
    given = dict(options)
    loss, optimizer, lr = given.pop("loss"), given.pop("optimizer"), given.pop("lr")
    search = {"trials": 1, "batch_size": [given.pop("batch_size")]}
    if "lr" in settings.get("optimizer", {}):
        raise DefinitionError("-s optimizer.lr: the learning rate is given by --lr")
    document = {
        "name": BY_HAND,
        "search": search,
        "losses": {loss: settings.get("loss", {})},
        "optimizers": {optimizer: {"lr": lr, **settings.get("optimizer", {})}},
        **given,
    }
    experiment = read_document(document, "train", _single_options(given, loss, optimizer))
    [combination] = experiment.combinations()
    searched = set(experiment.space(combination)) - {"batch_size"}
    if searched:
        raise DefinitionError(f"-s {min(searched)}: one training takes one value, not a range")
    return experiment


def _single_options(keys: Iterable[str], loss: str, optimizer: str) -> Options:
    """Name what sets each key of the definition of one training."""
    return {
        **{(key,): f"--{key}" for key in keys},
        ("dataset",): "-s dataset",
        ("dataset", "type"): "--dataset",
        ("dataset", "path"): "--data-dir",
        ("search", "batch_size", 0): "--batch-size",
        ("losses", loss): "-s loss",
        ("losses", loss, "type"): "--loss",
        ("losses", loss, "name"): "--loss",
        ("optimizers", optimizer): "-s optimizer",
        ("optimizers", optimizer, "type"): "--optimizer",
        ("optimizers", optimizer, "name"): "--optimizer",
        ("optimizers", optimizer, "lr"): "--lr",
    }


def definition_text(path: Path, changes: Mapping[str, Any]) -> str:
    """Return the text of a definition file, with `changes` of it, keyed like `search.trials`.

    Raises:
        DefinitionError: The file cannot be read, or the changed text is no TOML.
    """
    text = _file_text(path)
    if not changes:
        return text
    document = _parse(text, str(path))
    for key, value in changes.items():
        _change(document, key, value)
    try:
        return tomli_w.dumps(document)
    except (RecursionError, ValueError):
        raise DefinitionError(f"{path}: a value is nested too deeply, or too long") from None


def _change(document: dict[str, Any], key: str, value: Any) -> None:
    *tables, name = key.split(".")
    table = document
    for table_name in tables:
        held = table.get(table_name, {})
        if table_name == "dataset" and isinstance(held, str):
            held = {"type": held}
        if not isinstance(held, dict):
            return  # it is wrong as it stands, and the models will say so
        table[table_name] = held
        table = held
    table[name] = value


def load(path: Path) -> Experiment:
    """Read a definition file; see `read`."""
    return read(_file_text(path), str(path))


def _parse(text: str, source: str) -> dict[str, Any]:
    _check_size(text, source)
    try:
        return tomllib.loads(text)
    except ValueError as error:  # no TOML, or a number of thousands of digits
        raise DefinitionError(f"{source}: {error}") from None
    except RecursionError:
        raise DefinitionError(f"{source}: its values are nested too deeply") from None


def _check_size(text: str, source: str) -> None:
    """Refuse what would keep the parser busy: its time grows with the square of a key's dots."""
    if len(text) > MOST_LETTERS:
        raise DefinitionError(f"{source}: it has more than {MOST_LETTERS} letters")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MOST_DOTS:
            raise DefinitionError(f"{source}: line {number} has more than {MOST_DOTS} dots")


def _file_text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(MOST_LETTERS + 1)  # a device may have no end
    except FileNotFoundError:
        raise DefinitionError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise DefinitionError(f"{path}: a definition is UTF-8 text; this file is not") from None
    except OSError as error:
        raise DefinitionError(f"{path}: cannot be read ({error.strerror})") from None

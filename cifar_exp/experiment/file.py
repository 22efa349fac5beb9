"""Definition files: strict parsing of TOML, with all problems reported at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from cifar_exp.components.validation import DefinitionError, Options, Problem, problems_of, quoted
from cifar_exp.experiment.definition import Experiment
from cifar_exp.experiment.override import Override, apply
from cifar_exp.experiment.variant import CONSTANT

NO_OPTIONS: Options = {}
MAX_CHARACTERS = 2**18  # a hundred losses and a hundred optimizers need a tenth of it
MAX_DOTS = 200
SINGLE = "train"
"""The reserved name of single trainings, which belong to no experiment."""
NAME_IS_TAKEN = Problem(("name",), f"{quoted(SINGLE)} is reserved for single trainings")


def read(text: str, source: str = "definition", options: Options = NO_OPTIONS) -> Experiment:
    """Parse a definition from TOML text.

    Args:
        text: The TOML text.
        source: The source for messages, such as the path of the file.
        options: The command line options that set some of the keys, by key path.

    Raises:
        DefinitionError: The text is not TOML, or the definition is invalid. The message has one
            line per problem, with `source` and key path, or with the option that set the key.
    """
    document = _parse(text, source)
    problems = [NAME_IS_TAKEN] if document.get("name") == SINGLE else []
    return read_document(document, source, options, problems)


def read_document(
    document: Mapping[str, Any],
    source: str,
    options: Options = NO_OPTIONS,
    known_problems: Iterable[Problem] = (),
) -> Experiment:
    """Validate a parsed definition; see `read`. `known_problems` are reported too."""
    problems = list(known_problems)
    try:
        experiment = Experiment.model_validate(document)
    except ValidationError as error:
        problems += problems_of(error)
    if problems:
        messages = [problem.told(source, options) for problem in problems]
        unknown = [problem.unknown for problem in problems if problem.unknown]
        raise DefinitionError("\n".join(dict.fromkeys(messages)), unknown)
    return experiment


def single_definition(
    options: Mapping[str, Any], settings: Mapping[str, Mapping[str, Any]]
) -> Experiment:
    """Return the definition of a single training: one combination without a search.

    Args:
        options: Values of keys of a definition, and of `loss`, `optimizer`, `schedule` (None for a
            constant learning rate), `lr`, `batch_size`.
        settings: The settings of the `loss`, the `optimizer` and the `schedule`.

    Raises:
        DefinitionError: An option or setting is invalid.
    """
    values = dict(options)
    loss, optimizer, lr = values.pop("loss"), values.pop("optimizer"), values.pop("lr")
    schedule = _schedule(values.pop("schedule", None), settings.get("schedule", {}))
    search = {"trials": 1, "batch_size": [values.pop("batch_size")]}
    if "lr" in settings.get("optimizer", {}):
        raise DefinitionError("-s optimizer.lr: the learning rate is given by --lr")
    document = {
        "name": SINGLE,
        "search": search,
        "losses": {loss: settings.get("loss", {})},
        "optimizers": {
            _variant_name(optimizer): {
                "type": optimizer,
                "lr": lr,
                **settings.get("optimizer", {}),
            }
        },
        **({"schedules": schedule} if schedule else {}),
        **values,
    }
    words = _single_options(values, loss, _variant_name(optimizer), next(iter(schedule), ""))
    experiment = read_document(document, "train", words)
    [combination] = experiment.combinations()
    searched = set(experiment.space(combination)) - {"batch_size"}
    if searched:
        raise DefinitionError(f"-s {min(searched)}: one training takes one value, not a range")
    return experiment


def _variant_name(type_: str) -> str:
    """Return a name for a component of a library, such as `timm.lion` for `timm:lion`."""
    return type_.replace(":", ".")


def _schedule(name: str | None, settings: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the table of the schedules of a single training; settings alone are of a constant."""
    return {name or CONSTANT.name: settings} if name or settings else {}


def _single_options(keys: Iterable[str], loss: str, optimizer: str, schedule: str) -> Options:
    """Return the option that sets each key path in the definition of a single training."""
    return {
        **{(key,): f"--{key}" for key in keys},
        ("dataset",): "-s dataset",
        ("data_changes",): "-s data_changes",
        ("augment",): "-s augment",
        ("augment", "type"): "--augment",
        ("dataset", "type"): "--dataset",
        ("dataset", "path"): "--data-dir",
        ("model",): "-s model",
        ("model", "type"): "--model",
        ("search", "batch_size", 0): "--batch-size",
        ("losses", loss): "-s loss",
        ("losses", loss, "type"): "--loss",
        ("losses", loss, "name"): "--loss",
        ("optimizers", optimizer): "-s optimizer",
        ("optimizers", optimizer, "type"): "--optimizer",
        ("optimizers", optimizer, "name"): "--optimizer",
        ("optimizers", optimizer, "lr"): "--lr",
        ("schedules", schedule): "-s schedule",
        ("schedules", schedule, "type"): "--schedule",
        ("schedules", schedule, "name"): "--schedule",
    }


def definition_text(path: Path, overrides: Sequence[Override]) -> str:
    """Return the text of a definition file in which some values are overridden.

    Raises:
        DefinitionError: The file cannot be read, the text is not TOML, or lacks a table.
    """
    text = _file_text(path)
    if not overrides:
        return text
    document = _parse(text, str(path))
    for override in overrides:
        apply(override, document, str(path))
    try:
        return tomli_w.dumps(document)
    except (RecursionError, ValueError):
        raise DefinitionError(f"{path}: a value is nested too deeply, or too long") from None


def load(path: Path) -> Experiment:
    """Load a definition file; see `read`."""
    return read(_file_text(path), str(path))


def _parse(text: str, source: str) -> dict[str, Any]:
    _check_size(text, source)
    try:
        return tomllib.loads(text)
    except ValueError as error:  # not TOML, or a number with thousands of digits
        raise DefinitionError(f"{source}: {error}") from None
    except RecursionError:
        raise DefinitionError(f"{source}: its values are nested too deeply") from None


def _check_size(text: str, source: str) -> None:
    """Reject text that takes long to parse: the time is quadratic in the dots of a key."""
    if len(text) > MAX_CHARACTERS:
        raise DefinitionError(f"{source}: it has more than {MAX_CHARACTERS} characters")
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MAX_DOTS:
            raise DefinitionError(f"{source}: line {number} has more than {MAX_DOTS} dots")


def _file_text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.read(MAX_CHARACTERS + 1)  # a device may be endless
    except FileNotFoundError:
        raise DefinitionError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise DefinitionError(f"{path}: a definition is UTF-8 text; this file is not") from None
    except OSError as error:
        raise DefinitionError(f"{path}: cannot be read ({error.strerror})") from None

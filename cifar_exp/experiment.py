"""The definition of an experiment: what is compared, on which data, with which search.

A definition is a TOML file. It is read into frozen models that accept nothing unknown, and all of
its problems are reported at once. `combinations()` crosses its losses with its optimizers.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import tomli_w
from pydantic import (
    Field,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from cifar_exp import models
from cifar_exp.datasets import DATASETS, DatasetChoice
from cifar_exp.losses import LOSSES, Loss
from cifar_exp.optimizers import OPTIMIZERS, Optimizer
from cifar_exp.problems import (
    DefinitionError,
    Problem,
    Problems,
    problems_of,
    suggestion,
    validation_error,
)
from cifar_exp.settings import Settings

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
Value = bool | int | float | str
Precision = Literal["fp32", "bf16"]
BatchSize = Annotated[int, Field(ge=1)]
LEARNING_RATE = TypeAdapter[float](Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)])


def _one_number(given: Any, handler: Callable[[Any], Any]) -> Any:
    """Say once what a union of number types would say once a type."""
    try:
        return handler(given)
    except ValidationError:
        raise PydanticCustomError("number", "Input should be a valid number") from None


Number = Annotated[int | float, WrapValidator(_one_number)]


class Range(Settings):
    """An interval that is searched, where a definition could also give one number."""

    low: Number
    """Smallest value tried."""
    high: Number
    """Largest value tried."""
    log: bool = False
    """Whether it is sampled on a log scale; by default where `high` is at least 10 x `low` > 0."""

    @model_validator(mode="before")
    @classmethod
    def _log_over_a_decade(cls, given: Any) -> Any:
        match given:
            case {"low": int() | float() as low, "high": int() | float() as high}:
                return {"log": 0 < 10 * low <= high, **given}
        return given

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low < self.high:
            raise PydanticCustomError("range", "low must be less than high")
        if self.log and self.low <= 0:
            raise PydanticCustomError("range", "low must be above 0 on a log scale")
        return self


class Choices(Settings):
    """A few values, of which each trial takes one."""

    values: tuple[int, ...]


Space = Mapping[str, Range | Choices]
"""What a study searches: a name such as `lr`, `batch_size` or `loss.gamma`, and its values."""


class Variant(Settings):
    """A component under the name it has in the ranking, its settings fixed or searched."""

    name: Name
    type: str
    settings: dict[str, Value | Range]

    def ranges(self) -> dict[str, Range]:
        """Return the settings that are searched."""
        return {name: value for name, value in self.settings.items() if isinstance(value, Range)}


class OptimizerVariant(Variant):
    """An optimizer under the name it has in the ranking, with its learning rate or their range."""

    lr: float | Range


class DatasetVariant(Settings):
    """The data set of an experiment."""

    type: str
    choice: SerializeAsAny[DatasetChoice]


class Search(Settings):
    """How each combination is tuned; the same for all of them."""

    trials: int = Field(default=20, ge=1)
    """Trainings per combination, in total."""
    sampler: Literal["random", "qmc", "tpe", "gp"] = "tpe"
    """How settings are chosen: at random, quasi-random, or from the trials so far."""
    pruner: Literal["none", "median", "hyperband"] = "median"
    """When a trial is given up early, against the other trials of its combination."""
    batch_size: Annotated[tuple[BatchSize, ...], Field(strict=False, min_length=1)] = (
        32,
        64,
        128,
        256,
    )
    """Batch sizes to choose from."""

    @field_validator("batch_size")
    @classmethod
    def _all_different(cls, given: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(given)) < len(given):
            raise PydanticCustomError("batch_size", "a batch size stands here twice")
        return given


class Confirm(Settings):
    """How the best setting of each combination is confirmed."""

    seeds: int = Field(default=5, ge=1)
    """Trainings on fresh seeds, each scored once on the test set."""


class Combination(Settings):
    """One loss with one optimizer: what is tuned by one study and ranked as one row."""

    loss: Variant
    optimizer: OptimizerVariant

    @property
    def name(self) -> str:
        """The name in the ranking, `<loss>+<optimizer>`."""
        return f"{self.loss.name}+{self.optimizer.name}"


class TrialConfig(Settings):
    """All that one training depends on, but for the data; nothing in it is searched any more."""

    model: str
    loss: str
    loss_settings: SerializeAsAny[Loss]
    optimizer: str
    optimizer_settings: SerializeAsAny[Optimizer]
    lr: float = Field(gt=0)
    batch_size: BatchSize
    epochs: int = Field(ge=1)
    seed: int = Field(ge=0)
    precision: Precision = "fp32"


class Experiment(Settings):
    """One definition: data, network and search, and the losses and optimizers compared."""

    name: Name
    """Name of the experiment, also in MLflow."""
    dataset: DatasetVariant
    """A data set's name, or a table with its `type` and settings."""
    model: str
    """A network's name, or `torchvision:<name>`."""
    epochs: int = Field(ge=1)
    """Passes over the training split in each training."""
    seed: int = Field(default=0, ge=0)
    """Seed of the tuning; the confirmations use the seeds after it."""
    precision: Precision = "fp32"
    """Arithmetic of the network: float32, or bfloat16 with float32 weights."""
    keep_models: Literal["all", "best"] = "all"
    """Keep the model of every trial, or of each combination's best trial and confirmations only."""
    search: Search = Search()
    confirm: Confirm = Confirm()
    losses: dict[Name, Variant] = Field(min_length=1)
    """Losses to compare: `name = {settings}`; a variant has another name and a `type`."""
    optimizers: dict[Name, OptimizerVariant] = Field(min_length=1)
    """Optimizers to compare, each with `lr` as a number or a range."""

    @field_validator("model")
    @classmethod
    def _known_model(cls, name: str) -> str:
        try:
            models.check_name(name)
        except ValueError as error:
            raise PydanticCustomError("model", "{text}", {"text": str(error)}) from None
        return name

    @field_validator("dataset", mode="before")
    @classmethod
    def _read_dataset(cls, given: Any) -> Any:
        table = {"type": given} if isinstance(given, str) else given
        if not isinstance(table, dict) or "type" not in table:
            return given
        settings = {name: value for name, value in table.items() if name != "type"}
        choice = _known("dataset", table["type"], DATASETS).model_validate(settings)
        return DatasetVariant(type=table["type"], choice=choice)

    @field_validator("losses", mode="before")
    @classmethod
    def _read_losses(cls, given: Any) -> Any:
        return _read_each(given, _read_loss)

    @field_validator("optimizers", mode="before")
    @classmethod
    def _read_optimizers(cls, given: Any) -> Any:
        return _read_each(given, _read_optimizer)

    def combinations(self) -> list[Combination]:
        """Cross the losses with the optimizers, in the order of the definition."""
        return [
            Combination(loss=loss, optimizer=optimizer)
            for loss in self.losses.values()
            for optimizer in self.optimizers.values()
        ]

    def space(self, combination: Combination) -> Space:
        """Name everything that the study of a combination searches."""
        ranges = {f"loss.{name}": value for name, value in combination.loss.ranges().items()}
        for name, value in combination.optimizer.ranges().items():
            ranges[f"optimizer.{name}"] = value
        lr = combination.optimizer.lr
        searched = {"lr": lr} if isinstance(lr, Range) else {}
        return {**searched, "batch_size": Choices(values=self.search.batch_size), **ranges}

    def trial(
        self, combination: Combination, params: Mapping[str, Value], seed: int
    ) -> TrialConfig:
        """Return the training of a combination with the sampled `params` (named as in `space`)."""
        loss, optimizer = combination.loss, combination.optimizer
        return TrialConfig.model_validate(
            {
                "model": self.model,
                "loss": loss.name,
                "loss_settings": _build(LOSSES, loss, params, "loss."),
                "optimizer": optimizer.name,
                "optimizer_settings": _build(OPTIMIZERS, optimizer, params, "optimizer."),
                "lr": optimizer.lr,
                **{name: params[name] for name in ("lr", "batch_size") if name in params},
                "epochs": self.epochs,
                "seed": seed,
                "precision": self.precision,
            }
        )

    def parse(self, combination: Combination, texts: Mapping[str, str]) -> dict[str, Value]:
        """Read the sampled values of a combination from the texts that a run's record holds."""
        return {
            name: int(texts[name]) if _is_whole(values) else float(texts[name])
            for name, values in self.space(combination).items()
        }

    def identity(self, combination: Combination, fingerprint: str) -> str:
        """Hash all that the results of a combination depend on, with the data's `fingerprint`.

        The number of trials and seeds is left out: more of them add to the results.
        """
        settings = {
            "data": fingerprint,
            "search": self.search.model_dump(mode="json", exclude={"trials"}),
            "combination": combination.model_dump(mode="json"),
            **self.model_dump(mode="json", include={"model", "epochs", "seed", "precision"}),
        }
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def confirmation_seed(self, number: int) -> int:
        """Return the seed of a confirmation, numbered from 1; no trial has used it."""
        return self.seed + number


Component = TypeVar("Component")


def _is_whole(values: Range | Choices) -> bool:
    return isinstance(values, Choices) or isinstance(values.low, int)


def _known(kind: str, name: Any, table: Mapping[str, Component]) -> Component:
    if name not in table:
        message = f"unknown {kind} {name!r}{suggestion(str(name), table)}"
        raise validation_error([Problem(path=("type",), message=message)])
    return table[name]


def _build(
    table: Mapping[str, type[Settings]],
    variant: Variant,
    params: Mapping[str, Value],
    prefix: str,
) -> Any:
    sampled = {name: params[f"{prefix}{name}"] for name in variant.ranges()}
    return table[variant.type].model_validate({**variant.settings, **sampled})


Read = Callable[[str, Any], Variant]


def _read_each(given: Any, read: Read) -> Any:
    """Read every table under its name; other things are left for the model to refuse."""
    if not isinstance(given, dict):
        return given
    variants: dict[str, Variant] = {}
    with Problems() as problems:
        for name, table in given.items():
            with problems.at(name):
                variants[name] = read(name, table)
    return variants


def _read_loss(name: str, table: Any) -> Variant:
    return _read_variant("loss", name, _table(table), LOSSES)


def _read_optimizer(name: str, table: Any) -> OptimizerVariant:
    given = dict(_table(table))
    lr = given.pop("lr", None)
    with Problems() as problems:
        with problems.at("lr"):
            lr = _read_lr(lr)
        with problems.at():
            variant = _read_variant("optimizer", name, given, OPTIMIZERS)
    return OptimizerVariant(lr=lr, **dict(variant))


def _read_lr(given: Any) -> float | Range:
    if given is None:
        raise validation_error([Problem(path=(), message="the learning rate is missing")])
    if isinstance(given, dict):
        return Range.model_validate({"log": True, **given})
    number: float = LEARNING_RATE.validate_python(given)
    return number


def _read_variant(
    kind: str, name: str, table: Mapping[str, Any], components: Mapping[str, type[Settings]]
) -> Variant:
    """Read a component's table and check its settings at both ends of every range."""
    given = {"type": name, **table}
    type_name = given.pop("type")
    component = _known(kind, type_name, components)
    ranges = _read_ranges(given)
    ends: list[Settings] = []
    with Problems() as problems:
        for end in ("low", "high"):
            with problems.at():
                fixed = {key: getattr(values, end) for key, values in ranges.items()}
                ends.append(component.model_validate({**given, **fixed}))
    typed = {  # by the component: whole numbers stay whole only where they must be
        key: Range(low=getattr(ends[0], key), high=getattr(ends[1], key), log=values.log)
        for key, values in ranges.items()
    }
    return Variant(name=name, type=type_name, settings={**given, **typed})


def _read_ranges(settings: Mapping[str, Any]) -> dict[str, Range]:
    ranges: dict[str, Range] = {}
    with Problems() as problems:
        for name, value in settings.items():
            if isinstance(value, dict):
                with problems.at(name):
                    ranges[name] = Range.model_validate(value)
    return ranges


def _table(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise validation_error([Problem(path=(), message="should be a table of settings, { }")])
    return given


def read(text: str, source: str = "definition") -> Experiment:
    """Read a definition from TOML text.

    Raises:
        DefinitionError: The text is no TOML, or the definition has problems: all of them, one a
            line, each with `source` and key path.
    """
    return read_document(_parse(text, source), source)


def read_document(document: Mapping[str, Any], source: str) -> Experiment:
    """Read a definition from its parsed form; see `read`."""
    try:
        return Experiment.model_validate(document)
    except ValidationError as error:
        lines = [f"{source}: {problem}" for problem in problems_of(error)]
        raise DefinitionError("\n".join(lines)) from None


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
    document = {
        "name": "train",
        "search": search,
        "losses": {loss: settings.get("loss", {})},
        "optimizers": {optimizer: {"lr": lr, **settings.get("optimizer", {})}},
        **given,
    }
    return read_document(document, "train")


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
        *tables, name = key.split(".")
        table = document
        for table_name in tables:
            table = table.setdefault(table_name, {})
        table[name] = value
    return tomli_w.dumps(document)


def load(path: Path) -> Experiment:
    """Read a definition file; see `read`."""
    return read(_file_text(path), str(path))


def _parse(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(f"{source}: {error}") from None


def _file_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DefinitionError(f"{path}: there is no such file") from None
    except UnicodeDecodeError:
        raise DefinitionError(f"{path}: a definition is UTF-8 text; this file is not") from None
    except OSError as error:
        raise DefinitionError(f"{path}: cannot be read ({error.strerror})") from None

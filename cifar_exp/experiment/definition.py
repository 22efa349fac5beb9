"""Pydantic models of a definition: what is compared, and how it is searched."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal, Self, Unpack

from pydantic import Field, field_validator, model_validator

from cifar_exp.components.data_changes import DataChanges
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.plugins.registry import with_installed
from cifar_exp.components.precision import Precision, PrecisionChoice, resolve
from cifar_exp.components.schedules import SCHEDULES
from cifar_exp.components.settings import Later, Settings
from cifar_exp.components.validation import Problem, Problems, reported, validation_error
from cifar_exp.experiment.combination import NONE, Combination, Network, TrialConfig
from cifar_exp.experiment.design import Design
from cifar_exp.experiment.document import text_of
from cifar_exp.experiment.identity import hash_of, identity_settings
from cifar_exp.experiment.keys import Keys, problems_with_name
from cifar_exp.experiment.search import Confirm, Count, Search, Seed
from cifar_exp.experiment.space import Choices, Range, Space, num_settings, parse
from cifar_exp.experiment.variant import (
    CONSTANT,
    Augment,
    DatasetVariant,
    Name,
    OptimizerVariant,
    Value,
    Variant,
    read_dataset,
    read_each,
    read_loss,
    read_optimizer,
    read_schedule,
    schedule_problems,
)
from cifar_exp.seeds import derive


class Experiment(Settings):
    """A definition: data, network, search, and what is compared: losses, optimizers, schedules."""

    name: Name
    """Name of the experiment, also used in MLflow."""
    dataset: DatasetVariant
    """Name of a data set, or a table with its `type` and settings."""
    model: Network
    """Name of a network, also `torchvision:<name>` or `timm:<name>`, or a table with its `type` and
    settings."""
    epochs: Count
    """Number of passes over the training split in each training."""
    seed: Seed = 0
    """Seed of the tuning; the confirmations use the seeds after it."""
    precision: PrecisionChoice = "fp32"
    """Arithmetic of the network: float32, TensorFloat-32 (on a GPU only), bfloat16 with float32
    weights, or "auto": bfloat16 only if the CPU or GPU supports it natively."""
    augment: Augment = NONE
    """Augmentation of training images: a name, or a table with its `type` and settings; "mixup" and
    "cutmix" also mix labels."""
    compile: bool = False
    """Train with torch.compile, on a GPU with CUDA graphs; compilation takes about a minute."""
    ema: Annotated[Annotated[float, Field(gt=0, lt=1)] | None, Later()] = None
    """Decay of an exponential moving average of the weights, such as 0.999, which is evaluated
    beside the weights; absent: no average."""
    keep_models: Literal["all", "best"] = "all"
    """Keep the model of every trial, or of each combination's best trial and confirmations only."""
    search: Search = Search()
    confirm: Confirm = Confirm()
    losses: dict[Name, Variant] = Field(min_length=1)
    """Losses to compare: `name = {settings}`; a variant has its own name and a `type`."""
    data_changes: Annotated[DataChanges | None, Later()] = None
    """Changes of the training data: label noise, class imbalance, a share of the images."""
    optimizers: dict[Name, OptimizerVariant] = Field(min_length=1)
    """Optimizers to compare, each with `lr` as a number or a range."""
    schedules: Annotated[dict[Name, Variant], Later()] = Field(default={}, min_length=1)
    """Schedules of the learning rate to compare: `name = {settings}`; without it, it is constant.
    A variant has its own name and a `type`."""

    def __init__(self, /, **keys: Unpack[Keys]) -> None:
        """Validate a definition that is written in Python, with tables as dictionaries.

        Args:
            keys: The keys of a definition file, see docs/definition.md.

        Raises:
            BadInput: It is invalid. The message has one line per problem, as for a file.

        Example:
            ```python
            experiment = cifar_exp.Experiment(
                name="mine",
                dataset="digits",
                model="seed_cnn_relu",
                epochs=2,
                search={"trials": 4, "sampler": "random", "pruner": "none"},
                confirm={"seeds": 2},
                losses={"cross_entropy": {}, "mse": {}},
                optimizers={"sgd": {"lr": {"low": 0.01, "high": 1.0}}},
            )
            ```
        """
        validate = partial(super().__init__, **dict[str, Any](keys))
        with_installed(partial(reported, validate, problems_with_name(keys)))

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # for direct calls only

    @model_validator(mode="before")
    @classmethod
    def _one_seed_for_each_of_several_studies(cls, raw: Any) -> Any:
        match raw:
            case {"search": {"studies": int() as studies}} if studies > 1:
                confirm = raw.get("confirm", {})
                if isinstance(confirm, dict):
                    return {**raw, "confirm": {"seeds": 1, **confirm}}
        return raw

    @model_validator(mode="after")
    def _most_is_not_below_least(self) -> Self:
        least, most = self.design.replicates
        if most < least:
            key = "search.studies" if self.design.repeats_studies else "confirm.seeds"
            message = f"should be at least {key}, which is {least}"
            raise validation_error([Problem(("confirm", "most"), message)])
        return self

    @field_validator("data_changes")
    @classmethod
    def _without_changes_is_absent(cls, changes: DataChanges | None) -> DataChanges | None:
        return changes if changes and changes.counted() else None

    @model_validator(mode="after")
    def _noise_fits_the_data_set(self) -> Self:
        noise = self.data_changes and self.data_changes.noise
        problem = noise and noise.problem_of(self.dataset.type)
        if problem:
            path = ("data_changes", "noise", *problem.path)
            raise validation_error([Problem(path, problem.message)])
        return self

    @model_validator(mode="after")
    def _schedules_have_an_effect(self) -> Self:
        problems = schedule_problems(self.optimizers.values(), self.schedules.values())
        if problems:
            raise validation_error(problems)
        return self

    @model_validator(mode="after")
    def _losses_take_mixed_labels(self) -> Self:
        if not self.augment.mixes:
            return self
        problems = {name: _mixed_label_problem(loss) for name, loss in self.losses.items()}
        with Problems() as found:
            for name, message in problems.items():
                if message is not None:
                    with found.at("losses", name):
                        raise validation_error([Problem((), f"{message} ({self.augment.name})")])
        return self

    @field_validator("dataset", mode="before")
    @classmethod
    def _read_dataset(cls, raw: Any) -> Any:
        return read_dataset(raw)

    @field_validator("losses", mode="before")
    @classmethod
    def _read_losses(cls, raw: Any) -> Any:
        return read_each(raw, read_loss)

    @field_validator("optimizers", mode="before")
    @classmethod
    def _read_optimizers(cls, raw: Any) -> Any:
        return read_each(raw, read_optimizer)

    @field_validator("schedules", mode="before")
    @classmethod
    def _read_schedules(cls, raw: Any) -> Any:
        return read_each(raw, read_schedule)

    @property
    def arithmetic(self) -> Precision:
        """The precision used on this machine; see `resolve`."""
        return resolve(self.precision)

    @property
    def design(self) -> Design:
        """What is repeated."""
        return Design(
            trials=self.search.trials,
            studies=self.search.studies,
            seeds=self.confirm.seeds,
            most=self.confirm.most if self.confirm.until == "decided" else None,
            indifferent=self.confirm.indifferent,
        )

    @property
    def num_trainings(self) -> int:
        """The number of trials and confirmations of all combinations, at least."""
        return self.num_trials + self.num_confirmations

    @property
    def num_trials(self) -> int:
        """The number of trials of all combinations, at least."""
        return self.search.studies * sum(map(self.trials_of, self.combinations()))

    @property
    def num_confirmations(self) -> int:
        """The number of confirmations of all combinations, at least."""
        return len(self.combinations()) * self.search.studies * self.confirm.seeds

    def to_toml(self) -> str:
        """Return the text of a definition file that is read as an equal experiment."""
        return text_of(self)

    def trials_of(self, combination: Combination) -> int:
        """Return the number of trials of a study: at most one for each setting of its space."""
        return int(min(self.search.trials, num_settings(self.space(combination))))

    def at_most(self) -> Experiment:
        """Return the definition with the most replicates for every combination."""
        _, most = self.design.replicates
        search, confirm = self.search, self.confirm.model_copy(update={"until": "fixed"})
        if self.design.repeats_studies:
            search = search.model_copy(update={"studies": most})
        else:
            confirm = confirm.model_copy(update={"seeds": most})
        return self.model_copy(update={"search": search, "confirm": confirm})

    def combinations(self) -> list[Combination]:
        """Return every loss, optimizer and schedule, in the order of the definition."""
        schedules = list(self.schedules.values()) or [CONSTANT]
        return [
            Combination(
                loss=loss,
                optimizer=optimizer,
                schedule=schedule,
                one_of_several=len(schedules) > 1,
            )
            for loss in self.losses.values()
            for optimizer in self.optimizers.values()
            for schedule in schedules
        ]

    def space(self, combination: Combination) -> Space:
        """Return the search space of a combination."""
        ranges = {f"loss.{name}": value for name, value in combination.loss.ranges().items()}
        for kind in ("optimizer", "schedule"):
            for name, value in getattr(combination, kind).ranges().items():
                ranges[f"{kind}.{name}"] = value
        lr = combination.optimizer.lr
        searched = {"lr": lr} if isinstance(lr, Range) else {}
        return {**searched, "batch_size": Choices(values=self.search.batch_size), **ranges}

    def trial(
        self, combination: Combination, params: Mapping[str, Value], seed: int
    ) -> TrialConfig:
        """Return the training of a combination with the sampled `params`, named as in `space`."""
        loss, optimizer, schedule = combination.loss, combination.optimizer, combination.schedule
        return TrialConfig.model_validate(
            {
                "model": self.model,
                "loss": loss.name,
                "loss_settings": _build(LOSSES, loss, params, "loss."),
                "optimizer": optimizer.name,
                "optimizer_settings": _build(OPTIMIZERS, optimizer, params, "optimizer."),
                "schedule": schedule.name if self.schedules else None,
                "schedule_settings": _build(SCHEDULES, schedule, params, "schedule."),
                "lr": optimizer.lr,
                **{name: params[name] for name in ("lr", "batch_size") if name in params},
                "epochs": self.epochs,
                "seed": seed,
                "precision": self.arithmetic,
                "augment": self.augment,
                "compile": self.compile,
                "ema": self.ema,
            }
        )

    def parse(self, combination: Combination, texts: Mapping[str, str]) -> dict[str, Value]:
        """Parse the sampled values of a combination from the params of a run."""
        return {**parse(self.space(combination), texts)}

    def identity(self, combination: Combination, fingerprint: str) -> str:
        """Return a hash of all that the results of a combination depend on, including the data.

        The numbers of trials, studies and seeds are excluded, as more of them only add results.
        """
        return hash_of(identity_settings(self, combination, fingerprint))

    def study_seed(self, study: int) -> int:
        """Return the seed of the sampling and of the trials of a study, numbered from 1."""
        return self.seed if study == 1 else derive("study", self.seed, study)

    def confirmation_seed(self, number: int, study: int = 1) -> int:
        """Return the seed of a confirmation, numbered from 1; no trial of its study uses it."""
        return self.study_seed(study) + number


def _mixed_label_problem(loss: Variant) -> str | None:
    """Return why a loss cannot be used with mixed labels."""
    if not LOSSES[loss.type].takes_mixed_labels():
        able = ", ".join(name for name in LOSSES if LOSSES[name].takes_mixed_labels())
        return f"{loss.type} has no form for mixed labels, these have: {able}"
    if loss.settings["class_weights"] != "none":
        return "class_weights have no form for mixed labels"
    return None


def _build(
    table: Mapping[str, type[Settings]],
    variant: Variant,
    params: Mapping[str, Value],
    prefix: str,
) -> Any:
    sampled = {name: params[f"{prefix}{name}"] for name in variant.ranges()}
    return table[variant.type].model_validate({**variant.settings, **sampled})

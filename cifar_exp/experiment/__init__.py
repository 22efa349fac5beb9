"""The definition of an experiment: what is compared, on which data, with which search.

A definition is a TOML file. It is parsed into frozen models that reject unknown keys, and all
problems are reported at once. `Experiment.combinations()` crosses its losses, optimizers and
schedules.
"""

from cifar_exp.experiment.combination import Combination, TrialConfig
from cifar_exp.experiment.definition import Experiment
from cifar_exp.experiment.design import Design
from cifar_exp.experiment.file import definition_text, load, read, read_document
from cifar_exp.experiment.override import Override
from cifar_exp.experiment.single import single_definition
from cifar_exp.experiment.space import Choices, Range, Space, num_settings
from cifar_exp.experiment.variant import (
    CONSTANT,
    LEARNING_RATE,
    DatasetVariant,
    OptimizerVariant,
    Value,
    Variant,
)

__all__ = [
    "CONSTANT",
    "LEARNING_RATE",
    "Choices",
    "Combination",
    "DatasetVariant",
    "Design",
    "Experiment",
    "OptimizerVariant",
    "Override",
    "Range",
    "Space",
    "TrialConfig",
    "Value",
    "Variant",
    "definition_text",
    "load",
    "num_settings",
    "read",
    "read_document",
    "single_definition",
]

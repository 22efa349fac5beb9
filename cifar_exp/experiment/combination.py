"""A combination of components, and one training of it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, SerializeAsAny

from cifar_exp.components.augmentations import AUGMENTATIONS
from cifar_exp.components.losses import Loss
from cifar_exp.components.models import Model, read_model
from cifar_exp.components.optimizers import Optimizer
from cifar_exp.components.precision import Precision
from cifar_exp.components.schedules import Constant, Schedule
from cifar_exp.components.settings import Settings
from cifar_exp.experiment.search import Count
from cifar_exp.experiment.variant import CONSTANT, Augment, OptimizerVariant, Variant, is_constant

NONE = AUGMENTATIONS["none"]()

Network = Annotated[SerializeAsAny[Model], BeforeValidator(read_model)]
"""A network: in a definition its name, or a table with its `type` and settings."""


class Combination(Settings):
    """One loss, optimizer and schedule: tuned by its studies and ranked as one row."""

    loss: Variant
    optimizer: OptimizerVariant
    schedule: Variant = CONSTANT
    one_of_several: bool = False
    """Whether the definition has several schedules."""

    @property
    def name(self) -> str:
        """The name in the ranking, `<loss>+<optimizer>`, with `+<schedule>` if several."""
        return self._joined(with_schedule=self.one_of_several)

    @property
    def key(self) -> str:
        """The name that all random draws of its tuning depend on.

        It does not depend on the other schedules of the definition, as its results must not.
        """
        return self._joined(with_schedule=not is_constant(self.schedule))

    def _joined(self, *, with_schedule: bool) -> str:
        schedule = [self.schedule.name] if with_schedule else []
        return "+".join([self.loss.name, self.optimizer.name, *schedule])


class TrialConfig(Settings):
    """All settings that one training depends on, except the data; none of them is searched."""

    model: Network
    loss: str
    loss_settings: SerializeAsAny[Loss]
    optimizer: str
    optimizer_settings: SerializeAsAny[Optimizer]
    schedule: str | None = None
    """None if the definition has no schedules."""
    schedule_settings: SerializeAsAny[Schedule] = Constant()
    lr: float = Field(gt=0)
    batch_size: Count
    epochs: Count
    seed: int = Field(ge=0)
    precision: Precision = "fp32"
    augment: Augment = NONE
    compile: bool = False
    ema: float | None = None

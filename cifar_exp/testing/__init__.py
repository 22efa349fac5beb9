"""Contract tests of components: what every loss, optimizer, network, ... has to fulfil.

`check_loss(my_loss)` and the others take the name of a component, a component with its settings, or
what a decorator such as `@cifar_exp.loss` marks. They return what was checked, and raise
`ContractError` if something does not hold.
"""

from cifar_exp.testing.augmentations import check_augmentation
from cifar_exp.testing.contract import ContractError, Result
from cifar_exp.testing.datasets import check_dataset
from cifar_exp.testing.losses import check_loss
from cifar_exp.testing.networks import check_network
from cifar_exp.testing.optimizers import check_optimizer
from cifar_exp.testing.schedules import check_schedule

__all__ = [
    "ContractError",
    "Result",
    "check_augmentation",
    "check_dataset",
    "check_loss",
    "check_network",
    "check_optimizer",
    "check_schedule",
]

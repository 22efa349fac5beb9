"""What is checked before anything is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.validation import DefinitionError
from cifar_exp.sweep.prepare import check_fit
from tests import tiny


@pytest.mark.parametrize(
    "beta1", ["5.0", "{ low = 0.5, high = 5.0 }", "{ low = -0.5, high = 0.5, log = false }"]
)
def test_a_setting_that_the_class_of_a_library_refuses(
    images: Path, data: Dataset, beta1: str
) -> None:
    optimizers = f'lion = {{ type = "timm:lion", lr = 0.01, beta1 = {beta1} }}'
    with pytest.raises(DefinitionError, match=r"^optimizers.lion: Invalid beta parameter at"):
        check_fit(tiny.experiment(images, optimizers=optimizers), data)

"""The losses of stacked networks against the loss of each network."""

from __future__ import annotations

import torch

from cifar_exp.components.losses import LOSSES
from cifar_exp.training.group.loss import StackedLoss
from tests.components.losses.test_losses import VARIANTS, make


def test_each_network_has_its_own_loss_and_gradient() -> None:
    losses = [make(name, settings) for name, settings in VARIANTS]
    losses = [*losses, *losses[::-2]]  # most losses twice, in another order
    assert {type(loss).name for loss in losses} == set(LOSSES)
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(6, len(losses), 4, generator=random, dtype=torch.float64)
    labels = torch.randint(4, (6,), generator=random)
    together, alone = (logits.clone().requires_grad_() for _ in range(2))
    values = StackedLoss(losses, torch.device("cpu"))(together, labels)
    expected = torch.stack([loss(alone[:, i], labels) for i, loss in enumerate(losses)])
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=0)
    values.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(together.grad, alone.grad, rtol=1e-12, atol=1e-15)

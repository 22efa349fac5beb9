"""The losses of stacked networks against the loss of each network."""

from __future__ import annotations

from dataclasses import replace

import torch

from cifar_exp.components.losses import LOSSES
from cifar_exp.components.losses.context import Context, count_classes
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
    stacked = StackedLoss(losses, count_classes(labels, 4), 6)
    index = torch.randperm(6, generator=random)
    contexts = [replace(Context.of(labels, 4), index=index) for _ in losses]
    for _ in range(2):  # the second step has a memory of the first one
        values = stacked(together, labels, index, contexts[0].progress)
        each = zip(losses, contexts, strict=True)
        expected = torch.stack([f(alone[:, i], labels, c) for i, (f, c) in enumerate(each)])
        torch.testing.assert_close(values, expected, rtol=1e-12, atol=0)
    for i, loss in enumerate(losses):
        if "memory" in loss.needs:
            assert contexts[i].memory.any()
            assert torch.equal(stacked.memory_of(i), contexts[i].memory)
    values.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(together.grad, alone.grad, rtol=1e-12, atol=1e-15)

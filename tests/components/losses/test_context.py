"""Losses that need more than logits and labels, class weights, and losses of mixed labels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from cifar_exp.components.losses import LOSSES
from cifar_exp.components.losses.context import Context
from cifar_exp.components.losses.imbalance import effective_number_weights
from tests.components.losses.test_losses import batch, make, mean

COUNTS = (16.0, 1.0, 81.0)
LOGITS = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.2, 0.1]], dtype=torch.float64)
LABELS = torch.tensor([0, 1])
CONTEXT = replace(Context.of(LABELS, 3), class_counts=torch.tensor(COUNTS))
MIXED = ("bce", "brier", "cross_entropy", "huber", "l1", "mse", "nce_rce", "squentropy")


def per_image(name: str, context: Context = CONTEXT, **given_settings: object) -> list[float]:
    values: list[float] = make(name, given_settings).per_image(LOGITS, LABELS, context).tolist()
    return values


def cross_entropies(rows: list[list[float]]) -> list[float]:
    """Return -ln p_y by Python's own functions."""
    labels = LABELS.tolist()
    return [
        math.log(sum(map(math.exp, row))) - row[label]
        for row, label in zip(rows, labels, strict=True)
    ]


def test_margins_of_ldam_by_hand() -> None:
    # n^(-1/4) is 1/2, 1 and 1/3, and so are the margins relative to the largest, 0.5.
    lowered = [[3 * (1 - 0.25), -6, 1.5], [0.9, 3 * (0.2 - 0.5), 0.3]]
    assert per_image("ldam", s=3.0) == pytest.approx(cross_entropies(lowered))
    scaled = make("ldam", {"s": 3.0}).probabilities(LOGITS)
    torch.testing.assert_close(scaled, torch.softmax(3 * LOGITS, dim=1))


def by_effective_number(beta: float) -> list[float]:
    weights = [(1 - beta) / (1 - beta**n) for n in COUNTS]
    return [3 * w / sum(weights) for w in weights]


def test_ldam_weights_classes_from_a_share_of_the_training() -> None:
    plain = per_image("ldam")
    for progress, factors in [(0.75, [1.0, 1.0]), (0.8, by_effective_number(0.9)[:2])]:
        context = replace(CONTEXT, progress=torch.tensor(progress))
        found = per_image("ldam", context, reweight_from=0.8, beta=0.9)
        expected = [f * v for f, v in zip(factors, plain, strict=True)]
        assert found == pytest.approx(expected, rel=1e-6)


def test_logit_adjustment_adds_the_logarithms_of_shares() -> None:
    adjusted = [
        [z + 2 * math.log(n / 98) for z, n in zip(row, COUNTS, strict=True)]
        for row in LOGITS.tolist()
    ]
    assert per_image("logit_adjusted", tau=2.0) == pytest.approx(cross_entropies(adjusted))


def test_class_balanced_by_hand() -> None:
    plain = cross_entropies(LOGITS.tolist())
    expected = [w * v for w, v in zip(by_effective_number(0.9999)[:2], plain, strict=True)]
    assert per_image("class_balanced") == pytest.approx(expected)


@pytest.mark.parametrize("name", ["ldam", "logit_adjusted", "class_balanced"])
def test_a_class_without_images_changes_nothing_to_not_finite(name: str) -> None:
    context = replace(CONTEXT, class_counts=torch.tensor([5.0, 3.0, 0.0]))
    assert np.isfinite(per_image(name, context)).all()


def test_a_class_without_images_does_not_weigh() -> None:
    """The weights of the others are those without it."""
    counts = torch.tensor([5.0, 3.0])
    expected = effective_number_weights(counts, 0.9)
    found = effective_number_weights(torch.tensor([5.0, 3.0, 0.0]), 0.9)
    torch.testing.assert_close(found, torch.cat([expected, torch.zeros(1, dtype=torch.float64)]))


def test_early_learning_regularization_by_hand() -> None:
    loss, context = make("elr", {"lambd": 2.0, "beta": 0.6}), Context.of(LABELS, 3)
    target = torch.zeros(2, 3, dtype=torch.float64)
    for logits in (LOGITS, 0.5 * LOGITS, LOGITS):
        p = logits.softmax(1)
        target = 0.6 * target + 0.4 * p
        inner = (p * target).sum(1)
        leaf = logits.clone().requires_grad_()
        losses = loss.per_image(leaf, LABELS, context)
        expected = -p[[0, 1], LABELS].log() + 2 * (1 - inner).log()
        torch.testing.assert_close(losses, expected, rtol=1e-5, atol=1e-6)
        # The target is a constant: d ln(1 - pt) / dz = -p (t - pt) / (1 - pt).
        slope = p - torch.eye(3).double()[LABELS]
        slope -= 2 * p * (target - inner[:, None]) / (1 - inner)[:, None]
        [found] = torch.autograd.grad(losses.sum(), leaf)
        torch.testing.assert_close(found, slope, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(context.memory.double(), target, rtol=1e-6, atol=1e-6)


def test_the_memory_of_other_images_is_unchanged() -> None:
    context = replace(Context.of(torch.arange(5), 3), index=torch.tensor([3, 1]))
    mean_of = make("elr")(LOGITS, LABELS, context)
    assert mean_of.isfinite()
    assert (context.memory.sum(1) > 0).tolist() == [False, True, False, True, False]


def test_weights_of_classes_are_those_of_scikit_learn_and_torch() -> None:
    logits, labels = batch(images=40)
    balanced = compute_class_weight("balanced", classes=np.arange(4), y=labels.numpy())
    plain = make("cross_entropy").per_image(logits, labels)
    found = mean(make("cross_entropy", {"class_weights": "balanced"}), logits, labels)
    expected = (torch.from_numpy(balanced)[labels] * plain).mean()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    given = [1.0, 2.0, 0.5, 4.0]
    found = make("cross_entropy", {"class_weights": given}).per_image(logits, labels)
    reference = torch.nn.CrossEntropyLoss(torch.tensor(given).double(), reduction="none")
    torch.testing.assert_close(found, reference(logits, labels))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_every_loss_can_be_weighted(name: str) -> None:
    context = Context.of(LABELS, 3)
    plain = make(name).per_image(LOGITS, LABELS, context)
    context.memory.zero_()
    weighted = make(name, {"class_weights": [3.0, 5.0, 7.0]})
    found = weighted.per_image(LOGITS, LABELS, context)
    torch.testing.assert_close(found, torch.tensor([3.0, 5.0]) * plain)


def test_a_missing_context_is_named() -> None:
    for name, given in [("ldam", {}), ("mse", {"class_weights": "balanced"})]:
        with pytest.raises(ValueError, match=f"the loss {name} needs the context"):
            make(name, given)(LOGITS, LABELS)


@pytest.mark.parametrize("name", sorted(n for n in LOSSES if LOSSES[n].takes_mixed_labels()))
def test_a_label_is_a_mixed_label_with_one_share(name: str) -> None:
    logits, labels = batch()
    shares = torch.nn.functional.one_hot(labels, 4).double()
    loss = make(name)
    torch.testing.assert_close(loss(logits, shares), mean(loss, logits, labels))
    mixed = 0.3 * shares + 0.7 * shares.flip(0)
    assert torch.autograd.gradcheck(lambda z: loss(z, mixed), logits.requires_grad_())


LINEAR = ("bce", "cross_entropy", "squentropy")


@pytest.mark.parametrize("name", LINEAR)
def test_the_loss_of_mixed_labels_is_the_mean_of_both_losses(name: str) -> None:
    logits, labels = batch()
    shares = torch.nn.functional.one_hot(labels, 4).double()
    loss = make(name, {"label_smoothing": 0.1} if name == "cross_entropy" else {})
    mixed = loss.per_image(logits, 0.3 * shares + 0.7 * shares.flip(0))
    both = 0.3 * loss.per_image(logits, labels) + 0.7 * loss.per_image(logits, labels.flip(0))
    torch.testing.assert_close(mixed, both)


def test_mixed_labels_in_reverse_cross_entropy_by_hand() -> None:
    logits, shares = torch.zeros(1, 4).double(), torch.tensor([[0.3, 0.7, 0, 0]]).double()
    reverse = -(math.log(0.3) + math.log(0.7) + 2 * math.log(1e-4)) / 4
    found = make("symmetric_cross_entropy", {"alpha": 2.0, "beta": 3.0})(logits, shares)
    assert found.item() == pytest.approx(2 * math.log(4) + 3 * reverse)
    assert make("nce_rce")(logits, shares).item() == pytest.approx(1 / 4 + reverse)


def test_distances_of_mixed_labels_are_those_of_torch() -> None:
    logits, labels = batch()
    one_hot = torch.nn.functional.one_hot(labels, 4).double()
    shares, p = 0.3 * one_hot + 0.7 * one_hot.flip(0), logits.softmax(1)
    for name, reference in [("mse", torch.nn.MSELoss()), ("l1", torch.nn.L1Loss())]:
        torch.testing.assert_close(make(name)(logits, shares), reference(p, shares))
    huber = make("huber", {"delta": 0.3})(logits, shares)
    torch.testing.assert_close(huber, 4 * torch.nn.HuberLoss(delta=0.3)(p, shares))
    torch.testing.assert_close(make("brier")(logits, shares), 4 * torch.nn.MSELoss()(p, shares))


def test_losses_without_a_form_for_mixed_labels_refuse_them() -> None:
    found = {name for name in LOSSES if LOSSES[name].takes_mixed_labels()}
    assert found == {*MIXED, "symmetric_cross_entropy"}
    with pytest.raises(NotImplementedError, match="focal has no form for mixed labels"):
        make("focal")(LOGITS, LOGITS.softmax(1))


def test_noise_losses_by_hand() -> None:
    p = LOGITS.softmax(1)
    own = p[[0, 1], LABELS]
    taylor = (1 - own) + (1 - own) ** 2 / 2 + (1 - own) ** 3 / 3
    assert per_image("taylor_cross_entropy", t=3) == pytest.approx(taylor.tolist())
    nce_rce = 10 * own.log() / p.log().sum(1) + 0.1 * -math.log(1e-4) * (1 - own)
    assert per_image("nce_rce", alpha=10.0, beta=0.1) == pytest.approx(nce_rce.tolist())


def test_asymmetric_loss_as_in_the_authors_code() -> None:
    """The steps of `ASLSingleLabel`, in its own words."""
    log_p = LOGITS.log_softmax(1)
    targets = torch.nn.functional.one_hot(LABELS, 3).double()
    anti_targets = 1 - targets
    positive, negative = log_p.exp() * targets, (1 - log_p.exp()) * anti_targets
    weights = (1 - positive - negative) ** (0.5 * targets + 4 * anti_targets)
    expected = -((0.9 * targets + 0.1 / 3) * log_p * weights).sum(1)
    assert per_image("asymmetric", gamma_pos=0.5) == pytest.approx(expected.tolist())


def test_squentropy_by_hand() -> None:
    plain = cross_entropies(LOGITS.tolist())
    expected = [plain[0] + (4 + 0.25) / 2, plain[1] + (0.09 + 0.01) / 2]
    assert per_image("squentropy") == pytest.approx(expected)

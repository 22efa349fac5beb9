"""Mixup and CutMix against the authors' code, image by image, and the distribution of shares."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest

from cifar_exp.components.augmentations import AUGMENTATIONS, Augmentation
from cifar_exp.components.augmentations.image import CropFlip
from cifar_exp.components.datasets import Split
from cifar_exp.training.loader import batches, epoch_draws
from tests.components.test_augmentations import images

MIXING = sorted(name for name in AUGMENTATIONS if AUGMENTATIONS[name].mixes)
LABELS = torch.tensor([0, 3, 1, 2, 0, 1])
Drawn = dict[str, torch.Tensor]


def make(name: str, **settings: object) -> Augmentation:
    return AUGMENTATIONS[name].model_validate(settings)


def drawn(augment: Augmentation, num_images: int, batch_size: int, seed: int = 0) -> Drawn:
    uniform = epoch_draws(augment.all_purposes, num_images, seed, 1)
    return {**augment.prepare(uniform, batch_size)}


def mixed_labels(partner: list[int], share: float) -> torch.Tensor:
    one_hot = torch.nn.functional.one_hot(LABELS, 4).double()
    return share * one_hot + (1 - share) * one_hot[partner]


def test_mixup_by_hand() -> None:
    augment = make("mixup", alpha=0.4)
    draws, given = drawn(augment, 6, 6), images(6)
    found, shares = augment.mix(given, LABELS, draws, 4)
    share, partner = draws["mix share"][0].item(), draws["mix partner"].argsort().tolist()
    for i, other in enumerate(partner):
        expected = share * given[i].double() + (1 - share) * given[other].double()
        torch.testing.assert_close(found[i].double(), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(shares.double(), mixed_labels(partner, share), rtol=0, atol=1e-6)
    assert found.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("seed", range(8))
def test_cutmix_as_in_the_authors_code(seed: int) -> None:
    augment = make("cutmix", probability=1.0)
    draws, given = drawn(augment, 6, 6, seed), images(6, size=12)
    found, shares = augment.mix(given, LABELS, draws, 4)
    share, partner = draws["mix share"][0].item(), draws["mix partner"].argsort()
    cut = int(12 * math.sqrt(1 - share))
    ends = []
    for purpose in ("cut down", "cut right"):
        centre = int(12 * draws[purpose][0].item())
        ends += np.clip([centre - cut // 2, centre + cut // 2], 0, 12).tolist()
    top, bottom, left, right = ends
    expected = given.clone()
    expected[:, :, top:bottom, left:right] = given[partner][:, :, top:bottom, left:right]
    assert torch.equal(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    kept = 1 - (bottom - top) * (right - left) / 144
    torch.testing.assert_close(shares.double(), mixed_labels(partner.tolist(), kept))


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_the_shares_of_batches_have_a_beta_distribution(alpha: float) -> None:
    shares = drawn(make("mixup", alpha=alpha), 8000, 4)["mix share"].view(-1, 4)
    assert (shares == shares[:, :1]).all()
    assert kstest(shares[:, 0].double().numpy(), beta(alpha, alpha).cdf).pvalue > 0.001


def test_cutmix_cuts_a_share_of_the_batches() -> None:
    draws = drawn(make("cutmix", probability=0.25), 8000, 4)
    whole = (draws["mix share"].view(-1, 4)[:, 0] == 1).float().mean()
    assert whole.item() == pytest.approx(0.75, abs=0.04)


def test_the_partners_of_a_batch_are_a_permutation() -> None:
    draws = drawn(make("mixup"), 64, 64)
    assert torch.equal(draws["mix partner"].argsort().sort().values, torch.arange(64))


@pytest.mark.parametrize("name", MIXING)
def test_the_base_is_applied_before_with_its_own_draws(name: str) -> None:
    augment, given = make(name, base="crop_flip"), images(6)
    draws = drawn(augment, 6, 4)
    assert torch.equal(augment(given, draws), CropFlip()(given, draws))
    alone = drawn(CropFlip(), 6, 4)
    assert all(torch.equal(draws[purpose], alone[purpose]) for purpose in alone)


@pytest.mark.parametrize("name", MIXING)
@pytest.mark.parametrize("extreme", [0.0, 1 - 2**-24])
def test_the_ends_of_the_draws_are_valid(name: str, extreme: float) -> None:
    augment = make(name)
    uniform = {purpose: torch.full((6,), extreme) for purpose in augment.all_purposes}
    found, shares = augment.mix(images(6), LABELS, augment.prepare(uniform, 6), 4)
    assert found.float().isfinite().all()
    torch.testing.assert_close(shares.sum(1), torch.ones(6))


@pytest.mark.parametrize("name", MIXING)
def test_batches_have_shares_of_classes(name: str) -> None:
    given = images(10)
    split = Split(images=given, labels=torch.arange(10) % 3)
    each = list(batches(split, make(name), 4, seed=0, epoch=1, num_classes=3))
    assert [batch.targets.shape for batch in each] == [(4, 3), (4, 3), (2, 3)]
    for batch in each:
        own = batch.targets.gather(1, split.labels[batch.chosen][:, None])
        assert (own > 0).all()


@pytest.mark.parametrize("name", MIXING)
def test_settings_and_augmentations_are_described(name: str) -> None:
    assert "Source" in (AUGMENTATIONS[name].__doc__ or "")
    assert all(field.description for field in AUGMENTATIONS[name].model_fields.values())


def test_the_text_has_the_settings_that_are_not_the_default_ones() -> None:
    assert str(make("mixup")) == "mixup"
    assert str(make("mixup", alpha=0.2, base="flip")) == "mixup, alpha = 0.2, base = flip"

from __future__ import annotations

import itertools

import pytest
import torch

from cifar_exp import seeds
from cifar_exp.components.augmentations.image import CropFlip, Flip, NoAugmentation
from cifar_exp.components.datasets import Split
from cifar_exp.training.loader import batches, epoch_draws, epoch_order


@pytest.fixture
def split() -> Split:
    """A split in which every pixel of an image is its index."""
    places = torch.arange(20, dtype=torch.uint8)
    images = places[:, None, None, None].expand(20, 4, 4, 3).contiguous().permute(0, 3, 1, 2)
    return Split(images=images, labels=100 + places.long())


def test_the_order_of_images_depends_on_seed_and_epoch_alone() -> None:
    orders = {
        (seed, epoch): epoch_order(100, seed, epoch)
        for seed, epoch in itertools.product((0, 1), (1, 2))
    }
    for one, other in itertools.combinations(orders.values(), 2):
        assert not torch.equal(one, other)
    for (seed, epoch), order in orders.items():
        assert torch.equal(order, epoch_order(100, seed, epoch))
        assert torch.equal(order.sort().values, torch.arange(100))


def test_the_draws_of_a_purpose_follow_from_purpose_seed_and_epoch() -> None:
    drawn = epoch_draws(("flip", "crop down"), 9, seed=3, epoch=2)
    assert list(drawn) == ["flip", "crop down"]
    for purpose, numbers in drawn.items():
        generator = torch.Generator().manual_seed(seeds.derive(f"augment {purpose}", 3, 2))
        assert torch.equal(numbers, torch.rand(9, generator=generator))


def test_another_purpose_changes_no_draw() -> None:
    fewer = epoch_draws(Flip.purposes, 9, 0, 1)
    more = epoch_draws(("noise", *CropFlip.purposes), 9, 0, 1)
    assert torch.equal(fewer["flip"], more["flip"])
    streams = [*more.values(), epoch_draws(("flip",), 9, 0, 2)["flip"]]
    streams.append(epoch_draws(("flip",), 9, 1, 1)["flip"])
    assert len({tuple(numbers.tolist()) for numbers in streams}) == len(streams)


def test_the_order_has_its_own_random_stream() -> None:
    generator = torch.Generator().manual_seed(seeds.derive("order", 3, 2))
    assert torch.equal(epoch_order(50, 3, 2), torch.randperm(50, generator=generator))


@pytest.mark.parametrize("batch_size", [1, 3, 8, 20, 50])
def test_batches_contain_each_image_with_its_label(split: Split, batch_size: int) -> None:
    each = list(batches(split, NoAugmentation(), batch_size, seed=0, epoch=1, num_classes=200))
    assert {len(labels) for _, labels, _ in each[:-1]} <= {batch_size}
    order = epoch_order(20, 0, 1)
    assert torch.equal(torch.cat([labels for _, labels, _ in each]), 100 + order)
    assert torch.equal(torch.cat([images[:, 0, 0, 0] for images, _, _ in each]), order.byte())


@pytest.mark.parametrize("batch_size", [1, 19])
def test_a_last_batch_of_one_image_is_omitted_unless_all_batches_have_one(
    split: Split, batch_size: int
) -> None:
    each = list(batches(split, NoAugmentation(), batch_size, seed=0, epoch=1, num_classes=200))
    assert sum(len(labels) for _, labels, _ in each) == (20 if batch_size == 1 else 19)


def test_the_augmentation_of_an_image_does_not_depend_on_the_batch_size(split: Split) -> None:
    images = split.images.clone()
    images[:, :, :, 0] += 100
    marked = Split(images=images, labels=split.labels)
    views = [
        torch.cat([each.images for each in batches(marked, Flip(), batch_size, 3, 2, 200)])
        for batch_size in (4, 10)
    ]
    assert torch.equal(*views)
    mirrored = (views[0][:, 0, 0, 3] >= 100).sum()
    assert 0 < mirrored < 20

from __future__ import annotations

import torch

from cifar_exp.components.datasets import Digits, load


def test_digits_are_split_by_class_in_seven_one_two() -> None:
    data = load(Digits())
    counts = torch.stack([split.labels.bincount() for split in (data.train, data.val, data.test)])
    shares = counts / counts.sum(dim=0)
    assert [len(data.train), len(data.val), len(data.test)] == counts.sum(dim=1).tolist()
    assert (shares - torch.tensor([[0.7], [0.1], [0.2]])).abs().max() < 0.01
    assert int(counts.sum()) == 1797


def test_digits_are_gray_blocks_in_the_full_range() -> None:
    data = load(Digits())
    images = data.test.images
    blocks = images.reshape(-1, 3, 8, 4, 8, 4)
    assert (data.channels, data.size, data.num_classes) == (3, 32, 10)
    assert data.classes == tuple("0123456789")
    assert torch.equal(blocks, blocks[:, :1, :, :1, :, :1].expand_as(blocks))
    assert (int(images.min()), int(images.max())) == (0, 255)
    assert len(set(images.flatten().tolist())) == 17

"""The contract of augmentations."""

from __future__ import annotations

from typing import Any

import torch

from cifar_exp.components.augmentations import Augmentation
from cifar_exp.testing.contract import Checks, Result, hold, run, with_settings

IMAGES, SIZE = 9, 12
LAST = 1 - 2**-24
"""The largest draw."""


def check_augmentation(augmentation: Any) -> list[Result]:
    """Check the contract of an augmentation.

    Args:
        augmentation: Its name, its class or an `Augmentation`.

    Raises:
        ContractError: Something does not hold.
    """
    component: Augmentation = with_settings("augmentations", augmentation)
    return hold(f"augmentation {component.name}", results(component))


def results(augmentation: Augmentation) -> list[Result]:
    """Return the result of every check of an augmentation."""
    return run(CHECKS, augmentation)


def _images() -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    shape = (IMAGES, SIZE, SIZE, 3)
    return torch.randint(256, shape, dtype=torch.uint8, generator=random).permute(0, 3, 1, 2)


def _draws(augmentation: Augmentation) -> dict[str, torch.Tensor]:
    purposes = augmentation.purposes
    drawn = torch.rand(len(purposes), IMAGES, generator=torch.Generator().manual_seed(1))
    return dict(zip(purposes, drawn, strict=True))


def _shape(augmentation: Augmentation) -> str:
    images = _images()
    before = images.clone()
    result = augmentation(images, _draws(augmentation))
    assert result.shape == images.shape, f"the shape is {tuple(result.shape)}"
    assert result.dtype in (torch.uint8, torch.float32), f"the type is {result.dtype}"
    assert result.is_contiguous(memory_format=torch.channels_last), "it is not channels_last"
    assert torch.equal(images, before), "the given images are changed"
    return f"{result.dtype}, channels_last".removeprefix("torch.")


def _alone(augmentation: Augmentation) -> str:
    images, drawn = _images(), _draws(augmentation)
    whole = augmentation(images, drawn)
    parts = [slice(i, i + 1) for i in range(IMAGES)]
    alone = [augmentation(images[p], {k: d[p] for k, d in drawn.items()}) for p in parts]
    assert torch.allclose(whole.float(), torch.cat(alone).float()), (
        "the result of an image depends on the other images of its batch"
    )
    return "an image's result is the same in any batch"


def _repeats(augmentation: Augmentation) -> str:
    images, drawn = _images(), _draws(augmentation)
    once, again = (augmentation(images, drawn) for _ in range(2))
    assert torch.equal(once, again), "it draws random numbers of its own: name them in `purposes`"
    return "the same draws have the same result"


def _ends(augmentation: Augmentation) -> str:
    for extreme in (0.0, LAST):
        drawn = {name: torch.full((IMAGES,), extreme) for name in augmentation.purposes}
        result = augmentation(_images(), drawn).float()
        assert result.isfinite().all(), f"a pixel is not finite where all draws are {extreme:g}"
    return "0 and the largest number below 1"


def _purposes(augmentation: Augmentation) -> str:
    drawn = _draws(augmentation)
    for name in augmentation.purposes:
        fewer = {other: drawn[other] for other in drawn if other != name}
        try:
            augmentation(_images(), fewer)
        except KeyError:
            continue
        raise AssertionError(f"it does not use the draws {name!r}")
    return ", ".join(augmentation.purposes) or "none"


CHECKS: Checks[Augmentation] = {
    "images": _shape,
    "images by themselves": _alone,
    "repeatable": _repeats,
    "ends of the draws": _ends,
    "draws": _purposes,
}

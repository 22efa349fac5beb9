"""The contract of losses."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

import torch

from cifar_exp.components.losses import Loss
from cifar_exp.components.losses.context import Context
from cifar_exp.components.plugins.contract import problem_of_losses
from cifar_exp.system.formatting import first_line
from cifar_exp.testing.contract import Checks, Result, hold, run, with_settings
from cifar_exp.testing.settings import at_bounds

IMAGES, CLASSES, NETWORKS = 12, 5, 3
LARGE = 30.0
STEP = 1e-5
TOLERANCE = 1e-5
STEPS = 50


def check_loss(loss: Any) -> list[Result]:
    """Check the contract of a loss.

    Args:
        loss: Its name, a `Loss` with settings, or a function that `@cifar_exp.loss` marks.

    Raises:
        ContractError: Something does not hold.
    """
    component: Loss = with_settings("losses", loss)
    return hold(f"loss {component.name}", results(component))


def results(loss: Loss) -> list[Result]:
    """Return the result of every check of a loss."""
    return run(CHECKS, loss)


def _batch(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(IMAGES, CLASSES, generator=random, dtype=torch.float64)
    return logits.to(dtype), torch.arange(IMAGES) % CLASSES


def _context(index: torch.Tensor) -> Context:
    """Return the context of the first step of a training on the batch, for some of its images."""
    _, labels = _batch()
    return replace(Context.of(labels.repeat(NETWORKS), CLASSES), index=index)


def _per_image(
    loss: Loss, logits: torch.Tensor, labels: torch.Tensor, index: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the loss of each image; `index` tells which images of the batch they are."""
    images = torch.arange(len(labels)) if index is None else index
    return loss.per_image(logits, labels, _context(images))


def _gradient(loss: Loss, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    leaf = logits.detach().requires_grad_()
    values = _per_image(loss, leaf, labels)
    assert values.requires_grad, "it does not depend on the logits"
    return torch.autograd.grad(values.sum(), leaf)[0]


def _one_value_per_image(loss: Loss) -> str:
    for dtype in (torch.float32, torch.float64):
        logits, labels = _batch(dtype)
        values = _per_image(loss, logits, labels)
        problem = problem_of_losses(values, logits)
        assert problem is None, problem
        assert values.isfinite().all(), "a value is not finite"
    return f"{IMAGES} images, float32 and float64"


def _finite(loss: Loss) -> str:
    logits, labels = _batch(torch.float32)
    at_label = LARGE * (2 * torch.nn.functional.one_hot(labels, CLASSES) - 1).to(logits.dtype)
    places = {
        "equal logits": torch.zeros_like(logits),
        f"logits of {LARGE:g} that are right": at_label,
        f"logits of {LARGE:g} that are wrong": -at_label,
    }
    for place, at in {"random logits": logits, **places}.items():
        assert _per_image(loss, at, labels).isfinite().all(), f"a value at {place} is not finite"
        found = _gradient(loss, at, labels)
        assert found.isfinite().all(), f"a gradient at {place} is not finite"
    return f"at random, at equal and at large logits (+-{LARGE:g})"


def _differences(loss: Loss) -> str:
    if "memory" in loss.needs:
        return "finite; not compared with differences, as the loss keeps a memory"
    logits, labels = _batch()
    expected = torch.zeros_like(logits)
    for column in range(CLASSES):
        shift = torch.zeros_like(logits)
        shift[:, column] = STEP
        up, down = (_per_image(loss, logits + sign * shift, labels).detach() for sign in (1, -1))
        expected[:, column] = (up - down) / (2 * STEP)
    largest = (_gradient(loss, logits, labels) - expected).abs().max().item()
    scale = max(1.0, expected.abs().max().item())
    assert largest <= TOLERANCE * scale, f"it differs from finite differences by {largest:.2g}"
    return f"largest difference {largest:.1e}"


def _alone(loss: Loss) -> str:
    logits, labels = _batch()
    together = _per_image(loss, logits, labels)
    places = [torch.tensor([place]) for place in range(IMAGES)]
    alone = torch.cat([_per_image(loss, logits[i], labels[i], i) for i in places])
    difference = (together - alone).abs().max().item()
    assert difference <= 1e-9 * max(1.0, alone.abs().max().item()), (
        f"the loss of an image depends on the other images of its batch (by {difference:.2g})"
    )
    return "an image's loss is the same in any batch"


def _group(loss: Loss) -> str:
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(IMAGES, NETWORKS, CLASSES, generator=random, dtype=torch.float64)
    labels = torch.arange(IMAGES) % CLASSES
    rows = torch.arange(IMAGES)[:, None] + IMAGES * torch.arange(NETWORKS)  # of the memory
    stacked = _per_image(
        loss, logits.flatten(0, 1), labels.repeat_interleave(NETWORKS), rows.flatten()
    )
    means = stacked.view(IMAGES, NETWORKS).mean(0)
    alone = torch.stack([_per_image(loss, logits[:, n], labels).mean() for n in range(NETWORKS)])
    difference = (means - alone).abs().max().item()
    assert difference <= 1e-9 * max(1.0, alone.abs().max().item()), (
        f"it differs by {difference:.2g}"
    )
    return f"{NETWORKS} networks, largest difference {difference:.1e}"


def _falls(loss: Loss) -> str:
    logits, labels = _batch()
    before = _per_image(loss, logits, labels).mean().item()
    likely = _label_probability(loss, logits, labels)
    for _ in range(STEPS):
        found = _gradient(loss, logits, labels)
        logits = logits - found / found.norm().clamp(min=1e-12)
    after = _per_image(loss, logits, labels).mean().item()
    assert after < before, (
        f"{STEPS} steps of gradient descent raise it from {before:.3g} to {after:.3g}"
    )
    now = _label_probability(loss, logits, labels)
    assert now > likely, (
        f"gradient descent makes the labels less likely ({likely:.1%}, then {now:.1%}): is the "
        "sign right?"
    )
    return f"{before:.3g} to {after:.3g}, the labels' probability {likely:.0%} to {now:.0%}"


def _label_probability(loss: Loss, logits: torch.Tensor, labels: torch.Tensor) -> float:
    probabilities = loss.probabilities(logits)
    return probabilities.gather(1, labels.unsqueeze(1)).mean().item()


def _probabilities(loss: Loss) -> str:
    logits, _ = _batch()
    found = loss.probabilities(logits)
    assert found.shape == logits.shape, f"they have shape {tuple(found.shape)}"
    assert (found >= 0).all(), "one is negative"
    assert (found.sum(1) - 1).abs().max() <= 1e-9, "they do not sum to 1"
    stacked = loss.probabilities(logits.T.unsqueeze(0))
    assert torch.allclose(stacked[0].T, found), "they differ for M x C x N logits: use dimension 1"
    return "sum to 1"


def _capture(loss: Loss) -> str:
    """Compute on torch's device without values, which has the limits of a captured CUDA graph."""
    logits = torch.zeros(IMAGES, CLASSES, device="meta", requires_grad=True)
    _, labels = _batch()
    tensors = _context(torch.arange(IMAGES))
    context = replace(
        tensors,
        **{f.name: getattr(tensors, f.name).to(logits.device) for f in fields(tensors)},
    )
    try:
        total = loss.per_image(logits, labels.to(logits.device), context).sum()
    except RuntimeError as error:
        raise AssertionError(
            "it reads a value (as .item() or `if` do) or makes a tensor on another device than the "
            f"logits: {first_line(error)}"
        ) from error
    with suppress(NotImplementedError):  # torch lacks this form of some gradients
        total.backward()
    return "no value is read, so a step can be captured as a CUDA graph"


def _finite_at(loss: Loss) -> None:
    logits, labels = _batch()
    assert _per_image(loss, logits, labels).isfinite().all(), "a value is not finite there"
    assert _gradient(loss, logits, labels).isfinite().all(), "a gradient is not finite there"


CHECKS: Checks[Loss] = {
    "one value per image": _one_value_per_image,
    "finite": _finite,
    "gradient": _differences,
    "images by themselves": _alone,
    "falls": _falls,
    "group": _group,
    "probabilities": _probabilities,
    "GPU": _capture,
    "settings": lambda loss: at_bounds(loss, _finite_at),
}

"""The metrics of many networks at once: the same as one by one, without waiting for the device."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from cifar_exp.components.losses import LOSSES, Loss
from cifar_exp.components.metrics import outputs
from cifar_exp.components.metrics.metrics import AS_TRAINED, BY_FREQUENCY, METRICS
from cifar_exp.components.metrics.outputs import outputs_of
from cifar_exp.components.metrics.probabilities import probabilities_of
from cifar_exp.components.metrics.scores import (
    Scores,
    evaluations_of,
    examine,
    measure,
    scores_of,
    temperatures_of,
)
from cifar_exp.components.metrics.temperature import fitted

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.integer]
EXACT = {"accuracy", "top5", "macro_f1"}


def batch(
    num_networks: int, num_examples: int, num_classes: int
) -> tuple[torch.Tensor, torch.Tensor, list[Loss]]:
    """Logits of which many are equal, labels, and losses of two maps in turns."""
    random = torch.Generator().manual_seed(0)
    shape = (num_networks, num_examples, num_classes)
    logits = (2 * torch.randn(shape, generator=random)).round() / 2
    labels = torch.randint(num_classes, (num_examples,), generator=random)
    losses = [LOSSES[["mse", "bce", "focal"][network % 3]]() for network in range(num_networks)]
    return logits, labels, losses


SHAPES = [(1, 1, 2), (3, 20, 3), (7, 500, 10), (5, 64, 300)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("part", [1, 2**13, 2**27])
def test_a_batch_is_exactly_one_by_one(
    shape: tuple[int, int, int], part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, labels, losses = batch(*shape)
    one_by_one = [(logits[m : m + 1], labels, [loss]) for m, loss in enumerate(losses)]
    temperatures = [value for alone in one_by_one for value in temperatures_of(*alone)]
    alone = [examine(logits[m], labels, loss, temperatures[m]) for m, loss in enumerate(losses)]
    monkeypatch.setattr(outputs, "PART_ON_CPU", part)
    assert temperatures_of(logits, labels, losses) == temperatures
    together = evaluations_of(logits, labels, losses, temperatures)
    assert [e.scores for e in together] == [e.scores for e in alone]
    assert [e.temperature for e in together] == temperatures
    for raw, evaluation in zip(scores_of(logits, labels, losses), alone, strict=True):
        assert raw.values.items() <= evaluation.scores.values.items()
    for one, other in zip(alone, together, strict=True):
        for name in ("label", "predicted", "confidence", "confidence_scaled"):
            expected, actual = getattr(one.predictions, name), getattr(other.predictions, name)
            assert actual.dtype == expected.dtype
            assert actual.tolist() == expected.tolist()


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_map_takes_the_logits_of_many_networks(name: str) -> None:
    logits, _, _ = batch(3, 20, 4)
    together = probabilities_of(logits.mT, [LOSSES[name]()] * 3).mT
    assert together.dtype == torch.float64
    for network in range(3):
        alone = LOSSES[name]().probabilities(logits[network].double())
        torch.testing.assert_close(together[network], alone, rtol=1e-14, atol=0)


def test_a_distinct_map_is_computed_once_for_its_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    mapped = []

    def counted(original: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def probabilities(self: Loss, logits: torch.Tensor) -> torch.Tensor:
            mapped.append((self.name, len(logits)))
            return original(self, logits)

        return probabilities

    for loss in (Loss, LOSSES["bce"]):
        monkeypatch.setattr(loss, "probabilities", counted(loss.probabilities))
    logits, _, _ = batch(5, 20, 4)
    losses = [
        LOSSES["focal"].model_validate({"gamma": 1.0}),
        LOSSES["bce"](),
        LOSSES["focal"].model_validate({"gamma": 2.0}),
        LOSSES["mse"](),
        LOSSES["bce"](),
    ]
    probabilities_of(logits.mT, losses)
    assert mapped == [("focal", 3), ("bce", 2)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_network_that_is_not_finite_has_no_scores_and_harms_no_other(bad: float) -> None:
    logits, labels, losses = batch(3, 20, 10)
    expected = scores_of(logits, labels, losses)
    logits[1, 7, 2] = bad
    measured = scores_of(logits, labels, losses)
    assert (measured[0], measured[2]) == (expected[0], expected[2])
    assert measured[1].values.keys() == AS_TRAINED.keys()
    assert all(map(math.isnan, measured[1].values.values()))
    logits[1] = bad
    assert scores_of(logits, labels, losses)[2] == expected[2]


# Against an independent implementation, one example after the other.


def reference(logits: Floats, probabilities: Floats, labels: Integers) -> dict[str, float]:
    num_examples, num_classes = logits.shape
    rows = range(num_examples)
    ranked = [sorted(range(num_classes), key=lambda k, i=i: (-logits[i, k], k)) for i in rows]  # type: ignore[misc]
    first = [order[0] for order in ranked]
    right = [first[i] == labels[i] for i in rows]
    confidence = [np.float32(probabilities[i, first[i]]) for i in rows]
    own = [max(probabilities[i, labels[i]], np.finfo(np.float64).tiny) for i in rows]
    one_hot = np.eye(num_classes)
    values = {
        "accuracy": sum(right) / num_examples,
        "macro_f1": macro_f1(first, labels.tolist(), num_classes),
        "nll": math.fsum(-math.log(p) for p in own) / num_examples,
        "brier": math.fsum(((probabilities[i] - one_hot[labels[i]]) ** 2).sum() for i in rows)
        / num_examples,
        "ece": binned(right, confidence, [equal_width(c) for c in confidence]),
        "ece_adaptive": binned(
            right,
            confidence,
            [15 * sum(other < c for other in confidence) // num_examples for c in confidence],
        ),
    }
    if num_classes > 5:
        values["top5"] = sum(labels[i] in ranked[i][:5] for i in rows) / num_examples
    return values


def macro_f1(predicted: list[int], labels: list[int], num_classes: int) -> float:
    pairs = list(zip(predicted, labels, strict=True))
    f1 = []
    for k in range(num_classes):
        hits = sum(p == y == k for p, y in pairs)
        either = sum((p == k) + (y == k) for p, y in pairs)
        f1.append(2 * hits / either if either else 0.0)
    return math.fsum(f1) / num_classes


def equal_width(confidence: np.float32) -> int:
    return next(k for k in range(1, 16) if confidence <= np.float32(k / 15))


def binned(right: list[bool], confidence: list[np.float32], bins: list[int]) -> float:
    gaps = [
        math.fsum(
            float(right[i]) - float(confidence[i]) for i in range(len(bins)) if bins[i] == wanted
        )
        for wanted in set(bins)
    ]
    return math.fsum(map(abs, gaps)) / len(bins)


@st.composite
def data(draw: st.DrawFn) -> tuple[Floats, Integers]:
    """Logits of few values, so that many are equal, and probabilities such as 1/5 are exact."""
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 40)), draw(st.integers(2, 12)))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([1, 2, 3, 1000]))
    scale = draw(st.sampled_from([0.0, math.log(2), 1.0, 50.0, 1000.0]))
    logits = (scale * random.integers(levels, size=shape)).astype(np.float32)
    return logits, random.integers(shape[2], size=shape[1])


@given(data(), st.sampled_from(["cross_entropy", "bce"]))
@settings(max_examples=150, deadline=None)
def test_scores_are_those_of_a_loop_over_examples(
    drawn: tuple[Floats, Integers], name: str
) -> None:
    logits, labels = drawn
    losses = [LOSSES[name]()] * len(logits)
    batch = torch.from_numpy(logits)
    probabilities = probabilities_of(batch.mT, losses).mT.numpy()
    measured = scores_of(batch, torch.from_numpy(labels), losses)
    for network, scores in enumerate(measured):
        expected = reference(logits[network], probabilities[network], labels)
        assert scores.values.keys() == expected.keys()
        for metric, value in scores.values.items():
            if metric in EXACT:
                assert value == expected[metric], metric
            else:
                assert value == pytest.approx(expected[metric], rel=1e-12, abs=1e-14), metric


def test_a_confidence_of_a_fifth_is_in_the_bin_below() -> None:
    """1/5 is an edge; 0.19 is in the bin below it, where the two gaps cancel."""
    logits = torch.full((1, 2, 8), -1000.0)
    logits[0, 0, :5] = 0
    logits[0, 1] = math.log(0.81 / 7)
    logits[0, 1, 0] = math.log(0.19)
    [scores] = scores_of(logits, torch.tensor([0, 7]), [LOSSES["cross_entropy"]()])
    assert scores.values["ece"] == pytest.approx((0.8 - 0.19) / 2, abs=1e-7)
    assert scores.values["ece_adaptive"] == pytest.approx((0.8 + 0.19) / 2, abs=1e-7)


# On a GPU.


class Operations(TorchDispatchMode):
    """Lists operations and refuses those that wait for a GPU or add in any order there."""

    REFUSED = (
        "_local_scalar_dense",
        "item",
        "nonzero",
        "masked_select",
        "unique",
        "bincount",
        "histc",
        "equal",
        "is_nonzero",
        "index_put",
        "index.Tensor",
    )

    def __init__(self, names: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names = names

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        name = str(func).removeprefix("aten.")
        assert not name.startswith(self.REFUSED), name
        if name.startswith(("scatter_add", "cumsum")):
            assert not args[0].is_floating_point(), f"{name} of floats"
        self.names.append(name)
        return func(*args, **(kwargs or {}))


def operations(num_networks: int, device: str) -> list[str]:
    logits, labels, losses = batch(num_networks, 50, 10)
    names: list[str] = []
    targets = labels.to(device)
    temperatures = torch.ones(num_networks, dtype=torch.float64, device=device)
    with Operations(names):
        for part in outputs_of(logits.to(device), targets, losses, temperatures):
            measured = METRICS.keys() - BY_FREQUENCY.keys()
            assert measure(part).values.shape == (num_networks, len(measured))
            assert fitted(part.probabilities, targets).shape == (num_networks,)
    return names


def test_the_operations_do_not_depend_on_the_number_of_networks() -> None:
    assert operations(3, "cpu") == operations(30, "cpu")


def test_no_step_depends_on_values() -> None:
    """Tensors on the device `meta` have no values: what asks for one fails."""
    assert operations(3, "meta")
    with pytest.raises((RuntimeError, NotImplementedError)):
        bool(torch.zeros(2, device="meta").sum() > 0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("shape", [*SHAPES, (64, 5000, 10), (256, 5000, 10)])
def test_a_gpu_has_the_scores_of_the_cpu(shape: tuple[int, int, int]) -> None:
    logits, labels, losses = batch(*shape)
    temperatures = temperatures_of(logits, labels, losses)
    on_gpu = logits.cuda(), labels.cuda(), losses
    assert temperatures_of(*on_gpu) == pytest.approx(temperatures, rel=1e-5)
    expected = evaluations_of(logits, labels, losses, temperatures)
    measured = evaluations_of(*on_gpu, temperatures)
    for here, there in zip(expected, measured, strict=True):
        assert there.predictions.predicted.tolist() == here.predictions.predicted.tolist()
        assert there.scores.values == pytest.approx(dict(here.scores.values), abs=1e-6)
        assert exact(there.scores) == exact(here.scores)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_not_waited_for_and_repeats_itself() -> None:
    logits, labels, losses = batch(64, 500, 10)
    on_gpu, targets = logits.cuda(), labels.cuda()
    first = scores_of(on_gpu, targets, losses)
    torch.cuda.set_sync_debug_mode("error")
    try:
        parts = [measure(part) for part in outputs_of(on_gpu, targets, losses)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.cat([part.values for part in parts]).tolist() == [
        list(scores.values.values()) for scores in first
    ]


def exact(scores: Scores) -> dict[str, float]:
    return {name: scores.values[name] for name in EXACT & scores.values.keys()}

from __future__ import annotations

import copy
import math
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss
from torch.nn import functional

from cifar_exp import seeds
from cifar_exp.components import precision as precisions
from cifar_exp.components.augmentations import AUGMENTATIONS
from cifar_exp.components.datasets import Dataset, Split
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models import Model, read_model
from cifar_exp.components.models.standardize import Standardize
from cifar_exp.components.precision import Precision
from cifar_exp.components.schedules import SCHEDULES
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import evaluation, loop, untrained
from cifar_exp.training.learning_rate import LearningRate
from cifar_exp.training.loader import epoch_order
from tests import rounding, tiny
from tests.rounding import DEFAULT, EXPECTED, TF32, Rounding


@pytest.fixture(scope="module")
def config(images: Path) -> TrialConfig:
    return tiny.trial_config(images)


@pytest.fixture(scope="module")
def large(data: Dataset) -> Dataset:
    """The tiny images at the size that every network can take."""

    def enlarged(split: Split) -> Split:
        images = split.images.repeat_interleave(4, 2).repeat_interleave(4, 3)
        return Split(
            images=images.contiguous(memory_format=torch.channels_last), labels=split.labels
        )

    return replace(data, train=enlarged(data.train), val=enlarged(data.val))


def train(config: TrialConfig, data: Dataset) -> tuple[torch.nn.Module, list[loop.EpochMetrics]]:
    model = untrained.build_model(config, data)
    return model, list(loop.train(model, config, data))


def plain_losses(
    network: torch.nn.Module,
    config: TrialConfig,
    data: Dataset,
    factor: Callable[[int], float] = lambda _: 1.0,
) -> list[float]:
    """Train with the textbook loop on contiguous float images; return the mean loss per epoch.

    An epoch begins with the random state of its own seed. A last batch of one image is omitted.
    `factor` is that of the learning rate at a step, counted from 0.
    """
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (data.mean, data.std))
    images = (data.train.images.contiguous().float() / 255 - mean) / std
    model = network.to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.SGD(model.parameters(), lr=config.lr)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    losses = []
    for epoch in range(1, config.epochs + 1):
        order = epoch_order(len(images), config.seed, epoch).tolist()
        if len(images) % config.batch_size == 1 < config.batch_size:
            del order[-1]
        torch.manual_seed(seeds.derive("epoch", config.seed, epoch))
        total = 0.0
        for start in range(0, len(order), config.batch_size):
            chosen = order[start : start + config.batch_size]
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(images[chosen]), data.train.labels[chosen])
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item() * len(chosen)
        losses.append(total / len(order))
    return losses


@pytest.mark.parametrize(
    ("num_images", "changes"),
    [
        (54, {"epochs": 8}),  # 7 batches per epoch, the last one smaller
        (54, {"model": read_model("lenet")}),
        (54, {"model": read_model("cifar10_3c3d"), "lr": 0.01}),
        (5, {"batch_size": 1}),
        (
            9,
            {"model": read_model("resnet18"), "batch_size": 8, "epochs": 1},
        ),  # the last batch has one image
    ],
)
def test_it_trains_like_the_textbook_loop(
    config: TrialConfig, large: Dataset, num_images: int, changes: dict[str, Any]
) -> None:
    few = replace(large, train=large.train.first(num_images))
    changed = config.model_copy(update=changes)
    _, epochs = train(changed, few)
    network = untrained.build_model(changed, few).get_submodule("network")
    expected = plain_losses(network, changed, few)
    assert [e.train_loss for e in epochs] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("batch_size", "steps_per_epoch"), [(8, 7), (18, 3)])
def test_the_learning_rate_follows_the_schedule(
    config: TrialConfig, large: Dataset, batch_size: int, steps_per_epoch: int
) -> None:
    """A cosine over all steps but a last batch of one image, which is no step."""
    few = replace(large, train=large.train.first(55))
    cosine = {"schedule_settings": SCHEDULES["cosine"].model_validate({"floor": 0.1}), "lr": 0.2}
    changed = config.model_copy(update={**cosine, "batch_size": batch_size})
    total = changed.epochs * steps_per_epoch
    _, epochs = train(changed, few)
    network = untrained.build_model(changed, few).get_submodule("network")
    expected = plain_losses(
        network, changed, few, lambda k: 0.1 + 0.45 * (1 + math.cos(math.pi * k / total))
    )
    assert [e.train_loss for e in epochs] == pytest.approx(expected, rel=1e-4)


def test_every_parameter_group_keeps_its_share_of_the_learning_rate() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": weights[0], "lr": 1.0}, {"params": weights[1], "lr": 0.1}]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    rate = LearningRate(optimizer, SCHEDULES["linear"](), steps_per_epoch=2, epochs=2)
    found = []
    for epoch in (1, 2):
        rate.begin(epoch)
        for step in (0, 1):
            rate.set(step)
            found.append([group["lr"] for group in optimizer.param_groups])
    assert found == [pytest.approx([f, f / 10]) for f in (1, 0.75, 0.5, 0.25)]


@pytest.mark.parametrize("epochs_done", [0, 1])
def test_the_random_numbers_of_an_epoch_depend_on_its_number(
    config: TrialConfig, data: Dataset, epochs_done: int
) -> None:
    def network() -> torch.nn.Sequential:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(), torch.nn.Linear(192, 3))

    torch.manual_seed(1)
    model = torch.nn.Sequential(Standardize(data.mean, data.std), network())
    plain = copy.deepcopy(model[1])
    expected = plain_losses(plain, config, data)
    if epochs_done:
        next(loop.train(model, config, data))
        torch.manual_seed(9)  # the random state of another process
    trained = loop.train(model, config, data, None, epochs_done)
    assert [e.train_loss for e in trained] == pytest.approx(expected[epochs_done:], rel=1e-4)


class Draws(torch.optim.SGD):
    """It keeps a number of each global generator at every step, as some libraries draw them."""

    def step(self, closure: Any = None) -> Any:
        self.drawn = [*getattr(self, "drawn", []), (random.random(), np.random.random())]
        return super().step(closure)


def test_global_generators_depend_on_the_seed_and_the_epoch(
    config: TrialConfig, data: Dataset
) -> None:
    found = []
    for epochs_done in (0, 1):  # the second is resumed after the first epoch
        random.seed(epochs_done)
        np.random.seed(epochs_done)
        model = untrained.build_model(config, data)
        optimizer = Draws(model.parameters(), lr=0.01)
        list(loop.train(model, config, data, optimizer, epochs_done))
        found.append(optimizer.drawn)
    whole, resumed = found
    first_epoch = whole[: len(whole) // config.epochs]
    assert whole == first_epoch + resumed
    assert set(first_epoch).isdisjoint(resumed)


def test_epochs_are_numbered_and_timed(config: TrialConfig, data: Dataset) -> None:
    _, epochs = train(config, data)
    assert [e.epoch for e in epochs] == [1, 2]
    assert all(e.seconds > 0 for e in epochs)
    assert all(e.images_per_second > len(data.train.labels) / e.seconds for e in epochs)


def test_it_learns(config: TrialConfig, data: Dataset) -> None:
    _, epochs = train(config.model_copy(update={"epochs": 15}), data)
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert epochs[-1].val.accuracy > 0.8


def test_a_repeated_training_is_bitwise_identical(config: TrialConfig, data: Dataset) -> None:
    first, metrics = train(config, data)
    torch.rand(7)  # the caller's random state must have no effect
    second, again = train(config, data)
    assert [m.train_loss for m in metrics] == [m.train_loss for m in again]
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_another_seed_is_another_training(config: TrialConfig, data: Dataset) -> None:
    _, one = train(config, data)
    _, other = train(config.model_copy(update={"seed": 1}), data)
    assert one[0].train_loss != other[0].train_loss


def test_the_test_split_is_not_used(config: TrialConfig, data: Dataset) -> None:
    poisoned = Split(images=data.test.images, labels=torch.full_like(data.test.labels, 10_000))
    _, expected = train(config, data)
    _, epochs = train(config, replace(data, test=poisoned))
    assert [e.val for e in epochs] == [e.val for e in expected]


@pytest.mark.parametrize("batch_size", [1, 7, 500])
def test_evaluation_scores_the_whole_split_at_any_batch_size(
    config: TrialConfig, data: Dataset, monkeypatch: pytest.MonkeyPatch, batch_size: int
) -> None:
    plain = untrained.build_model(config, data)
    model = torch.nn.Sequential(plain, torch.nn.Dropout()).train()  # no effect in evaluation
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", batch_size)
    scores = evaluation.evaluate(model, LOSSES["cross_entropy"](), data.test).scores
    with torch.no_grad():
        probabilities = plain(data.test.images).double().softmax(1).numpy()
    assert scores.accuracy == accuracy_score(data.test.labels, probabilities.argmax(1))
    assert scores.values["nll"] == pytest.approx(
        log_loss(data.test.labels, probabilities), rel=1e-6
    )


def test_a_loss_that_is_not_finite_is_divergence(config: TrialConfig, data: Dataset) -> None:
    with pytest.raises(evaluation.Diverged):
        train(config.model_copy(update={"lr": 1e30}), data)


def test_outputs_that_are_not_finite_are_divergence(config: TrialConfig, data: Dataset) -> None:
    model = untrained.build_model(config, data)
    with torch.no_grad():
        next(model.parameters()).fill_(float("inf"))
    with pytest.raises(evaluation.Diverged):
        evaluation.evaluate(model, config.loss_settings, data.val)


@pytest.mark.parametrize("augment", sorted(AUGMENTATIONS))
def test_augmented_training_learns_and_is_bitwise_reproducible(
    config: TrialConfig, data: Dataset, augment: str
) -> None:
    augmented = config.model_copy(update={"augment": AUGMENTATIONS[augment](), "epochs": 8})
    _, epochs = train(augmented, data)
    _, again = train(augmented, data)
    _, plain = train(config.model_copy(update={"epochs": 8}), data)
    assert epochs[-1].train_loss < epochs[0].train_loss
    assert [e.train_loss for e in epochs] == [e.train_loss for e in again]
    assert ([e.train_loss for e in epochs] == [e.train_loss for e in plain]) == (augment == "none")


def in_python(model: torch.nn.Module) -> Any:
    """Compile without the C++ compiler, which takes a minute; the traced graph is the same."""
    return torch.compile(model, backend="aot_eager", dynamic=False)


@pytest.mark.parametrize(
    "compiled",
    [
        in_python,
        pytest.param(
            loop._compiled,
            marks=[
                pytest.mark.chaos,
                pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler"),
            ],
        ),
    ],
)
def test_a_compiled_training_equals_an_uncompiled_one(
    config: TrialConfig, data: Dataset, monkeypatch: pytest.MonkeyPatch, compiled: Any
) -> None:
    monkeypatch.setattr(loop, "_compiled", compiled)
    whole = config.model_copy(
        update={"batch_size": len(data.train)}
    )  # each size is compiled separately
    _, epochs = train(whole.model_copy(update={"compile": True}), data)
    _, expected = train(whole, data)
    given = [e.train_loss for e in epochs]
    assert given == pytest.approx([e.train_loss for e in expected], rel=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_only_the_network_computes_in_the_precision(
    config: TrialConfig, data: Dataset, precision: Precision
) -> None:
    """An epoch of one step: its loss is that of the initial weights, in float32."""

    def logits(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            outputs: torch.Tensor = network(images).float()
        return outputs

    whole = config.model_copy(update={"epochs": 1, "precision": precision, "batch_size": 54})
    order = epoch_order(54, config.seed, 1)
    initial = logits(untrained.build_model(whole, data).train(), data.train.images[order])
    expected = functional.cross_entropy(initial, data.train.labels[order]).item()
    model, [epoch] = train(whole, data)
    assert epoch.train_loss == pytest.approx(expected, rel=1e-6)
    trained = logits(model.eval(), data.val.images).double().softmax(1)
    assert epoch.val.values["nll"] == pytest.approx(log_loss(data.val.labels, trained), rel=1e-9)


@pytest.fixture
def _tf32(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that supports tf32, with torch's default settings."""
    monkeypatch.setattr(precisions, "_check_tf32", lambda: None)
    rounding.reset()
    yield
    rounding.reset()


def watched(config: TrialConfig, data: Dataset) -> tuple[torch.nn.Module, set[Any]]:
    """Return a network and the settings during its passes: forward, backward, evaluation."""
    model, found = untrained.build_model(config, data), set[Any]()

    def forward(module: torch.nn.Module, *_: Any) -> None:
        found.add(("forward" if module.training else "evaluation", Rounding.now()))

    model.register_forward_pre_hook(forward)
    last = next(reversed(list(model.parameters())))
    last.register_hook(lambda _: found.add(("backward", Rounding.now())))
    return model, found


@pytest.mark.usefixtures("_tf32")
def test_each_training_of_a_process_has_its_own_precision(
    config: TrialConfig, data: Dataset
) -> None:
    """They alternate after each epoch; in between, torch's own settings are active."""
    configs = {name: config.model_copy(update={"precision": name}) for name in EXPECTED}
    networks = {name: watched(each, data) for name, each in configs.items()}
    trainings = [loop.train(networks[name][0], each, data) for name, each in configs.items()]
    for _ in zip(*trainings, strict=True):
        assert Rounding.now() == DEFAULT
    passes = ("forward", "backward", "evaluation")
    for name, (_, found) in networks.items():
        assert found == {(each, EXPECTED[name]) for each in passes}


@pytest.mark.usefixtures("_tf32")
def test_a_network_is_scored_in_its_precision(config: TrialConfig, data: Dataset) -> None:
    model, found = watched(config, data)
    evaluation.evaluate(model, config.loss_settings, data.test, "tf32")
    assert found == {("evaluation", TF32)}
    assert Rounding.now() == DEFAULT


@pytest.fixture
def _cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has trained no network."""
    monkeypatch.setattr(loop, "_warm", set())


@pytest.mark.usefixtures("_cold")
def test_each_network_is_warmed_up_once(
    images: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []

    def watched(model: Model, *arguments: Any) -> torch.nn.Module:
        built.append(model.type)
        return initial_model(model, *arguments)

    initial_model = untrained.initial_model
    monkeypatch.setattr(untrained, "initial_model", watched)
    monkeypatch.setattr(loop, "_compiled", lambda _: pytest.fail("it is compiled twice"))
    config = tiny.trial_config(images).model_copy(update={"compile": True})
    other = config.model_copy(update={"model": read_model("seed_cnn")})
    for each in (config, config, other, config):
        loop.warm_up(each, data)
    assert built == ["seed_cnn_relu", "seed_cnn"]


@pytest.mark.usefixtures("_cold")
def test_an_error_in_a_warm_up_is_raised_by_the_training(images: Path, data: Dataset) -> None:
    config = tiny.trial_config(images)
    broken = replace(data, train=replace(data.train, labels=data.train.labels + 100))
    loop.warm_up(config, broken)
    with pytest.raises(IndexError):
        list(loop.train(untrained.build_model(config, broken), config, broken))

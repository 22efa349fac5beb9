"""Networks trained by one program, against each of them alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cifar_exp.components import datasets
from cifar_exp.components.augmentations import AUGMENTATIONS
from cifar_exp.components.datasets import Dataset, Split
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.metrics.scores import scores_of
from cifar_exp.components.models import MODELS, Model, read_model
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.components.schedules import SCHEDULES
from cifar_exp.experiment import TrialConfig
from cifar_exp.training import loop, untrained
from cifar_exp.training.group.program import Program, check_state, in_order
from tests.components.models.small import small, small_size
from tests.components.optimizers.test_optimizers import OTHER_SETTINGS

STEPS, BATCH_SIZE = 50, 4
# Small, as adaptive steps amplify rounding: a gradient of almost zero has a random sign.
LR = {"sgd": 0.01, "asgd": 0.01, "adadelta": 0.01, "rmsprop": 1e-5, "rprop": 1e-5}
# Muon orthogonalizes in bfloat16: another order of summation changes the last of eight bits.
# Early-learning regularization has the logarithm of a difference.
BOUNDS = {"muon": 1e-3, "elr": 1e-4}

# At its scale of 30, a step changes the outputs so much that rounding grows.
SCALE = {"ldam": {"s": 1.0}}
# Networks whose last layer computes cosines are not stacked.
GROUPED = [name for name in LOSSES if not LOSSES[name].takes_cosines]

ALL_PAIRS = list(itertools.product(GROUPED, OPTIMIZERS))
EACH_ONCE = list(zip(GROUPED, itertools.cycle(OPTIMIZERS)))


def config(loss: str, optimizer: str, **changes: Any) -> TrialConfig:
    settings: dict[str, Any] = {
        "model": read_model("lenet"),
        "lr": LR.get(optimizer, 2e-5),
        "batch_size": BATCH_SIZE,
        "epochs": 2,
        "seed": 0,
        **changes,
    }
    return TrialConfig(
        loss=loss,
        loss_settings=LOSSES[loss].model_validate(SCALE.get(loss, {})),
        optimizer=optimizer,
        optimizer_settings=OPTIMIZERS[optimizer](),
        **settings,
    )


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Some digits at 16 x 16 pixels: 25 batches per epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIFAR_EXP_CACHE", str(tmp_path_factory.mktemp("cache")))
        data = datasets.load(datasets.Digits())
    num_images = BATCH_SIZE * STEPS // 2
    return replace(data, train=_small(data.train, num_images), val=_small(data.val, 60))


def _small(split: Split, num_images: int) -> Split:
    images = split.images[:num_images, :, ::2, ::2].contiguous(memory_format=torch.channels_last)
    return Split(images=images, labels=split.labels[:num_images])


def program_of(configs: Sequence[TrialConfig], data: Dataset) -> Program:
    initial = untrained.initial_model(configs[0].model, data, configs[0].seed)
    return Program(configs, initial, data.train, [None] * len(configs), data.num_classes)


def ordered(configs: Sequence[TrialConfig]) -> list[TrialConfig]:
    return [configs[index] for index in in_order(dict(enumerate(configs)))]


def scheduled() -> list[TrialConfig]:
    """Return a training for each schedule with a warm-up, with different optimizers."""
    optimizers = ("sgd", "adamw", "asgd")
    return [
        config("cross_entropy", optimizer, schedule_settings=schedule(warmup=0.1))
        for optimizer, schedule in zip(itertools.cycle(optimizers), SCHEDULES.values())
    ]


def check(configs: Sequence[TrialConfig], data: Dataset) -> None:
    """Compare losses and validation over 50 steps with `loop.train`."""
    configs = ordered(configs)
    program = program_of(configs, data)
    losses, scores = [], []
    for epoch in (1, 2):
        losses.append(program.train_epoch(epoch))
        logits = program.logits(data.val)
        scores.append(scores_of(logits, data.val.labels, [c.loss_settings for c in configs]))
    for index, one in enumerate(configs):
        bound = max(BOUNDS.get(name, 1e-5) for name in (one.loss, one.optimizer))
        alone = loop.train(untrained.build_model(one, data), one, data)
        for epoch, metrics in enumerate(alone):
            found = losses[epoch][index], scores[epoch][index].values["nll"]
            expected = metrics.train_loss, metrics.val.values["nll"]
            assert found == pytest.approx(expected, rel=bound), (one.loss, one.optimizer)


@pytest.mark.chaos
def test_every_loss_with_every_optimizer_equals_a_network_alone(digits: Dataset) -> None:
    check([config(loss, optimizer) for loss, optimizer in ALL_PAIRS], digits)


def test_every_schedule_equals_a_network_alone(digits: Dataset) -> None:
    check(scheduled(), digits)


LONG = {"cifar10_3c3d"}
NORMALISED = ["airbench", "resnet18", "wrn_16_4", "wrn_28_10"]
NETWORKS = [
    pytest.param(name, marks=pytest.mark.chaos if name in LONG else ())
    for name in MODELS
    if name not in NORMALISED  # they have a test of their own
]


@pytest.mark.parametrize("model", NETWORKS)
def test_every_network_trains_as_it_does_alone(model: str, digits: Dataset) -> None:
    check([config(loss, optimizer, model=small(model)) for loss, optimizer in EACH_ONCE], digits)


@pytest.mark.chaos
def test_every_loss_with_every_optimizer_in_seed_cnn_relu(digits: Dataset) -> None:
    """The network of the published comparisons; lenet is above."""
    check([config(*pair, model=read_model("seed_cnn_relu")) for pair in ALL_PAIRS], digits)


@pytest.mark.parametrize("model", NORMALISED)
def test_batch_normalisation_trains_as_it_does_alone(model: str, digits: Dataset) -> None:
    # Noise images, as normalisation amplifies the rounding errors of channels that hardly vary.
    random = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (24, 3, *[small_size(model)] * 2), generator=random).to(torch.uint8)
    noise = noise.contiguous(memory_format=torch.channels_last)
    train = Split(images=noise[:16], labels=digits.train.labels[:16])
    few = replace(digits, train=train, val=Split(images=noise[16:], labels=train.labels[:8]))
    pairs = [("cross_entropy", "sgd", 1e-4), ("mse", "adamw", 1e-5)]
    check([config(loss, name, model=small(model), lr=lr) for loss, name, lr in pairs], few)


@pytest.mark.parametrize("augment", list(AUGMENTATIONS))
def test_every_augmentation_equals_that_of_a_network_alone(augment: str, digits: Dataset) -> None:
    check([config(loss, "sgd", augment=augment) for loss in ("cross_entropy", "mse")], digits)


def test_dropout_draws_the_masks_of_a_network_alone(digits: Dataset) -> None:
    class Dropping(Model):
        name = "dropping"

        def network(self, *, channels: int, size: int, num_classes: int) -> torch.nn.Module:
            nn = torch.nn
            convolution = nn.Conv2d(channels, 4, size - 1), nn.Dropout2d(0.3), nn.ReLU()
            flat = nn.Dropout(0.2), nn.Flatten(), nn.Dropout(0.5)
            return nn.Sequential(*convolution, *flat, nn.Linear(16, num_classes))

    check([config(loss, "sgd", model=Dropping()) for loss in ("cross_entropy", "mse")], digits)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_that_diverges_does_not_change_the_others(
    precision: str, digits: Dataset
) -> None:
    sound = [
        config("cross_entropy", "sgd", precision=precision),
        config("mse", "adamw", precision=precision),
    ]
    weights = []
    for lr in (1e-3, 1e6):
        between = config("cross_entropy", "sgd", lr=lr, precision=precision)
        configs = [sound[0], between, sound[1]]
        order = in_order(dict(enumerate(configs)))
        program = program_of([configs[index] for index in order], digits)
        losses = dict(zip(order, program.train_epoch(1), strict=True))
        states = [program.state(order.index(index)) for index in (0, 2)]
        weights.append([tensor.clone() for state in states for tensor in state.weights.values()])
        assert (losses[1] < 10) == (lr < 1)
    assert all(map(torch.equal, *weights))


def test_a_state_has_no_part_for_weights_that_are_not_trained(digits: Dataset) -> None:
    side = small_size("airbench")
    images = torch.zeros(4, 3, side, side, dtype=torch.uint8)
    split = Split(images=images, labels=digits.train.labels[:4])
    one = config("mse", "sgd", model=small("airbench"))
    initial = untrained.initial_model(one.model, replace(digits, train=split), 0)
    state = Program([one], initial, split, [None], digits.num_classes).state(0)
    assert not state.weights.keys() <= state.optimizer.keys()
    check_state(state, one, initial)


def test_a_state_continues_bitwise_identically(digits: Dataset) -> None:
    configs = ordered([*(config(loss, optimizer) for loss, optimizer in EACH_ONCE), *scheduled()])
    program = program_of(configs, digits)
    program.train_epoch(1)
    states = [program.state(index).to_cpu() for index in range(len(configs))]
    assert {state.num_steps for state in states} == {STEPS // 2}
    initial = untrained.initial_model(read_model("lenet"), digits, 0)
    restored = Program(configs, initial, digits.train, states, digits.num_classes)
    assert restored.train_epoch(2) == program.train_epoch(2)
    assert torch.equal(restored.logits(digits.val), program.logits(digits.val))


class Recorded(TorchDispatchMode):
    """Records the names of all operations of torch."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


READS_A_VALUE = {
    *("_local_scalar_dense", "item", "is_nonzero", "equal"),
    *("nonzero", "masked_select", "unique", "_unique2", "repeat_interleave", "bincount"),
    # A tensor created from a Python number is copied to the GPU.
    *("lift_fresh", "lift", "scalar_tensor"),
}


@contextmanager
def recorded() -> Iterator[set[str]]:
    with Recorded() as mode:
        yield mode.names


@pytest.mark.parametrize("augment", list(AUGMENTATIONS))
def test_a_step_reads_no_value_so_that_a_graph_can_capture_it(
    augment: str, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every loss, optimizer and augmentation; the first step may initialize buffers."""
    few = replace(digits, train=digits.train.first(2 * BATCH_SIZE))
    mixes = AUGMENTATIONS[augment].mixes
    able = [pair for pair in EACH_ONCE if not mixes or LOSSES[pair[0]].takes_mixed_labels()]
    configs = [config(loss, optimizer, augment=augment) for loss, optimizer in able]
    for name, same, (ours, _) in OTHER_SETTINGS:
        settings = OPTIMIZERS[name](**same, **ours)
        configs.append(
            config("mse", name, augment=augment).model_copy(update={"optimizer_settings": settings})
        )
    program = program_of(ordered(configs), few)
    steps: list[set[str]] = []
    step = program._step_on

    def watched(batch: Any) -> None:
        with recorded() as names:
            step(batch)
        steps.append(names)

    monkeypatch.setattr(program, "_step_on", watched)
    program.train_epoch(1)
    assert len(steps) == 2
    assert "convolution" in steps[1]
    assert not steps[1] & READS_A_VALUE

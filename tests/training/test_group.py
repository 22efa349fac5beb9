"""Groups of trainings: resumed at different epochs, with members that end, fail or diverge."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from cifar_exp.components.datasets import Dataset
from cifar_exp.training import checkpoint, trainer
from cifar_exp.training.checkpoint import Checkpoint, CheckpointFile, path_of
from cifar_exp.training.group import member
from cifar_exp.training.group.program import Program
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.messages import Group, Outcome, TooWide, Training
from cifar_exp.training.trainer import train_group
from tests import tiny

EPOCHS = 4
NAMES = ["a", "b", "c"]
CPU_MESSAGE = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"


pytestmark = pytest.mark.usefixtures("keep_every_epoch")


@pytest.fixture
def no_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", math.inf)


@pytest.fixture
def new_group(images: Path, data: Dataset, tmp_path: Path) -> Callable[..., Group]:
    """Return a group of three: sgd with momentum, whose state can be lost, and adam."""

    def make(names: Iterable[object] = NAMES, lrs: Sequence[float] = (0.05, 0.02, 0.01)) -> Group:
        optimizers = "sgd = { momentum = 0.9, lr = 0.1 }\nadam = { lr = 0.1 }"
        tiny_one = tiny.experiment(images, epochs=str(EPOCHS), optimizers=optimizers)
        combinations = tiny_one.combinations()
        trainings = tuple(
            Training(
                name=str(name),
                config=tiny_one.trial(combinations[index % 4], {"lr": lr, "batch_size": 8}, 0),
                checkpoint=str(name),
                test=True,
            )
            for index, (name, lr) in enumerate(zip(names, lrs, strict=True))
        )
        return Group(trainings=trainings, data_path=data.path, folder=tmp_path)

    return make


NewGroup = Callable[..., Group]


@dataclass
class GroupRun:
    """The results of a group until its end, or until it is interrupted."""

    epochs: dict[int, list[EpochMetrics]] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    def values(self, index: int) -> list[float]:
        """All numbers of a training except measured times."""
        numbers = [x for e in self.epochs[index] for x in (e.train_loss, *e.val.values.values())]
        averages = [x for e in self.epochs[index] if e.val_ema for x in e.val_ema.values.values()]
        outcome = self.outcomes[index]
        tested = [each for each in (outcome.tested, outcome.tested_ema) if each is not None]
        return [*numbers, *averages, *(x for each in tested for x in each.scores.values.values())]


def run_group(
    group: Group,
    data: Dataset,
    *,
    steps: int | None = None,
    continues: Callable[[int, EpochMetrics], bool] = lambda *_: True,
) -> GroupRun:
    """Train a group for some steps, or to its end; `continues` decides for each training."""
    found = GroupRun()
    running = train_group(group, data)
    answers: Mapping[int, bool] | None = None
    while steps is None or steps > 0:
        step = running.send(answers)  # type: ignore[arg-type]  # None begins
        for index, metrics in step.epochs.items():
            found.epochs.setdefault(index, []).append(metrics)
        found.outcomes |= step.outcomes
        answers = {index: continues(index, metrics) for index, metrics in step.epochs.items()}
        steps = None if steps is None else steps - 1
        if not step.epochs:
            break
    running.close()
    return found


@pytest.fixture
def epochs_of_programs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Every epoch trained by a program, with its number of networks."""
    trained: list[tuple[int, int]] = []
    train_epoch = Program.train_epoch

    def counted(program: Program, epoch: int) -> list[float]:
        losses = train_epoch(program, epoch)
        trained.append((epoch, len(losses)))
        return losses

    monkeypatch.setattr(Program, "train_epoch", counted)
    return trained


def assert_alike(found: GroupRun, expected: GroupRun) -> None:
    assert found.outcomes.keys() == expected.outcomes.keys()
    for index, outcome in expected.outcomes.items():
        assert [e.epoch for e in found.epochs[index]] == list(range(1, EPOCHS + 1))
        assert (found.outcomes[index].state, outcome.state) == ("COMPLETE", "COMPLETE")
        assert found.values(index) == pytest.approx(expected.values(index), rel=1e-5, abs=1e-5)


Interrupt = Callable[[Group, Dataset], None]


def without(*names: str) -> Interrupt:
    """Interrupt in the third step, and delete these checkpoints."""

    def interrupt(group: Group, data: Dataset) -> None:
        run_group(group, data, steps=3)
        for name in names:
            path_of(name).unlink()

    return interrupt


class Killed(BaseException):
    """The process is killed."""


def between_saves(number: int) -> Interrupt:
    """Interrupt before the save with this number, counted from 1 over all members."""

    def interrupt(group: Group, data: Dataset) -> None:
        saves = 0
        save = CheckpointFile.save

        def counted(file: CheckpointFile, state: Checkpoint) -> None:
            nonlocal saves
            saves += 1
            if saves == number:
                raise Killed
            save(file, state)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CheckpointFile, "save", counted)
            with pytest.raises(Killed):
                run_group(group, data)

    return interrupt


@pytest.mark.parametrize(
    ("interrupt", "epochs"),
    [
        # The last save before the interruption is that of epoch 2.
        (without(), [(3, 3), (4, 3)]),
        (without("a"), [(1, 1), (2, 1), (3, 3), (4, 3)]),
        (without("c"), [(1, 1), (2, 1), (3, 3), (4, 3)]),
        (without("b", "c"), [(1, 2), (2, 2), (3, 3), (4, 3)]),
        (without(*NAMES), [(1, 3), (2, 3), (3, 3), (4, 3)]),
        (between_saves(2), [(1, 2), (2, 3), (3, 3), (4, 3)]),
        (between_saves(6), [(2, 1), (3, 3), (4, 3)]),
        (between_saves(11), [(4, 2)]),
    ],
)
def test_a_group_resumes_from_the_epochs_of_its_members(
    new_group: NewGroup,
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    epochs_of_programs: list[tuple[int, int]],
    interrupt: Interrupt,
    epochs: list[tuple[int, int]],
) -> None:
    group = new_group()
    interrupt(group, data)
    epochs_of_programs.clear()
    resumed = run_group(group, data)
    assert epochs_of_programs == epochs
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path / "another"))
    assert_alike(resumed, run_group(group, data))


def test_a_checkpoint_has_the_network_after_its_epochs(new_group: NewGroup, data: Dataset) -> None:
    """This is true for each member, although all of them are trained by one program."""
    run_group(new_group(), data, steps=3)
    for name in NAMES:
        content = io.BytesIO(path_of(name).read_bytes()[checkpoint.DIGEST_BYTES :])
        state = torch.load(content, weights_only=True)
        assert len(state["history"]) == 2
        assert state["optimizer"]["num_steps"] == 2 * math.ceil(len(data.train) / 8)


# Members that end, diverge or fail.


def test_a_member_that_ends_is_trained_no_further(
    new_group: NewGroup, data: Dataset, epochs_of_programs: list[tuple[int, int]]
) -> None:
    """The others are moved to a smaller program immediately, and change by rounding only."""
    pruned = run_group(new_group(), data, continues=lambda index, e: (index, e.epoch) != (1, 2))
    assert epochs_of_programs == [(1, 3), (2, 3), (3, 2), (4, 2)]
    assert (pruned.outcomes[1].state, pruned.outcomes[1].epochs) == ("PRUNED", 2)
    assert {outcome.together for outcome in pruned.outcomes.values()} == {3}
    whole = run_group(new_group(["d", "e", "f"]), data)
    for index in (0, 2):
        assert pruned.values(index) == pytest.approx(whole.values(index), rel=1e-5, abs=1e-5)
    assert pruned.epochs[1] != whole.epochs[1]
    assert len(whole.epochs[1]) == EPOCHS


def test_a_member_that_diverges_does_not_change_the_others(
    new_group: NewGroup, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even while it is in the program: on a GPU an ended member may stay in it."""
    monkeypatch.setattr(member, "CAPTURE_SECONDS", {"cpu": math.inf})
    wild = run_group(new_group(lrs=[1e6, 0.02, 0.01]), data)
    tame = run_group(new_group(["d", "e", "f"]), data)
    outcome = wild.outcomes[0]
    assert (outcome.state, outcome.diverged, outcome.epochs) == ("FAIL", True, 0)
    assert outcome.reason is not None
    assert outcome.reason.endswith("is not finite in epoch 1")
    for index in (1, 2):
        assert wild.values(index) == tame.values(index)


@pytest.mark.parametrize("ending", [ZeroDivisionError, SystemExit])
def test_an_error_in_the_shared_step_fails_all_members(
    new_group: NewGroup, data: Dataset, monkeypatch: pytest.MonkeyPatch, ending: type[BaseException]
) -> None:
    """Even a temporary error: after it the states of the networks are inconsistent."""
    fine = Program.train_epoch
    calls = 0

    def failing(program: Program, epoch: int) -> list[float]:
        nonlocal calls
        calls += 1
        losses = fine(program, epoch)
        if calls == 2:
            raise ending("it breaks\nwith details")
        return losses

    monkeypatch.setattr(Program, "train_epoch", failing)
    ended = run_group(new_group(), data)
    reasons = [(outcome.state, outcome.reason) for outcome in ended.outcomes.values()]
    assert reasons == [("FAIL", f"{ending.__name__}: it breaks")] * 3
    assert [outcome.epochs for outcome in ended.outcomes.values()] == [1] * 3
    assert calls == 2


MEMORY_ERRORS = [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError(CPU_MESSAGE)]


@pytest.mark.parametrize("error", [*MEMORY_ERRORS, MemoryError()])
@pytest.mark.parametrize(("number", "width"), [(2, 1), (3, 1), (5, 2)])
def test_a_group_that_is_too_wide_is_to_be_divided(
    new_group: NewGroup,
    data: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    number: int,
    width: int,
) -> None:
    monkeypatch.setattr(Program, "train_epoch", raising(error))
    with pytest.raises(TooWide) as found:
        run_group(new_group(range(number), [0.01] * number), data)
    assert found.value.width == width


@pytest.mark.parametrize("error", MEMORY_ERRORS)
def test_a_single_member_that_needs_too_much_memory_fails(
    new_group: NewGroup, data: Dataset, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """As on a GPU, where a single network is also a group."""
    monkeypatch.setattr(Program, "train_epoch", raising(error))
    monkeypatch.setattr(trainer, "_learners", as_group)
    [outcome] = run_group(new_group(["a"], [0.05]), data).outcomes.values()
    assert (outcome.state, outcome.reason) == ("FAIL", "out of memory at batch size 8")


def raising(error: BaseException) -> Callable[..., Any]:
    def raise_it(*_: object) -> None:
        raise error

    return raise_it


def as_group(trainings: Sequence[Training], data: Dataset) -> list[trainer.NewLearner]:
    together = member.Together([training.config for training in trainings], data)
    return [partial(member.Member, together, index) for index in range(len(trainings))]


# Checkpoints that do not match.


@pytest.mark.parametrize("part", ["model", "optimizer"])
def test_a_checkpoint_that_does_not_match_restarts_its_own_training_only(
    new_group: NewGroup,
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    epochs_of_programs: list[tuple[int, int]],
    part: str,
) -> None:
    group = new_group()
    save = CheckpointFile.save

    def spoilt(file: CheckpointFile, state: Checkpoint) -> None:
        wrong: dict[str, Any] = {"model": {}, "optimizer": {"states": {}, "num_steps": 14}}
        spoils = file.path.stem == "b"
        save(file, replace(state, **{part: wrong[part]}) if spoils else state)

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointFile, "save", spoilt)
        run_group(group, data, steps=3)
    epochs_of_programs.clear()
    resumed = run_group(group, data)
    assert epochs_of_programs == [(1, 1), (2, 1), (3, 3), (4, 3)]
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path / "another"))
    assert_alike(resumed, run_group(group, data))


# Trainings with a state beside network and optimizer.

KEPT = {
    "losses with a memory": ("ema = 0.8", "elr = {}\nldam = { reweight_from = 0.5 }"),
    "mixed labels": (
        'ema = 0.8\naugment = { type = "cutmix", probability = 1.0, base = "crop_flip" }',
        "cross_entropy = {}\nmse = {}",
    ),
}


@pytest.fixture
def kept_group(images: Path, data: Dataset, tmp_path: Path) -> Callable[..., Group]:
    def make(case: str, chosen: Sequence[int]) -> Group:
        top, losses = KEPT[case]
        tiny_one = tiny.experiment(
            images,
            epochs=str(EPOCHS),
            top=top,
            losses=losses,
            optimizers="sgd = { momentum = 0.9, clip = 1.0, lr = 0.05 }",
        )
        configs = [tiny_one.trial(c, {"batch_size": 8}, 0) for c in tiny_one.combinations()]
        trainings = tuple(
            Training(name=NAMES[i], config=configs[i], checkpoint=NAMES[i], test=True)
            for i in chosen
        )
        return Group(trainings=trainings, data_path=data.path, folder=tmp_path)

    return make


@pytest.mark.parametrize("case", KEPT)
@pytest.mark.parametrize("chosen", [(0,), (0, 1)], ids=["alone", "group"])
def test_what_a_training_keeps_survives_an_interruption(
    kept_group: NewGroup,
    data: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    chosen: Sequence[int],
) -> None:
    group = kept_group(case, chosen)
    run_group(group, data, steps=3)
    resumed = run_group(group, data)
    monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path / "another"))
    whole = run_group(group, data)
    assert [resumed.values(i) for i in chosen] == [whole.values(i) for i in chosen]


@pytest.mark.parametrize("case", KEPT)
def test_what_a_training_keeps_is_the_same_in_a_group(
    kept_group: NewGroup, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    together = run_group(kept_group(case, (0, 1)), data)
    for index in (0, 1):
        monkeypatch.setenv("CIFAR_EXP_CACHE", str(tmp_path / str(index)))
        alone = run_group(kept_group(case, (index,)), data)
        outcome = together.outcomes[index]
        assert outcome.tested_ema is not None
        assert outcome.metrics().keys() >= {"test_accuracy", "test_ema_accuracy"}
        assert together.values(index) == pytest.approx(alone.values(0), rel=1e-4, abs=1e-4)


# Networks that cannot be stacked.


def test_networks_that_cannot_be_stacked_are_trained_in_turn(
    new_group: NewGroup, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "is_stackable", lambda *_: False)
    by_turns = run_group(new_group(), data)
    assert {outcome.together for outcome in by_turns.outcomes.values()} == {1}
    for index, training in enumerate(new_group(["d", "e", "f"]).trainings):
        alone = run_group(Group(trainings=(training,), data_path=data.path, folder=tmp_path), data)
        assert by_turns.values(index) == alone.values(0)

"""The recorder with simulated trainers, so that each of their faults is tested."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cifar_exp.study import Tuning
from cifar_exp.sweep.events import Event
from cifar_exp.sweep.executors import Begun, Death, Message
from cifar_exp.sweep.recording import recorder
from cifar_exp.sweep.recording.recorder import Recorder, TrainerError
from cifar_exp.sweep.recording.writer import Attempt, Begin, DropModel, End, Entry, Epoch
from cifar_exp.sweep.schedule.model_retention import MODEL_RETENTION
from cifar_exp.sweep.schedule.scheduler import Scheduler
from cifar_exp.sweep.schedule.task import Key, Task
from cifar_exp.training.loop import EpochMetrics
from cifar_exp.training.messages import Group, Outcome, Step, TooWide
from tests import tiny
from tests.sweep.works import replication_of

SEARCH = 'trials = 2\nsampler = "random"\npruner = "none"\nbatch_size = [8]'
NUM_IMAGES = 54


def epoch(number: int, accuracy: float = 0.5) -> EpochMetrics:
    return EpochMetrics(
        epoch=number,
        train_loss=1.0,
        val=tiny.scores(accuracy=accuracy),
        seconds=2.0,
        images_per_second=10.0,
    )


def steps_of(*epochs: int, accuracy: float = 0.5) -> list[Message]:
    """Return the messages of a trainer that trains these epochs and completes."""
    steps: list[Message] = [Step(epochs={0: epoch(n, accuracy)}, outcomes={}) for n in epochs]
    outcome = Outcome(state="COMPLETE", epochs=2, val_accuracy=accuracy, seconds=4.0)
    return [Begun(), *steps, Step(epochs={}, outcomes={0: outcome})]


def steps_of_group(
    num_trainings: int, *, last: Mapping[int, Outcome] | None = None
) -> list[Message]:
    """Return the messages of a group's trainer; `last` has the outcomes of those that end early."""
    early = last or {}
    steps: list[Message] = [Begun()]
    running = list(range(num_trainings))
    for number in (1, 2):
        ended = {n: outcome for n, outcome in early.items() if outcome.epochs == number - 1}
        running = [n for n in running if n not in ended]
        steps.append(Step(epochs={n: epoch(number) for n in running}, outcomes=ended))
    outcome = Outcome(state="COMPLETE", epochs=2, val_accuracy=0.5, seconds=4.0)
    return [*steps, Step(epochs={}, outcomes=dict.fromkeys(running, outcome))]


MessagesOf = Callable[[list[str]], list[Message]]
"""Returns the messages of the trainer of a group, given the names of its trainings."""


@dataclass(eq=False)
class FakeTrainer:
    messages: list[Message]
    answers: list[Mapping[int, bool]] = field(default_factory=list)
    killed: bool = False

    def go_on(self, answers: Mapping[int, bool]) -> None:
        self.answers.append(answers)

    def kill(self) -> None:
        self.killed = True
        self.messages = [Death("signal 9")]


def by_script(script: Mapping[str, list[list[Message]]]) -> MessagesOf:
    """Return the messages of a script, which has those of each group for each attempt."""
    left = {name: list(attempts) for name, attempts in script.items()}

    def messages_of(names: list[str]) -> list[Message]:
        attempts = left.get(" & ".join(names))
        return list(attempts.pop(0)) if attempts else steps_of_group(len(names))

    return messages_of


class FakeExecutor:
    """Provides trainers with predefined messages."""

    def __init__(self, messages_of: MessagesOf, most: int = 1) -> None:
        self.messages_of = messages_of
        self.most = most
        self.begun: list[str] = []
        self.trainers: list[FakeTrainer] = []
        self.busy: list[FakeTrainer] = []

    @property
    def num_free(self) -> int:
        return self.most - len(self.busy)

    def begin(self, group: Group) -> FakeTrainer:
        names = [training.name for training in group.trainings]
        self.begun.append(" & ".join(names))
        trainer = FakeTrainer(self.messages_of(names))
        self.trainers.append(trainer)
        self.busy.append(trainer)
        return trainer

    def messages(self, seconds: float | None) -> Iterator[tuple[FakeTrainer, Message]]:
        ready = [trainer for trainer in self.busy if trainer.messages]
        if not ready:
            assert seconds is not None, "no message will ever arrive"
            time.sleep(seconds)
        for trainer in ready:
            message = trainer.messages.pop(0)
            last = isinstance(message, Step) and not message.epochs
            if last or isinstance(message, (Death, Exception)):
                self.busy.remove(trainer)
            yield trainer, message


class FakeWriter:
    """Stores the entries to be written."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def put(self, entry: Entry) -> None:
        self.entries.append(entry)

    def epoch(self, task: Task, metrics: EpochMetrics) -> None:
        self.put(Epoch(key=task.key, timestamp=0, metrics=metrics))

    def check(self) -> None:
        """Report no error."""

    def close(self) -> None:
        """Do nothing."""

    def of(self, kind: type[Entry]) -> list[Entry]:
        return [entry for entry in self.entries if isinstance(entry, kind)]


@dataclass
class Recorded:
    executor: FakeExecutor
    writer: FakeWriter
    events: list[Event]

    def attempts(self) -> dict[str, list[int]]:
        """The attempt numbers of each training, without the first one."""
        found: dict[str, list[int]] = {}
        for entry in self.writer.entries:
            if isinstance(entry, Attempt):
                name = f"{entry.key[0]} #{entry.key[2]}"
                found.setdefault(name, []).append(entry.number)
        return found

    def kinds_of(self, number: int) -> list[type]:
        """The entries of a trial, in order."""
        key = ("mse+sgd", "trial", number)
        return [type(e) for e in self.writer.entries if _key_of(e) == key]

    def states(self) -> dict[str, str]:
        return {name: outcome.state for name, outcome in self.ends().items()}

    def ends(self) -> dict[str, Outcome]:
        return {e.task.name: e.outcome for e in self.writer.entries if isinstance(e, End)}


def _key_of(entry: Entry) -> Key:
    return entry.task.key if isinstance(entry, (Begin, End)) else entry.key


Record = Callable[..., Recorded]


@pytest.fixture
def record(images: Path, tmp_path: Path) -> Record:
    def run(
        script: Mapping[str, list[list[Message]]] | MessagesOf,
        *,
        most: int = 1,
        width: int = 1,
        time_limit: float | None = None,
        keep_models: str = "all",
        **changes: str,
    ) -> Recorded:
        changes = {"losses": "mse = {}", "seeds": "1", "search": SEARCH, **changes}
        experiment = tiny.experiment(images, **changes)
        replication = replication_of(experiment)
        messages_of = script if callable(script) else by_script(script)
        recorded = Recorded(FakeExecutor(messages_of, most), FakeWriter(), [])
        names = [work.combination.name for work in replication.works]
        Recorder(
            scheduler=Scheduler(replication, NUM_IMAGES, width),
            executor=recorded.executor,
            writer=recorded.writer,  # type: ignore[arg-type]
            retention={name: MODEL_RETENTION[keep_models]() for name in names},
            watch=recorded.events.append,  # type: ignore[arg-type]
            new_group=lambda tasks: Group(
                trainings=tuple(task.training("store") for task in tasks),
                data_path=tmp_path,
                folder=tmp_path,
            ),
            time_limit=time_limit,
        ).run()
        return recorded

    return run


def test_everything_is_written_once_and_in_order(record: Record) -> None:
    recorded = record({})
    assert recorded.executor.begun == ["mse+sgd #0", "mse+sgd #1", "mse+sgd seed 1"]
    kinds = [type(entry) for entry in recorded.writer.entries]
    assert kinds == [Begin, Epoch, Epoch, End] * 3
    assert [trainer.answers for trainer in recorded.executor.trainers] == [[{0: True}] * 2] * 3
    spoken = [(e.training, e.epoch, e.state) for e in recorded.events]
    assert spoken[:4] == [
        ("trial 0", 0, None),
        ("trial 0", 1, None),
        ("trial 0", 2, None),
        ("trial 0", 2, "COMPLETE"),
    ]


def test_the_setting_of_the_best_trial_is_confirmed(record: Record) -> None:
    script = {
        "mse+sgd #0": [steps_of(1, 2, accuracy=0.4)],
        "mse+sgd #1": [steps_of(1, 2, accuracy=0.6)],
    }
    recorded = record(script)
    tasks = {e.task.name: e.task for e in recorded.writer.of(Begin)}  # type: ignore[union-attr]
    confirmation = tasks["mse+sgd seed 1"]
    best = tasks["mse+sgd #1"].config
    assert confirmation.confirms == 1
    assert confirmation.config == best.model_copy(update={"seed": 1})
    assert confirmation.training("store").test
    assert not tasks["mse+sgd #1"].training("store").test


def test_epochs_reported_again_after_a_death_are_written_once(record: Record) -> None:
    dying = [[*steps_of(1, 2)[:2], Death("signal 9")], steps_of(1, 2)]
    recorded = record({"mse+sgd #0": dying})
    first = recorded.writer.entries[:6]
    assert [type(entry) for entry in first] == [Begin, Epoch, Attempt, Epoch, End, Begin]
    assert first[2] == Attempt(key=("mse+sgd", "trial", 0), number=2)
    epochs = [e.metrics.epoch for e in first if isinstance(e, Epoch)]
    assert epochs == [1, 2]
    assert recorded.ends()["mse+sgd #0"].state == "COMPLETE"


def test_a_training_that_crashes_three_times_fails_and_its_time_counts(record: Record) -> None:
    dying: list[Message] = [Begun(), *steps_of(1)[1:2], Death("exit code 7")]
    recorded = record({"mse+sgd #0": [dying] * 3})
    assert recorded.executor.begun[:4] == ["mse+sgd #0"] * 3 + ["mse+sgd #1"]
    outcome = recorded.ends()["mse+sgd #0"]
    assert (outcome.state, outcome.reason) == ("FAIL", "crashed 3 times (last: exit code 7)")
    assert (outcome.epochs, outcome.seconds) == (1, 2.0)
    numbers = [entry.number for entry in recorded.writer.entries if isinstance(entry, Attempt)]
    assert numbers == [2, 3]


def test_trainers_that_die_before_they_can_train_end_the_sweep(record: Record) -> None:
    with pytest.raises(TrainerError, match="signal 9"):
        record({"mse+sgd #0": [[Death("signal 9")]] * 3})


def test_a_trainer_that_dies_before_training_does_not_count_as_an_attempt(record: Record) -> None:
    """Two deaths each; in sequence, without training in between, they would end the sweep."""
    names = ["mse+sgd #0", "mse+sgd #1"]
    late = [[Death("signal 9")], [Death("signal 9")], steps_of(1, 2)]
    recorded = record(dict.fromkeys(names, late))
    assert recorded.writer.of(Attempt) == []
    assert [recorded.ends()[name].state for name in names] == ["COMPLETE"] * 2


def test_a_training_that_takes_too_long_has_failed(record: Record) -> None:
    recorded = record({"mse+sgd #0": [steps_of(1)[:2]]}, time_limit=0.05)
    assert recorded.executor.trainers[0].killed
    outcome = recorded.ends()["mse+sgd #0"]
    assert (outcome.state, outcome.reason) == ("FAIL", "took longer than the limit of 0.05 s")
    assert (outcome.epochs, outcome.seconds) == (1, 2.0)
    assert recorded.ends()["mse+sgd #1"].state == "COMPLETE"


def test_an_error_of_the_machine_ends_the_sweep(record: Record) -> None:
    with pytest.raises(OSError, match="no space left"):
        record({"mse+sgd #1": [[Begun(), OSError("no space left")]]})


@pytest.mark.parametrize(
    ("accuracies", "stored", "dropped"),
    [
        ((0.4, 0.6, 0.5), [True, True, False], [0]),
        ((0.6, 0.6, 0.7), [True, False, True], [0]),
        ((0.6, 0.5, 0.4), [True, False, False], []),
    ],
)
def test_only_the_best_model_is_kept_with_keep_models_best(
    record: Record, accuracies: tuple[float, ...], stored: list[bool], dropped: list[int]
) -> None:
    script = {f"mse+sgd #{n}": [steps_of(1, 2, accuracy=a)] for n, a in enumerate(accuracies)}
    search = SEARCH.replace("trials = 2", "trials = 3")
    recorded = record(script, search=search, keep_models="best")
    ends = [entry for entry in recorded.writer.entries if isinstance(entry, End)]
    assert [entry.keep_model for entry in ends] == [*stored, True]  # also that of a confirmation
    drops = [entry.key for entry in recorded.writer.entries if isinstance(entry, DropModel)]
    assert drops == [("mse+sgd", "trial", number) for number in dropped]


def test_no_trainer_is_idle_while_a_training_is_ready(record: Record) -> None:
    """Independent trials run in parallel, also within one combination."""
    search = SEARCH.replace("trials = 2", "trials = 4")
    recorded = record({}, search=search, most=3)
    assert recorded.executor.begun[:3] == ["mse+sgd #0", "mse+sgd #1", "mse+sgd #2"]
    begins = [type(entry) for entry in recorded.writer.entries[:3]]
    assert begins == [Begin] * 3


def test_a_trial_waits_for_the_block_before_it(record: Record) -> None:
    search = SEARCH.replace("random", "tpe").replace("trials = 2", "trials = 4") + "\nat_once = 2"
    recorded = record({}, search=search, most=4)
    names = [
        (type(e), e.task.number)
        for e in recorded.writer.entries
        if isinstance(e, (Begin, End)) and e.task.kind == "trial"
    ]
    assert sorted(names[:2], key=str) == [(Begin, 0), (Begin, 1)]
    assert {kind for kind, _ in names[2:4]} == {End}
    assert sorted(number for _, number in names[4:6]) == [2, 3]


# Groups.

FOUR = SEARCH.replace("trials = 2", "trials = 4")
TRIALS = [f"mse+sgd #{number}" for number in range(4)]
ALL = " & ".join(TRIALS)


def dying_with(poison: str) -> MessagesOf:
    """Return the messages of a trainer that dies after epoch 1 of any group with this training."""

    def messages_of(names: list[str]) -> list[Message]:
        whole = steps_of_group(len(names))
        return [*whole[:2], Death("signal 9")] if poison in names else whole

    return messages_of


def test_the_members_of_a_group_end_at_different_epochs(record: Record) -> None:
    diverged = Outcome(state="FAIL", epochs=0, reason="not finite in epoch 1", diverged=True)
    stopped = Outcome(state="PRUNED", epochs=1, val_accuracy=0.5)
    script = {ALL: [steps_of_group(4, last={1: diverged, 2: stopped})]}
    recorded = record(script, search=FOUR, width=8)
    assert recorded.executor.begun == [ALL, "mse+sgd seed 1"]
    assert [sorted(a) for a in recorded.executor.trainers[0].answers] == [[0, 2, 3], [0, 3]]
    numbers = [[Begin, Epoch, Epoch, End], [Begin, End], [Begin, Epoch, End]]
    assert [recorded.kinds_of(number) for number in range(3)] == numbers
    states = ["COMPLETE", "FAIL", "PRUNED", "COMPLETE"]
    assert [recorded.states()[name] for name in TRIALS] == states
    starts = [(e.training, e.group, e.together) for e in recorded.events if e.group]
    assert starts[:4] == [(f"trial {n}", "mse+sgd #0", 4) for n in range(4)]


def test_a_training_that_crashes_its_group_fails_alone(record: Record) -> None:
    recorded = record(dying_with("mse+sgd #1"), search=FOUR, width=8)
    assert recorded.executor.begun == [ALL, ALL, *TRIALS, "mse+sgd seed 1"]
    assert recorded.attempts() == {name: [2, 3] for name in TRIALS}
    states = {name: "FAIL" if name == "mse+sgd #1" else "COMPLETE" for name in TRIALS}
    assert recorded.states() == {**states, "mse+sgd seed 1": "COMPLETE"}
    outcome = recorded.ends()["mse+sgd #1"]
    assert outcome.reason == "crashed 3 times (last: signal 9)"
    assert (outcome.epochs, outcome.seconds) == (1, 2.0)
    for number in (0, 2, 3):  # the first epoch, which was reported three times, is written once
        assert recorded.kinds_of(number) == [Begin, Epoch, Attempt, Attempt, Epoch, End]


def test_a_training_retried_alone_is_in_no_later_group(record: Record) -> None:
    """Four of six trainings begin together; the others join those with an attempt left."""
    six = SEARCH.replace("trials = 2", "trials = 6")
    recorded = record(dying_with("mse+sgd #0"), search=six, width=4)
    begun = [group.split(" & ") for group in recorded.executor.begun]
    last = max(n for n, group in enumerate(begun) if "mse+sgd #0" in group)
    assert begun[last] == ["mse+sgd #0"]
    assert sum("mse+sgd #0" in group for group in begun) == 3
    failed = [name for name, state in recorded.states().items() if state == "FAIL"]
    assert failed == ["mse+sgd #0"]


def test_a_training_that_has_ended_is_not_retried_with_its_group(record: Record) -> None:
    diverged = Outcome(state="FAIL", epochs=0, reason="not finite", diverged=True)
    steps = steps_of_group(4, last={0: diverged})[:2]
    recorded = record({ALL: [[*steps, Death("signal 9")]]}, search=FOUR, width=8)
    assert recorded.executor.begun[:2] == [ALL, " & ".join(TRIALS[1:])]
    assert recorded.attempts() == {name: [2] for name in TRIALS[1:]}
    assert recorded.kinds_of(0) == [Begin, End]


def test_a_pruned_trial_stays_pruned_if_its_trainer_dies(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outcome is reported after the next epoch of the others, but their trainer dies before."""

    def prune(tuning: Tuning, number: int, epoch: int, accuracy: float) -> bool:
        del tuning, accuracy
        return (number, epoch) == (1, 1)

    monkeypatch.setattr(Tuning, "is_to_be_pruned", prune)
    first = [*steps_of_group(4)[:2], Death("signal 9")]
    recorded = record({ALL: [first]}, search=FOUR, width=8)
    expected = {0: True, 1: False, 2: True, 3: True}
    again = [trainer.answers[0] for trainer in recorded.executor.trainers[:2]]
    assert again == [expected, expected]


def test_a_group_that_is_too_wide_is_divided_without_counting_an_attempt(record: Record) -> None:
    script: dict[str, list[list[Message]]] = {
        ALL: [[Begun(), TooWide(2)]],
        " & ".join(TRIALS[:2]): [[*steps_of_group(2)[:2], TooWide(1)]],
    }
    recorded = record(script, search=FOUR, width=8)
    assert recorded.executor.begun == [ALL, " & ".join(TRIALS[:2]), *TRIALS, "mse+sgd seed 1"]
    assert recorded.attempts() == {}
    assert set(recorded.states().values()) == {"COMPLETE"}
    for number in range(4):
        assert recorded.kinds_of(number) == [Begin, Epoch, Epoch, End]


def test_the_time_limit_ends_the_running_trainings_of_a_group(record: Record) -> None:
    diverged = Outcome(state="FAIL", epochs=0, reason="not finite", diverged=True)
    hanging = steps_of_group(4, last={3: diverged})[:2]
    recorded = record({ALL: [hanging]}, search=FOUR, width=8, time_limit=0.05)
    assert recorded.executor.begun == [ALL]  # no trial has a result to confirm
    assert recorded.executor.trainers[0].killed
    reasons = [recorded.ends()[name].reason for name in TRIALS]
    assert reasons == [*["took longer than the limit of 0.05 s"] * 3, "not finite"]
    assert [recorded.ends()[name].epochs for name in TRIALS] == [1, 1, 1, 0]
    assert recorded.attempts() == {}


def test_the_maximum_of_attempts_is_three() -> None:
    assert recorder.MAX_ATTEMPTS == 3

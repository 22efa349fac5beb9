from __future__ import annotations

import heapq
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifar_exp.components.datasets import Dataset
from cifar_exp.components.validation import DefinitionError
from cifar_exp.sweep.disk_space import BYTES_PER_MODEL, BYTES_PER_PREDICTION, BYTES_PER_RUN
from cifar_exp.sweep.plan import groups, plan
from cifar_exp.sweep.plan import speed as measuring
from cifar_exp.sweep.plan.groups import Round, round_of
from cifar_exp.sweep.plan.makespan import Block, makespan
from cifar_exp.sweep.plan.speed import Speed
from cifar_exp.training import evaluation, loop
from tests import tiny

Seconds = st.floats(0.1, 100)


def chain(tuning: float, confirming: float, seeds: int) -> list[Block]:
    """Return dependent trials, and confirmations that run in parallel after them."""
    return [Block(1, tuning / 2), Block(1, tuning / 2), Block(seeds, confirming)]


@pytest.mark.parametrize(
    ("chains", "workers", "expected"),
    [
        ([chain(10, 1, 3)], 1, 13.0),
        ([chain(10, 1, 3)], 4, 11.0),  # confirmations in parallel, but after the tuning
        ([chain(10, 1, 2)] * 2, 1, 24.0),
        ([chain(10, 2, 2), chain(4, 1, 2)], 2, 12.0),  # seeds of the second in parallel
        ([[Block(8, 3.0)]], 1, 24.0),  # independent trials
        ([[Block(8, 3.0)]], 2, 12.0),
        ([[Block(8, 3.0)]], 3, 9.0),
        ([[Block(2, 3.0), Block(2, 3.0)]], 3, 6.0),  # in blocks of two, the third worker is idle
        ([[Block(1, 1.0)], [Block(1, 5.0)], [Block(1, 4.0)]], 2, 5.0),  # the longest first
    ],
)
def test_the_makespan_by_hand(chains: list[list[Block]], workers: int, expected: float) -> None:
    assert makespan(chains, workers) == pytest.approx(expected)


@given(st.lists(st.tuples(Seconds, Seconds), min_size=1, max_size=8), st.integers(1, 5))
def test_one_worker_takes_the_sum_and_many_take_between_the_longest_and_the_sum(
    combinations: list[tuple[float, float]], workers: int
) -> None:
    chains = [chain(tuning, confirming, 2) for tuning, confirming in combinations]
    whole = sum(tuning + 2 * confirming for tuning, confirming in combinations)
    longest = max(tuning + confirming for tuning, confirming in combinations)
    assert makespan(chains, 1) == pytest.approx(whole)
    taken = makespan(chains, workers)
    assert max(longest, whole / workers) <= taken * (1 + 1e-9)
    assert taken <= whole * (1 + 1e-9)


def one_by_one(chains: list[list[Block]], workers: int) -> float:
    """Simulate every training, and sum the remaining work each time."""
    left = [[block for blocks in chain for block in [blocks] * blocks.repeats] for chain in chains]
    ready, ends, started = ([0.0] * len(left), [0.0] * len(left), [0] * len(left))
    free = [0.0] * workers
    while unfinished := [index for index, blocks in enumerate(left) if blocks]:
        now = max(heapq.heappop(free), min(ready[index] for index in unfinished))
        chosen = max(
            (index for index in unfinished if ready[index] <= now),
            key=lambda index: sum(block.seconds for block in left[index]),
        )
        block = left[chosen][0]
        heapq.heappush(free, now + block.seconds)
        ends[chosen] = max(ends[chosen], now + block.seconds)
        started[chosen] += 1
        if started[chosen] == block.number:
            left[chosen].pop(0)
            ready[chosen], started[chosen] = ends[chosen], 0
    return max(free)


Quarters = st.integers(1, 20).map(lambda number: number / 4)  # their sums are exact
Blocks = st.builds(Block, st.integers(1, 6), Quarters, st.integers(1, 6))
Chains = st.lists(st.lists(Blocks, min_size=1, max_size=4), min_size=1, max_size=6)


@given(Chains, st.integers(1, 8))
def test_the_makespan_equals_that_of_a_simulation_of_every_training(
    chains: list[list[Block]], workers: int
) -> None:
    assert makespan(chains, workers) == one_by_one(chains, workers)


@given(Chains, st.integers(1, 8), st.integers(1, 40))
def test_merged_trainings_take_as_long_in_total(
    chains: list[list[Block]], workers: int, limit: int
) -> None:
    """With one worker the sum of all; with a worker for each, the longest chain."""
    many = sum(block.number for chain in chains for block in chain)
    everything = sum(b.number * b.seconds * b.repeats for chain in chains for b in chain)
    longest = max(sum(b.seconds * b.repeats for b in chain) for chain in chains)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cifar_exp.sweep.plan.makespan.MAX_SIMULATED", limit)
        assert makespan(chains, 1) == pytest.approx(everything)
        assert makespan(chains, many) == pytest.approx(longest)
        assert makespan(chains, workers) >= max(longest, everything / workers) * (1 - 1e-9)


@pytest.mark.parametrize("at_once", [1, 3, 100, 1_000_000])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_million_trials_of_each_combination_are_estimated_quickly(
    at_once: int, workers: int
) -> None:
    trials = 1_000_000
    seconds = [1.0 + number / 10 for number in range(35)]
    chains = [[Block(at_once, s, trials // at_once), Block(5, 1.1 * s)] for s in seconds]
    everything = sum(b.number * b.seconds * b.repeats for chain in chains for b in chain)
    started = time.perf_counter()
    assert makespan(chains, workers) == pytest.approx(everything / workers, rel=0.01)
    assert time.perf_counter() - started < 2  # simulated one by one, it would take hours


@pytest.fixture
def speed(monkeypatch: pytest.MonkeyPatch) -> Speed:
    """1 s per step at batch size 8, 2 s at 16; adam takes a quarter more; nothing else counts."""
    speed = Speed(
        started=time.time(),
        step_seconds={8: 1.0, 16: 2.0},
        optimizer_seconds={"sgd": 0.0, "adam": 0.25},
        evaluation_seconds=0.1,
    )
    monkeypatch.setattr(measuring, "_measure", lambda *_: speed)
    monkeypatch.setattr(plan, "SECONDS_PER_RUN", 0.5)
    monkeypatch.setattr(plan, "SECONDS_PER_SWEEP", 0.0)
    return speed


@pytest.mark.usefixtures("speed")
def test_the_estimate_by_hand(images: Path, data: Dataset) -> None:
    optimizers = "sgd = { lr = 0.1 }\nadam = { lr = { low = 0.001, high = 0.1 } }"
    experiment = tiny.experiment(images, losses="mse = {}", optimizers=optimizers)
    num_train, num_val, num_test = len(data.train), len(data.val), len(data.test)
    steps = {8: -(-num_train // 8), 16: -(-num_train // 16)}
    training_seconds = [
        2 * ((steps[8] * (1 + added) + steps[16] * (2 + added)) / 2 + 0.1 * num_val) + 0.5
        for added in (0, 0.25)
    ]
    by_hand = 4 * training_seconds[0] + 5 * training_seconds[1]  # sgd has two settings
    expected = by_hand + 2 * 2 * 0.1 * num_test
    planned = plan.measure(experiment, data, workers=1, threads=1)
    assert planned.least.seconds == pytest.approx(expected, abs=0.5)
    assert planned.images_per_second == {8: 8.0, 16: 8.0}
    assert (planned.combinations, planned.least.trials, planned.least.confirmations) == (2, 5, 4)
    assert planned.least.epochs == 18
    # a network on 3 x 8 x 8; after three poolings 64 x 1 x 1; three classes
    convolutions = 32 * (3 * 25 + 1) + 32 * (32 * 25 + 1) + 64 * (32 * 25 + 1)
    weights = convolutions + 64 * (64 + 1) + 3 * (64 + 1)
    models = (5 + 4) * (4 * weights + BYTES_PER_MODEL)
    predictions = 4 * 30 * BYTES_PER_PREDICTION
    assert planned.least.disk_bytes == models + predictions + (5 + 4) * BYTES_PER_RUN


@pytest.mark.usefixtures("speed")
@pytest.mark.parametrize(
    ("studies", "seeds", "most", "trials", "confirmations"),
    [
        (3, "2", None, (9, 9), (6, 6)),
        (3, '2\nuntil = "decided"', 7, (9, 21), (6, 14)),  # 7 studies of 3 trials and 2 seeds
        (1, '2\nuntil = "decided"', 7, (3, 3), (2, 7)),  # one study with 7 seeds
        (1, '2\nuntil = "decided"', 2, (3, 3), (2, 2)),
    ],
)
def test_the_fewest_and_the_most_replicates_by_hand(
    images: Path,
    data: Dataset,
    studies: int,
    seeds: str,
    most: int | None,
    trials: tuple[int, int],
    confirmations: tuple[int, int],
) -> None:
    """With one worker, all costs are proportional to the number of trainings."""
    search = f'trials = 3\nstudies = {studies}\nsampler = "random"\npruner = "none"'
    confirm = seeds if most is None else f"{seeds}\nmost = {most}"
    experiment = tiny.experiment(
        images, search=f"{search}\nbatch_size = [8, 16]", seeds=confirm, losses="mse = {}"
    )
    planned = plan.measure(experiment, data, workers=1, threads=1)
    costs = (planned.least, planned.most)
    assert tuple(cost.trials for cost in costs) == trials
    assert tuple(cost.confirmations for cost in costs) == confirmations
    steps = (-(-len(data.train) // 8) * 1.0 + -(-len(data.train) // 16) * 2.0) / 2
    one = 2 * (steps + 0.1 * len(data.val)) + 0.5
    for cost in costs:
        assert cost.epochs == 2 * (cost.trials + cost.confirmations)
        tested = cost.confirmations * 0.1 * len(data.test)
        seconds = (cost.trials + cost.confirmations) * one + tested
        assert cost.seconds == pytest.approx(seconds, abs=0.5)
    extra = tuple(b - a for a, b in (trials, confirmations))
    grown = planned.most.disk_bytes - planned.least.disk_bytes
    smallest = sum(extra) * (BYTES_PER_MODEL + BYTES_PER_RUN) + extra[1] * 30 * BYTES_PER_PREDICTION
    assert grown >= smallest
    assert (grown == 0) == (sum(extra) == 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_worker_measures(images: Path, data: Dataset, workers: int) -> None:
    experiment = tiny.experiment(images)
    before = time.time()
    speeds = measuring.measure_in_parallel(experiment, data, workers, threads=1)
    assert len({speed.started for speed in speeds}) == workers
    for speed in speeds:
        assert before < speed.started < time.time()
        assert set(speed.step_seconds) == {8, 16}
        assert speed.optimizer_seconds == {"sgd": 0.0}


def test_the_measured_pairs_by_hand(
    images: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each optimizer with the smallest batch size, and the first one with each batch size."""
    taken = {("sgd", 8): 1.0, ("adam", 8): 1.25, ("sgd", 16): 1.75}
    monkeypatch.setattr(measuring, "_step_seconds", lambda c, _: taken[c.optimizer, c.batch_size])
    monkeypatch.setattr(measuring, "_evaluation_seconds", lambda *_: 0.1)
    optimizers = "sgd = { lr = 0.1 }\nadam = { lr = 0.1 }"
    speed = measuring._measure(tiny.experiment(images, optimizers=optimizers), data)
    assert speed.step_seconds == {8: 1.0, 16: 1.75}
    assert speed.optimizer_seconds == {"sgd": 0.0, "adam": 0.25}
    assert speed.evaluation_seconds == 0.1


@pytest.mark.parametrize(("num_steps", "num_images"), [(3, 24), (50, 54)])
def test_a_step_is_measured_on_a_full_batch(
    images: Path,
    data: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    num_steps: int,
    num_images: int,
) -> None:
    """At 400 images per second, a batch of 8 takes 0.02 s."""
    given: list[int] = []

    def train(_: object, __: object, few: Dataset) -> list[SimpleNamespace]:
        given.append(len(few.train))
        return [SimpleNamespace(images_per_second=400.0)]

    monkeypatch.setattr(loop, "train", train)
    assert measuring._steps(tiny.trial_config(images, batch_size=8), data, num_steps) == 0.02
    assert given == [num_images]


def test_a_training_that_diverges_at_once_is_named(
    images: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*_: object) -> None:
        raise evaluation.Diverged(evaluation.LOSS_NOT_FINITE)

    monkeypatch.setattr(loop, "train", diverge)
    with pytest.raises(DefinitionError, match=r"sgd at lr 0.05, batch size 8: the training loss"):
        measuring._steps(tiny.trial_config(images, batch_size=8), data, 1)


def test_slow_steps_are_measured_once(
    images: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def slow(config: object, few: Dataset, num_steps: int) -> float:  # noqa: ARG001
        taken.append(num_steps)
        return 3.0

    monkeypatch.setattr(measuring, "_steps", slow)
    plan.measure(tiny.experiment(images), data, workers=1, threads=1)
    assert set(taken) == {1}


@pytest.mark.parametrize(
    ("num_trainings", "num_batch_sizes", "width", "expected"),
    [
        (12, 1, 64, Round(1, 12)),
        (1, 4, 64, Round(1, 1)),
        (2, 2, 64, Round(1.5, 1)),  # two batch sizes in half of the cases
        (1000, 4, 64, Round(15.625, 64)),
        (1000, 4, 1000, Round(4, 250)),
        (12, 1, 5, Round(2.4, 5)),
    ],
)
def test_the_expected_groups_of_a_round(
    num_trainings: int, num_batch_sizes: int, width: int, expected: Round
) -> None:
    found = round_of(num_trainings, num_batch_sizes, width)
    assert found.num_groups == pytest.approx(expected.num_groups)
    assert found.together == expected.together


def test_the_estimate_of_groups_by_hand(
    images: Path, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four combinations, two sequential trials, then two seeds; two batch sizes."""
    taken = {8: groups.Speed(1.0, 0.1), 16: groups.Speed(3.0, 0.1)}
    measured: list[tuple[int, int]] = []

    def measure(_: object, __: object, size: int, together: int) -> groups.Speed:
        measured.append((size, together))
        return taken[size]

    monkeypatch.setattr(groups, "measure_group", measure)
    monkeypatch.setattr(plan, "SECONDS_PER_SWEEP", 0.0)
    search = 'trials = 3\nsampler = "tpe"\npruner = "none"\nbatch_size = [8, 16]'
    optimizers = "sgd = { lr = 0.1 }\nadam = { lr = 0.1 }"
    experiment = tiny.experiment(images, search=search, optimizers=optimizers)
    planned = plan.measure(experiment, data, workers=1, threads=1, width=64)
    num_groups = 2 * (1 - 0.5**4)  # the mean for four trainings and two batch sizes
    epoch = (-(-len(data.train) // 8) * 1.0 + -(-len(data.train) // 16) * 3.0) / 2
    epoch += 0.1 * len(data.val)
    assert planned.least.seconds == pytest.approx((2 + 2) * num_groups * 2 * epoch)
    assert planned.together == 2
    assert planned.images_per_second == {8: 16.0, 16: pytest.approx(32 / 3)}
    assert sorted(measured) == [(8, 2), (16, 2)]
    by_two = plan.measure(experiment, data, workers=2, threads=1, width=64)
    assert by_two.least.seconds == pytest.approx(planned.least.seconds / 2)
    confirm = '2\nuntil = "decided"\nmost = 5'
    several = tiny.experiment(
        images, search=f"{search}\nstudies = 4", optimizers=optimizers, seeds=confirm
    )
    by_studies = plan.measure(several, data, workers=1, threads=1, width=64)
    assert by_studies.least.seconds == pytest.approx(4 * planned.least.seconds)
    assert by_studies.most.seconds == pytest.approx(5 * planned.least.seconds)


def test_a_group_is_measured(images: Path, data: Dataset) -> None:
    measured = groups.measure_group(tiny.experiment(images), data, batch_size=8, together=3)
    assert measured.step > 0
    assert measured.image > 0

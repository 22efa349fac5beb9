"""The benchmarks run and measure the documented figures, at tiny sizes; speed is not tested."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack, chdir
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy import stats

from benchmarks import (
    augmentation,
    comparison,
    large_store,
    memory,
    outage,
    overhead,
    precision,
    pruning,
    recording,
    synthetic,
)
from benchmarks.figure import Figure
from benchmarks.folder import own_folder
from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import command, equality, evaluation, speed
from benchmarks.gpu.report import JSON_VARIABLE, Report
from benchmarks.gpu.section import Missing, Section
from benchmarks.gpu.size import Size
from benchmarks.race import ContestantError
from benchmarks.server import tracking_server
from cifar_exp import experiment, tracking
from cifar_exp.api.comparison import read_results
from cifar_exp.components import datasets
from cifar_exp.components.augmentations import AUGMENTATIONS
from cifar_exp.components.datasets import Dataset
from cifar_exp.components.precision import resolve
from cifar_exp.records import RunRecord, TrialState
from cifar_exp.sweep import prepare, sweep
from cifar_exp.sweep.sweep import Sweep
from tests import tiny

linux = pytest.mark.skipif(not Path("/proc").exists(), reason="only Linux has smaps_rollup")


def run_sweep(definition: str, folder: Path, data: Dataset) -> str:
    """Run a sweep with new stores in a folder; return its tracking URI."""
    folder.mkdir()
    requested = Sweep(
        experiment=experiment.read(definition),
        definition=definition,
        tracking_uri=f"sqlite:///{folder / 'mlflow.db'}",
        storage_url=f"sqlite:///{folder / 'optuna.db'}",
        workers=1,
        threads=1,
    )
    with chdir(folder):  # MLflow writes its files there
        sweep.run(requested, data, lambda _: None)
    return requested.tracking_uri


def test_a_ratio_that_breaks_its_bound_counts_and_a_time_does_not() -> None:
    for unit, counts in (("x", True), ("%", True), ("s", False), ("MB", False)):
        figure = Figure(name="it", value=3.0, unit=unit, at_most=2.0)  # type: ignore[arg-type]
        assert (figure.kept, figure.counts) == (False, counts)


def test_a_temporary_folder_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAR_EXP_CACHE", "before")
    here = Path.cwd()
    with own_folder() as folder:
        assert Path.cwd() == folder.resolve()
        assert Path(os.environ["CIFAR_EXP_CACHE"]).parent == folder
    assert (Path.cwd(), os.environ["CIFAR_EXP_CACHE"]) == (here, "before")
    assert not folder.exists()


def fail_on(uri: str) -> None:
    raise ZeroDivisionError(uri)


def test_epochs_are_divided_into_those_within_and_between_outages() -> None:
    outages = [(10.0, 20.0), (30.0, 40.0)]
    within, between = [(11.0, 12.0), (12.0, 15.0), (31.0, 33.0)], [(21.0, 22.0), (22.0, 26.0)]
    neither = [(0.0, 9.0), (9.5, 10.5), (19.0, 21.0), (41.0, 49.0)]
    found = outage.figure([*within, *between, *neither], outages)
    assert found.value == 2 / 2.5
    assert "3 epochs in 2 outages and of 2 between" in found.detail


@pytest.mark.chaos
def test_the_overhead_with_a_server_that_is_stopped_even_after_a_failure(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "prepare", lambda _: data)  # fewer images than the digits
    with own_folder() as folder, ExitStack() as stack:
        uri = stack.enter_context(tracking_server(folder))
        trainer, recorder = overhead.figures(", server", folder, uri, trials=3)
        stack.callback(fail_on, uri)
        with pytest.raises(ZeroDivisionError):
            stack.close()
    assert (trainer.unit, trainer.at_most) == ("s", 0.05)
    assert (recorder.unit, recorder.at_most) == ("CPU s", 0.12)
    assert trainer.detail.startswith("median of 2 trials")
    assert recorder.detail.startswith("4 trainings in ")
    assert 0 < recorder.value < 5
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{uri}/health", timeout=1)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of one combination, with two trials and one confirmation."""
    kept = tmp_path_factory.mktemp("first") / "mlflow.db"
    with own_folder() as folder:
        large_store.write_first(folder / "mlflow.db", trials=2, seeds=1)
        with sqlite3.connect(folder / "mlflow.db") as source, sqlite3.connect(kept) as target:
            source.backup(target)
    return kept


@pytest.mark.chaos
def test_a_comparison_of_a_large_store(first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "write_first", lambda store, *_: shutil.copy(first, store))
    seconds, growth = comparison.measure(combinations=2, trials=2, seeds=1, runs=1)
    assert (seconds.name, seconds.unit, seconds.at_most) == ("compare, 6 trainings", "s", 6)
    assert (growth.name, growth.unit, growth.at_most) == ("compare, 12 against 6", "x", 2.2)
    assert seconds.value > 0
    assert 0 < growth.value < 10


def test_a_large_store_has_complete_combinations(first: Path, tmp_path: Path) -> None:
    store = tmp_path / "mlflow.db"
    shutil.copy(first, store)
    (tmp_path / "mlruns" / "1").mkdir(parents=True)  # the copy has no files
    client = tracking.connect(f"sqlite:///{store}")
    before = tracking.read_records(client, large_store.NAME)
    for count in (2, 7):
        large_store.grow(store, count)
    records = tracking.read_records(client, large_store.NAME)
    ranking = read_results(large_store.NAME, f"sqlite:///{store}").ranking()
    with sqlite3.connect(store) as connection:
        counted = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("runs", "metrics", "inputs")
        }
    assert len({record.run_id for record in records}) == len(records) == 1 + 7 * 4
    assert len({record.combination_id for record in records if record.combination_id}) == 7
    assert counted["runs"] == 29
    assert counted["inputs"] >= 7 * 3  # the data set of each training
    assert counted["metrics"] > 7 * 3 * 10 * 8  # three trainings of ten epochs and eight metrics
    assert [row.combination for row in ranking.combinations][:2] == [
        "cross_entropy+sgd",
        "loss0+optimizer1",
    ]
    [original] = [row for row in ranking.combinations if row.combination == "cross_entropy+sgd"]
    for row in ranking.combinations:
        assert (row.trials, row.seeds, row.lr) == (2, 1, original.lr)
    copied = [r for r in records if r.combination == "loss1+optimizer0" and r.kind == "trial"]
    trials = [r for r in before if r.kind == "trial"]
    for one, other in zip(copied, trials, strict=True):
        assert one.name == other.name.replace("cross_entropy+sgd", "loss1+optimizer0")
        assert one.params["lr"] == other.params["lr"]
        assert one.metrics["val_accuracy"] == pytest.approx(0.995 * other.metrics["val_accuracy"])
        assert one.metrics["train/loss"] == other.metrics["train/loss"]
        assert one.tags["version.torch"] == other.tags["version.torch"]


ALLOCATE = """
import mmap
print(flush=True)
input()
allocated = mmap.mmap(-1, 2**26, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
allocated[:: mmap.PAGESIZE] = bytes(len(allocated) // mmap.PAGESIZE)  # touch each page
print(flush=True)
input()
"""


@linux
def test_resident_memory_counts_what_is_allocated_as_private() -> None:
    """In a new process that maps little else, as pages that others unmap become private too."""
    command, pipe = [sys.executable, "-c", ALLOCATE], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        seen = []
        for _ in range(2):
            process.stdout.readline()
            seen.append(memory.resident(process.pid))
            process.stdin.write("\n")
            process.stdin.flush()
    before, after = seen
    assert after.private - before.private == pytest.approx(2**26 / 1e6, abs=4)
    assert after.shared == pytest.approx(before.shared, abs=4)


@linux
@pytest.mark.chaos
def test_the_memory_of_the_trainers_of_a_sweep() -> None:
    with own_folder() as folder:
        data = datasets.load(synthetic.Synthetic(counts=(300, 100, 100)))
        assert data.train.images.shape == (300, 3, 32, 32)
        trainer = memory.of_trainer(folder / "trainer", data)
    assert 0 < trainer.private < 2000
    assert trainer.shared > 0


def test_the_recorder_is_measured_by_the_number_of_written_epochs() -> None:
    [figure] = recording.measure(trials=3, epochs=4)
    assert (figure.unit, figure.at_least) == ("x", 500.0)
    assert figure.detail.startswith("16 epochs of 4 trainings, 64 side by side")
    assert figure.value > 0


def test_the_share_of_an_augmentation() -> None:
    figures = augmentation.measure(num_images=64, rounds=1, batch_sizes=(64,))
    precisions = 1 + (resolve("auto") == "bf16")
    assert len(figures) == precisions * (len(AUGMENTATIONS) - 1)
    for figure in figures:
        assert (figure.unit, figure.value < 100) == ("%", True)
        assert figure.at_most == (15 if figure.name.startswith("crop_flip") else None)


def test_a_share_is_relative_to_the_augmented_epoch() -> None:
    """100 images in 1.25 s instead of 1 s: a fifth of the 1.25 s."""
    assert augmentation.shares([80.0, 100.0], [100.0, 100.0]) == pytest.approx([20, 0])


def made_up(histories: dict[str, list[list[float]]], epochs: int) -> pruning.Swept:
    """Return a sweep whose trials have these validation accuracies after each epoch."""
    losses = "\n".join(f"{name} = {{ type = 'mse' }}" for name in histories)
    search = 'trials = 7\nsampler = "random"\npruner = "none"\nbatch_size = [8]'
    definition = tiny.experiment(Path(), epochs=str(epochs), losses=losses, search=search)
    trials = {
        f"{name}+sgd": [
            trial(f"{name}+sgd", number, accuracies, epochs)
            for number, accuracies in enumerate(some)
        ]
        for name, some in histories.items()
    }
    return pruning.Swept(
        definition=definition,
        fingerprint="0",
        trials=trials,
        histories={
            f"{name}+sgd {number}": dict(enumerate(accuracies, start=1))
            for name, some in histories.items()
            for number, accuracies in enumerate(some)
        },
    )


def trial(combination: str, number: int, accuracies: list[float], epochs: int) -> RunRecord:
    state: TrialState = "COMPLETE" if len(accuracies) == epochs else "FAIL"
    return RunRecord(
        run_id=f"{combination} {number}",
        experiment="tiny",
        kind="trial",
        name=f"{combination} #{number}",
        status="FINISHED",
        start_time=number,
        combination=combination,
        number=number,
        state=state,
        metrics={"val_accuracy": accuracies[-1]} if state == "COMPLETE" else {},
    )


LEVEL = [[0.4, 0.5, 0.6, 0.7]] * 5


def test_the_median_pruner_replayed_by_hand() -> None:
    """It prunes after five trials, from the second epoch on.

    It compares a trial's best value so far with the median of that epoch. The sixth trial has 0.9,
    so it is never pruned. The seventh has 0.55 after its second epoch, above the median 0.5, and
    is pruned after its third, below 0.6; it would have been the best one.
    """
    swept = made_up({"a": [*LEVEL, [0.9, 0.3, 0.2, 0.1], [0.1, 0.55, 0.5, 0.9]]}, epochs=4)
    [none] = pruning.replay_all(swept, "none")
    assert (none.epochs, none.pruned) == (28, ())
    assert none.best is not None
    assert none.best.number == 6
    [median] = pruning.replay_all(swept, "median")
    assert (median.epochs, median.pruned) == (27, (6,))
    assert median.best is not None
    assert median.best.number == 0
    assert "open, as a+sgd would confirm another trial" in pruning.winner([none], [median])


def test_a_diverged_trial_is_replayed_up_to_its_last_epoch() -> None:
    swept = made_up({"a": [*LEVEL, [0.5], [0.1, 0.2, 0.3, 0.4]]}, epochs=4)
    [none], [median] = (pruning.replay_all(swept, pruner) for pruner in ("none", "median"))
    assert (none.epochs, none.pruned) == (25, ())
    assert (median.epochs, median.pruned) == (23, (6,))  # 0.2 < 0.5 after the second epoch
    verdict = pruning.winner([none], [median])
    assert verdict.startswith("the same, a+sgd")


@pytest.fixture(scope="module")
def unpruned(tmp_path_factory: pytest.TempPathFactory, images: Path, data: Dataset) -> str:
    return run_sweep(long_definition(images, "none"), tmp_path_factory.mktemp("s") / "none", data)


def long_definition(images: Path, pruner: str) -> str:
    search = f'trials = 9\nsampler = "random"\npruner = "{pruner}"\nbatch_size = [8, 16]'
    rates = "sgd = { lr = { low = 1e-4, high = 1.0 } }"
    return tiny.definition(
        images,
        top='keep_models = "best"',
        epochs="4",
        seeds="1",
        search=search,
        losses="mse = {}",
        optimizers=rates,
    )


@pytest.mark.chaos
@pytest.mark.parametrize("pruner", pruning.PRUNERS)
def test_a_replay_prunes_the_same_trials_as_a_sweep_with_that_pruner(
    unpruned: str, images: Path, data: Dataset, tmp_path: Path, pruner: str
) -> None:
    uri = run_sweep(long_definition(images, pruner), tmp_path / pruner, data)
    records = tracking.read_records(tracking.connect(uri), "tiny", kind="trial")
    [replayed] = pruning.replay_all(pruning.read(unpruned, "tiny"), pruner)
    assert replayed.pruned == tuple(r.number for r in records if r.state == "PRUNED")
    assert replayed.epochs == sum(r.metrics["epochs_trained"] for r in records)
    assert replayed.pruned  # else nothing was tested


@pytest.mark.parametrize(("sampler", "pruner"), [("tpe", "none"), ("qmc", "median")])
def test_a_sweep_that_depends_on_pruning_cannot_be_replayed(sampler: str, pruner: str) -> None:
    swept_run = replace(trial("a+sgd", 0, [0.5], 1), params={"sampler": sampler, "pruner": pruner})
    with pytest.raises(ValueError, match=f"ran with sampler '{sampler}' and pruner '{pruner}'"):
        pruning.check(swept_run)


def test_a_precision_is_judged_by_the_paired_interval() -> None:
    fp32, bf16 = [0.70, 0.72, 0.68], [0.71, 0.72, 0.70]
    verdict = precision.judge("mse", fp32, bf16)
    # differences 0.01, 0, 0.02: mean 0.01, standard deviation 0.01
    half = stats.t.ppf(0.975, 2) * 0.01 / 3**0.5
    assert verdict.difference == pytest.approx(0.01)
    assert verdict.low == pytest.approx(0.01 - half)
    assert verdict.high == pytest.approx(0.01 + half)
    assert verdict.spread == pytest.approx(0.02)
    assert verdict.within_spread
    assert not precision.judge("mse", fp32, [a + 0.05 + a / 100 for a in fp32]).within_spread


@pytest.mark.chaos
def test_a_study_of_precision(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    choice = experiment.read(tiny.definition(images)).dataset
    verdicts = precision.study(choice, epochs=1, batch_size=16, lr=1e-3, seeds=2, processes=1)
    assert [verdict.loss for verdict in verdicts] == ["cross_entropy", "mse", "focal"]
    for verdict in verdicts:
        assert 0 <= verdict.fp32 <= 1
        assert verdict.low <= verdict.difference <= verdict.high
    precision.show(verdicts)
    assert "focal" in capsys.readouterr().out


SWEEP = """
name = "tiny"
dataset = "cifar10"
model = "seed_cnn_relu"
epochs = 2
search = { trials = 2, sampler = "random", pruner = "none", batch_size = [8] }
confirm = { seeds = 1 }
losses = { cross_entropy = {} }
optimizers = { sgd = { lr = 0.01 } }
"""


@pytest.fixture
def size(tmp_path: Path) -> Size:
    definition = tmp_path / "tiny.toml"
    definition.write_text(SWEEP)
    return Size(
        counts=(24, 16, 16),
        batch_size=8,
        networks=4,
        rounds=1,
        widths=(1, 2),
        width_images=8,
        resnet_batch_size=8,
        equal_epochs=2,
        equal_steps=2,
        definition=definition,
        long_definition=definition,
    )


def test_without_a_gpu_one_sentence_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() == 0
    assert capsys.readouterr().out == f"{gpu.NO_GPU}\n"


def test_the_parts_of_an_epoch_of_a_group(size: Size) -> None:
    figure = evaluation.share(size)
    assert isinstance(figure, Figure)
    assert (figure.unit, figure.at_most, figure.aim) == ("%", 10, 5)
    assert 0 < figure.value < 100


def test_a_group_computes_the_same_as_single_networks(size: Size) -> None:
    rows = [row for section in equality.sections(size) for row in section.rows(1)]
    for row in rows:
        assert isinstance(row, Figure)
        assert row.kept
    assert len(rows) == 3


def test_the_widths_of_groups(size: Size) -> None:
    *inside, _ = speed.sections_of_widths(size)  # the last one starts a process
    rows = [row for section in inside for row in section.rows(1)]
    assert len(rows) == 3
    for row in rows:
        assert isinstance(row, Figure)
        assert (row.unit, row.bound) == ("images/s", "")
        assert row.value > 0


def test_without_lightning_the_other_speeds_are_measured(
    size: Size, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raced(contestants: dict[str, object], *_: object, **__: object) -> dict[str, list[float]]:
        if "Lightning" in contestants:
            raise ContestantError("ValueError: no such accelerator")
        return {"one": [10.0, 30.0, 20.0], "group": [800_000.0]}

    monkeypatch.setattr(speed, "race", raced)
    for found, reason in ((None, "not installed"), (object(), "no such accelerator")):
        monkeypatch.setattr("importlib.util.find_spec", lambda _, found=found: found)
        one, many, total = speed.against_lightning(size)
        assert isinstance(one, Missing)
        assert isinstance(many, Missing)
        assert reason in one.reason
        assert "20 images/s" in one.reason
        assert isinstance(total, Figure)
        assert (total.value, total.kept, total.aim_reached) == (800_000, True, False)


def test_rows_that_cannot_be_measured_have_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.json"
    monkeypatch.setenv(JSON_VARIABLE, str(path))
    report = Report(budget=100)
    good = Figure(name="good", value=3.0, unit="x", at_least=2.0, aim=2.5)
    report.add(Section(names=("good",), measure=lambda _: [good]))
    report.add(Section(names=("one", "two"), measure=lambda _: [fail()]))
    report._budget = 0
    report.add(Section(names=("late",), measure=lambda _: [good]))
    assert report.show() == 1
    shown = capsys.readouterr().out
    for text in ("aim reached", "ZeroDivisionError: it fails", "not measured: out of time"):
        assert text in " ".join(shown.split())
    stored = json.loads(path.read_text())
    assert [row["name"] for row in stored["figures"]] == ["good", "one", "two", "late"]
    assert stored["figures"][0]["value"] == 3
    assert {"card", "torch", "CUDA", "date"} <= set(stored)


def fail() -> Figure:
    raise ZeroDivisionError("it fails")


def test_overlapping_spans_count_once() -> None:
    assert command.covered([(5.0, 6.0), (0.0, 2.0), (1.0, 3.0), (1.0, 2.0)]) == 4


def test_a_command_that_takes_too_long_is_ended(size: Size) -> None:
    [section] = command.sections(size)
    rows = section.rows(0.1)
    assert len(rows) == 3
    for row in rows:
        assert isinstance(row, Missing)
        assert row.reason.startswith("TimeoutError: it takes longer than")


@pytest.mark.chaos
def test_the_command_is_timed_on_random_images(size: Size) -> None:
    taken = command.run(size, 100)
    assert min(taken.before, taken.training, taken.recording) > 0
    assert taken.before + taken.training + taken.recording == pytest.approx(taken.whole)


@pytest.mark.chaos
def test_all_figures_of_a_gpu(size: Size, capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(size, forced=True)
    shown = capsys.readouterr().out
    assert "not measured" not in shown.replace("EXTRAPOLATED, not measured", "")
    for number in range(1, 11):
        assert f"] {number}. " in shown

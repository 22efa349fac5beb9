"""What commands print: complete without a terminal, and commands that can be typed again."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from rich.console import Console

from cifar_exp import cli, experiment
from cifar_exp.components.datasets import DATASETS
from cifar_exp.components.losses import LOSSES
from cifar_exp.components.models.networks import MODELS
from cifar_exp.components.optimizers import OPTIMIZERS
from cifar_exp.display import console
from cifar_exp.display.rerun import train_command
from cifar_exp.experiment import Combination, Experiment, TrialConfig, load, read_document
from cifar_exp.report.text.table import cells, headers
from cifar_exp.sweep.plan import Cost, Plan
from cifar_exp.system.output import ERRORS, spelled
from cifar_exp.training.loop import EpochMetrics
from tests import tiny
from tests.definitions import MISSING, changed, every_shipped_one
from tests.rankings import ranking, row

TABLES: Mapping[str, Mapping[str, Any]] = {
    "losses": LOSSES,
    "optimizers": OPTIMIZERS,
    "models": MODELS,
    "datasets": DATASETS,
}


@pytest.fixture
def screen() -> Console:
    return Console(file=io.StringIO(), width=console.PLAIN_WIDTH)


def printed(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_a_pipe_gets_wide_lines_without_colours(capsys: pytest.CaptureFixture[str]) -> None:
    screen = console.stdout()
    screen.print("[red]" + 30 * "word ")
    assert screen.width == console.PLAIN_WIDTH
    assert capsys.readouterr().out.rstrip() == (30 * "word ").rstrip()


# Rankings.


def test_a_ranking_is_printed_with_every_row(screen: Console) -> None:
    shown = ranking(row(1, "mse+sgd"), row(None, "l1+sgd"))
    console.print_ranking(screen, shown)
    lines = printed(screen).splitlines()
    assert lines[0].strip() == "small"
    assert all(header in lines[2] for header in headers(shown))
    [first] = [line for line in lines if "1 mse+sgd" in line]
    [last] = [line for line in lines if "- l1+sgd" in line]
    assert "52.00 ± 4.97 %" in first
    assert "no result" in last


def test_the_longest_names_are_printed_in_full(screen: Console) -> None:
    names = [f"{letter * 64}+{letter.upper() * 64}" for letter in "ab"]
    console.print_ranking(screen, ranking(row(1, names[0]), row(2, names[1])))
    assert "…" not in printed(screen)
    for letter in "abAB":
        assert printed(screen).count(letter) >= 64


@pytest.mark.parametrize("width", [80, 100])
def test_a_terminal_of_usual_width_folds_no_row(width: int) -> None:
    screen = Console(file=io.StringIO(), width=width)
    names = ["cross_entropy+momentum", "smoothed+adamw"]
    console.print_ranking(screen, ranking(*(row(k, name) for k, name in enumerate(names, 1))))
    lines = printed(screen).splitlines()
    rule = next(k for k, line in enumerate(lines) if "──" in line)
    assert [line.split()[:2] for line in lines[rule + 1 : rule + 3]] == [
        [str(k), name] for k, name in enumerate(names, 1)
    ]
    assert max(map(len, lines)) <= width


def test_what_a_ranking_says_stands_below_its_table(screen: Console) -> None:
    shown = ranking(row(1, "mse+sgd"), row(2, "l1+sgd"))
    console.print_ranking(screen, shown)
    text = " ".join(printed(screen).split())
    assert "2 of 2 may be the best, with 95 % confidence: mse+sgd, l1+sgd." in text


@pytest.mark.parametrize("width", [30, 60, 80, 100])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_narrow_terminal_cuts_and_folds_no_cell(width: int, encoding: str) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding, ERRORS, write_through=True)
    shown = ranking(row(1, "smoothed_cross_entropy+nesterov"), row(None, "mse+sgd"))
    console.print_ranking(Console(file=file, width=width), shown)
    lines = file.buffer.getvalue().decode(encoding).splitlines()
    assert max(map(len, lines)) <= width
    words = [word.strip(",:") for line in lines for word in line.replace("|", " ").split()]
    for each in shown.combinations:
        for cell in cells(shown, each):
            for word in spelled(cell, encoding).split():
                if len(word) < width:
                    assert word in words


# Next steps.


@pytest.mark.parametrize(
    ("tracking_uri", "lines"),
    [
        (
            "sqlite:////a b/mlflow.db",
            [
                "All runs: mlflow ui --workers 1 --backend-store-uri 'sqlite:////a b/mlflow.db'",
                "Ranking: http://127.0.0.1:5000/#/x/runs?viewStateShareKey=ranking"
                "&workflowType=machine_learning",
                "Report: http://127.0.0.1:5000/#/x/runs/1/artifacts/comparison/report.html"
                "?workflowType=machine_learning",
            ],
        ),
        (
            "https://host:8080/",
            [
                "Ranking: https://host:8080/#/x/runs?viewStateShareKey=ranking"
                "&workflowType=machine_learning",
                "Report: https://host:8080/#/x/runs/1/artifacts/comparison/report.html"
                "?workflowType=machine_learning",
            ],
        ),
    ],
)
def test_where_to_look_next(screen: Console, tracking_uri: str, lines: list[str]) -> None:
    definition = read_document(changed({}), "a.toml")
    best = row(1, "mse+sgd", settings=settings_of(definition, definition.combinations()[0]))
    console.print_next_steps(screen, definition, ranking(best), tracking_uri, "/x/runs/1")
    *places, best_again, explanation = printed(screen).splitlines()
    assert places == lines
    assert best_again.startswith("Best setting: cifar-exp train --dataset digits ")
    assert explanation == (
        "This repeats the best trial (seed 0) and its validation accuracy; confirmations have "
        "other seeds, and only they are scored on the test set"
    )


def test_the_command_repeats_the_study_with_the_best_trial(screen: Console) -> None:
    definition = read_document(changed({"search/studies": 2, "seed": 7}), "a.toml")
    settings = settings_of(definition, definition.combinations()[0])
    best = row(1, "mse+sgd", settings=settings, study=2)
    console.print_next_steps(screen, definition, ranking(best), "sqlite://", "/x")
    seed = definition.study_seed(2)
    [*_, command, told] = printed(screen).splitlines()
    assert f"--seed {seed} " in command
    assert told == (
        f"This repeats the best trial (seed {seed}) and its validation accuracy; "
        "confirmations have other seeds, and only they are scored on the test set"
    )


def test_without_a_result_there_is_nothing_to_train_again(screen: Console) -> None:
    definition = read_document(changed({}), "a.toml")
    console.print_next_steps(screen, definition, ranking(row(None, "mse+sgd")), "sqlite://", "/x")
    assert "Best setting" not in printed(screen)


def settings_of(definition: Experiment, combination: Combination) -> dict[str, str]:
    """Return settings as a record holds them: each of them, as text."""
    config = trial_of(definition, combination)
    return {
        **{f"loss.{name}": str(value) for name, value in config.loss_settings},
        **{f"optimizer.{name}": str(value) for name, value in config.optimizer_settings},
        **{f"schedule.{name}": str(value) for name, value in config.schedule_settings},
    }


def trial_of(definition: Experiment, combination: Combination) -> TrialConfig:
    """Return the trial in the middle of everything searched."""
    space = definition.space(combination)
    middle: dict[str, Any] = {
        name: (values.low + values.high) / 2
        for name, values in space.items()
        if isinstance(values, experiment.Range)
    }
    return definition.trial(combination, {**middle, "batch_size": 64}, definition.seed)


class Read(Exception):  # noqa: N818
    """Carries what `cifar-exp train` has read, and keeps it from training."""


def trained_by(command: list[str], monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """Return the definition that a `cifar-exp train` command line comes to."""
    original = experiment.single_definition

    def keep(*given: Any) -> Experiment:
        raise Read(original(*given))

    monkeypatch.setattr(experiment, "single_definition", keep)
    program, *words = command
    assert program == "cifar-exp"
    with pytest.raises(Read) as caught:
        cli.cli.main(words, standalone_mode=False)
    [read] = caught.value.args
    assert isinstance(read, Experiment)
    return read


SEARCHED: dict[str, Any] = {
    "schedules": {
        "constant": {},
        "short": {"type": "wsd", "warmup": {"low": 0.0, "high": 0.2}, "floor": 0.1},
    },
    "seed": 5,
    "precision": "bf16",
    "dataset": {"type": "folder", "path": "my images/it's", "size": 32},
    "losses": {"far": {"type": "huber", "compare": "logits", "delta": {"low": 0.1, "high": 2.0}}},
    "optimizers": {
        "fast": {
            "type": "sgd",
            "lr": {"low": 1e-3, "high": 1.0},
            "momentum": {"low": 0.5, "high": 0.9},
            "nesterov": True,
            "decay_bias": False,
        }
    },
}


def check_command(definition: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    for combination in definition.combinations():
        config = trial_of(definition, combination)
        best = row(
            1,
            combination.name,
            lr=config.lr,
            batch_size=config.batch_size,
            settings=settings_of(definition, combination),
            threads=3,
        )
        command = train_command(definition, best)
        assert command[command.index("--threads") + 1] == "3"
        typed = shlex.join(command)
        with monkeypatch.context() as patch:
            read = trained_by(shlex.split(typed), patch)
        [alone] = read.combinations()
        again = read.trial(alone, {"batch_size": config.batch_size}, read.seed)
        names = {"loss": combination.loss.type, "optimizer": combination.optimizer.type}
        if config.schedule is not None:
            names["schedule"] = combination.schedule.type
        assert again == config.model_copy(update=names)
        assert read.dataset == definition.dataset


def test_a_training_without_options_is_the_one_that_help_tells_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = trained_by(["cifar-exp", "train"], monkeypatch)
    [alone] = read.combinations()
    config = read.trial(alone, {"batch_size": 64}, read.seed)
    shown = config.model_dump(include={"model", "loss", "optimizer", "lr", "epochs", "seed"})
    assert shown == {
        "model": "seed_cnn_relu",
        "loss": "cross_entropy",
        "optimizer": "sgd",
        "lr": 0.01,
        "epochs": 20,
        "seed": 0,
    }
    assert (config.precision, str(config.augment), config.compile) == ("fp32", "none", False)
    assert (read.dataset.type, read.search.batch_size) == ("digits", (64,))


@every_shipped_one
def test_the_best_trial_can_be_trained_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_command(load(path), monkeypatch)


@pytest.mark.parametrize(
    "changes", [SEARCHED, {"dataset": {"type": "cifar10", "path": "-x"}}, {"model": "lenet"}]
)
def test_the_command_names_every_setting(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_command(read_document(changed(changes), "a.toml"), monkeypatch)


# Plans, lists, epochs.

COST = Cost(trials=24, confirmations=12, epochs=181, seconds=5400.0, disk_bytes=2_500_000_000)
PLAN = Plan(
    combinations=4,
    least=COST,
    most=COST,
    images_per_second={32: 1234.5, 64: 2000.0},
)


def test_a_sweep_says_first_how_large_it_is(screen: Console) -> None:
    search = {"search/trials": 4, "confirm/seeds": 1}
    console.print_size(screen, read_document(changed(search), "a.toml"))
    console.print_workers(screen, 2, 1)
    assert printed(screen).splitlines() == [
        "20 trainings: 4 combinations x (4 trials + 1 seed)",
        "2 workers of 1 thread",
    ]


def test_a_sweep_says_where_there_are_fewer_settings_than_trials(screen: Console) -> None:
    """sgd has a range, and adamw 2 settings: 2 losses x (9 + 2 + 2 x 1) trainings."""
    search = {"search/trials": 9, "search/batch_size": [8, 16], "confirm/seeds": 1}
    console.print_size(screen, read_document(changed(search), "a.toml"))
    assert printed(screen).splitlines() == [
        "26 trainings: 4 combinations x (up to 9 trials + 1 seed)",
        "2 trials instead of 9 for mse+adamw, focal+adamw: there are no other settings to try",
    ]


def test_one_combination_is_one(screen: Console) -> None:
    definition = read_document(changed({"losses": {"mse": {}}, "optimizers/sgd": MISSING}), "a")
    console.print_plan(screen, definition, replace(PLAN, combinations=1), workers=1)
    assert "small: 1 combination\n" in printed(screen)


def test_one_worker_is_one(screen: Console) -> None:
    console.print_plan(screen, read_document(changed({}), "a.toml"), PLAN, workers=1)
    assert "time with 1 worker: about" in printed(screen)


def test_a_plan_is_printed_line_by_line(screen: Console) -> None:
    definition = read_document(changed({}), "a.toml")
    console.print_plan(screen, definition, PLAN, workers=2)
    assert printed(screen).splitlines() == [
        "small: 4 combinations",
        "trials: 24, confirmations: 12",
        "4 trials instead of 20 for mse+adamw, focal+adamw: there are no other settings to try",
        "epochs in total: 181 (fewer where trials are pruned)",
        "training speed at batch size 32: 1234 images/s per worker",
        "training speed at batch size 64: 2000 images/s per worker",
        "time with 2 workers: about 1.5 h",
        "disk: about 2.5 GB",
    ]


def test_a_plan_tells_the_least_and_the_most_where_results_decide(screen: Console) -> None:
    changes = {"search/studies": 3, "search/trials": 4, "confirm/until": "decided"}
    definition = read_document(changed({**changes, "confirm/most": 9}), "a.toml")
    most = Cost(trials=72, confirmations=36, epochs=543, seconds=16200.0, disk_bytes=10**10)
    console.print_size(screen, definition)
    console.print_plan(screen, definition, replace(PLAN, most=most), workers=2)
    assert printed(screen).splitlines() == [
        "60 trainings: 4 combinations x 3 studies x (4 trials + 1 seed), at most 180 for up to 9 "
        "studies",
        "small: 4 combinations",
        "trials: 24 to 72, confirmations: 12 to 36",
        "3 to 9 studies of each combination, until the best is decided",
        "epochs in total: 181 to 543 (fewer where trials are pruned)",
        "training speed at batch size 32: 1234 images/s per worker",
        "training speed at batch size 64: 2000 images/s per worker",
        "time with 2 workers: about 1.5 h to 4.5 h",
        "disk: about 2.5 GB to 10.0 GB",
    ]


@pytest.mark.parametrize("kind", TABLES)
def test_a_list_names_every_component_with_its_settings(screen: Console, kind: str) -> None:
    console.print_components(screen, kind)
    lines = printed(screen).splitlines()
    for name, component in TABLES[kind].items():
        start = lines.index(next(line for line in lines if line.startswith(f"{name}: ")))
        assert len(lines[start]) > len(name) + 10  # it says what it is
        for number, setting in enumerate(getattr(component, "model_fields", {}), start=1):
            assert lines[start + number].startswith(f"    {setting} = ")


@pytest.mark.parametrize("kind", TABLES)
def test_listed_kinds_are_those_of_the_command_line(kind: str) -> None:
    argument = cli.commands.list_.params[0]
    assert isinstance(argument.type, click.Choice)
    assert kind in argument.type.choices


def test_a_required_setting_is_told_from_a_default(screen: Console) -> None:
    console.print_components(screen, "datasets")
    assert "    path = (required)  The folder that contains" in printed(screen)
    assert "    size = None  Height and width" in printed(screen)


def test_an_epoch_is_a_line(screen: Console) -> None:
    show = console.print_epoch(screen, 5)
    metrics = EpochMetrics(
        epoch=2,
        train_loss=0.123456,
        val=tiny.scores(accuracy=0.9876, nll=0.04567, ece=0.01234),
        seconds=1.5,
        images_per_second=1234.4,
    )
    show(metrics)
    assert printed(screen) == (
        "epoch 2/5: train loss 0.1235, val accuracy 98.76%, val nll 0.0457, val ece 0.0123, "
        "1234 images/s\n"
    )


def test_standard_output_is_looked_up_late(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("COLUMNS", "70")
    assert console.stdout().width == 70

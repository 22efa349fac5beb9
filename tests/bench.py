"""Sweeps with a pair of stores, and the content of these stores."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna

from cifar_exp.comparison import Ranking
from cifar_exp.experiment import read
from cifar_exp.records import RunRecord
from cifar_exp.sweep import prepare, sweep
from cifar_exp.sweep.events import Event, Notice
from cifar_exp.sweep.results import Results
from cifar_exp.sweep.single import Single
from cifar_exp.tracking import Client, connect, read_records
from tests import content, tiny
from tests.inline import inline_executor

SCORES = {"accuracy", "nll", "brier", "ece", "ece_adaptive", "macro_f1"}  # of three classes
SCALED = {f"{name}_scaled" for name in ("nll", "brier", "ece", "ece_adaptive")}
SCORES_BY_EPOCH = sorted(f"val/{name}" for name in SCORES)
CLI = [sys.executable, "-c", "from cifar_exp.cli import main; main()"]


class Stores:
    """A pair of stores, and the runs of an experiment in them."""

    def __init__(self, tracking_uri: str, storage_url: str) -> None:
        self.tracking_uri = tracking_uri
        self.storage_url = storage_url

    @cached_property
    def client(self) -> Client:
        return connect(self.tracking_uri)

    def records(self, *kinds: str, name: str = "tiny") -> list[RunRecord]:
        """Return the runs of these kinds; by default of all kinds."""
        found = read_records(self.client, name)
        return [record for record in found if not kinds or record.kind in kinds]

    def trainings(self) -> list[RunRecord]:
        return self.records("trial", "confirmation")

    def running(self) -> list[RunRecord]:
        return [record for record in self.records() if record.status == "RUNNING"]

    def results(self) -> dict[str, Any]:
        """Return the stored data of the trainings, without times and ids."""
        return content.results(self.client, self.trainings())


class Bench(Stores):
    """Runs sweeps with one pair of stores, in this process."""

    def __init__(self, tracking_uri: str, storage_url: str) -> None:
        super().__init__(tracking_uri, storage_url)
        self.events: list[Event] = []
        self.looks: list[Notice] = []

    def run(
        self,
        definition: str,
        workers: int = 1,
        *,
        group: int = 1,
        inline: bool = True,
        watch: Callable[[Event], object] = lambda _: None,
    ) -> Ranking:
        """Run a sweep with trainers in this process or in separate processes."""
        experiment = read(definition)
        self.events, self.looks = [], []
        request = sweep.Sweep(
            experiment=experiment,
            definition=definition,
            tracking_uri=self.tracking_uri,
            storage_url=self.storage_url,
            workers=workers,
            threads=1,
            width=group,
        )
        executor = inline_executor if inline else sweep.local_executor
        data = prepare.prepare(experiment)

        def receive(event: Event | Notice) -> None:
            if isinstance(event, Notice):
                self.looks.append(event)
            else:
                self.events.append(event)
                watch(event)

        ranking, self.page = sweep.run(request, data, receive, executor)
        return ranking

    def ranking(self) -> Ranking:
        """Return the ranking of the latest sweep, read from the store."""
        return Results(self.client, self.records()).ranking()


def scores(ranking: Ranking) -> list[tuple[object, ...]]:
    return [(r.combination, r.test_accuracies, r.lr, r.batch_size) for r in ranking.combinations]


def studies(bench: Stores) -> list[optuna.Study]:
    names = optuna.get_all_study_names(bench.storage_url)
    return [optuna.load_study(study_name=name, storage=bench.storage_url) for name in names]


def trained(bench: Stores, number: int) -> Callable[[], bool]:
    """Return a condition: this many trainings have ended, and another one is running."""

    def look() -> bool:
        trainings = bench.trainings()
        under_way = any(r.status == "RUNNING" for r in trainings)
        return sum(r.finished for r in trainings) >= number and under_way

    return look


def tiny_search(sampler: str, pruner: str) -> str:
    return f'trials = 3\nsampler = "{sampler}"\npruner = "{pruner}"\nbatch_size = [8, 16]'


def single_training(images: Path, tracking_uri: str, epochs: int) -> Single:
    """Return the request of a single training on tiny images."""
    experiment = tiny.experiment(
        images,
        epochs=str(epochs),
        losses="mse = {}",
        optimizers="sgd = { lr = 0.1 }",
        search="trials = 1\nbatch_size = [8]",
    )
    return Single(
        experiment=experiment,
        tracking_uri=tracking_uri,
        mlflow_experiment="by hand",
        threads=1,
    )

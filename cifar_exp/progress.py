"""What is shown while a command works: a live display in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from cifar_exp.datasets import Progress as DataProgress
from cifar_exp.event import Event, Watch
from cifar_exp.wording import duration


@contextmanager
def sweep_progress(console: Console, num_trainings: int) -> Iterator[Watch]:
    """Show how far a sweep is: a live display in a terminal, a line a training elsewhere."""
    count = Count(num_trainings)
    if console.is_terminal:
        with _display(console) as progress:
            yield Live(progress, count).show
    else:
        yield Lines(console, count).show
    if count.kept:
        console.print(f"{count.kept} of {num_trainings} trainings were there already")


class Count:
    """Counts trainings, keeps the best accuracy of each combination, and guesses the time left."""

    def __init__(self, num_trainings: int) -> None:
        self.num_trainings = num_trainings
        self.ended = 0
        self.kept = 0
        self.best: dict[str, float] = {}
        self.started = time.monotonic()

    def add(self, event: Event) -> None:
        """Take an event into account."""
        if event.state is not None:
            self.ended += 1
            self.kept += event.kept
        if event.state == "COMPLETE" and event.val_accuracy is not None:
            best = self.best.get(event.combination, 0.0)
            self.best[event.combination] = max(best, event.val_accuracy)

    def time_left(self) -> str:
        """Return a guess from the trainings of this execution so far, such as `12 min left`."""
        trained = self.ended - self.kept
        if trained == 0 or self.ended >= self.num_trainings:
            return ""
        seconds = (time.monotonic() - self.started) / trained * (self.num_trainings - self.ended)
        return f"{duration(seconds)} left"


class Lines:
    """Writes one plain line for every training that ends."""

    def __init__(self, console: Console, count: Count) -> None:
        self.console = console
        self.count = count

    def show(self, event: Event) -> None:
        """Write the line of an event that ends a training."""
        self.count.add(event)
        if event.state is None or event.kept:
            return
        count = self.count
        words = [
            f"[{count.ended}/{count.num_trainings}]",
            f"{event.combination} {event.training}:",
            _result(event),
            _best(count, event.combination),
            count.time_left(),
        ]
        self.console.print(" ".join(filter(None, words)), markup=False, highlight=False)


class Live:
    """Shows a bar for the sweep and a line for every training under way."""

    def __init__(self, progress: Progress, count: Count) -> None:
        self.progress = progress
        self.count = count
        self.total = progress.add_task("sweep", total=count.num_trainings, note="")
        self.tasks: dict[tuple[str, str], TaskID] = {}

    def show(self, event: Event) -> None:
        """Bring the display up to date with an event."""
        self.count.add(event)
        note = self.count.time_left()
        self.progress.update(self.total, completed=self.count.ended, note=note)
        training = (event.combination, event.training)
        if event.state is None:
            self._advance(training, event)
        elif training in self.tasks:
            self.progress.remove_task(self.tasks.pop(training))

    def _advance(self, training: tuple[str, str], event: Event) -> None:
        if training not in self.tasks:
            name = " ".join(training)
            self.tasks[training] = self.progress.add_task(name, total=event.epochs, note="")
        note = " ".join(filter(None, [_result(event), _best(self.count, event.combination)]))
        self.progress.update(self.tasks[training], completed=event.epoch, note=note)


def _display(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _result(event: Event) -> str:
    accuracy = "" if event.val_accuracy is None else f"val {event.val_accuracy:.2%}"
    ended = {"PRUNED": f"pruned at epoch {event.epoch}", "FAIL": "no result"}
    return ", ".join(filter(None, [accuracy, ended.get(event.state or "")]))


def _best(count: Count, combination: str) -> str:
    best = count.best.get(combination)
    return "" if best is None else f"(best {best:.2%})"


@contextmanager
def data_progress(console: Console) -> Iterator[DataProgress]:
    """Show how far the preparation of a data set is: bars in a terminal, else a line a step."""
    steps: dict[str, TaskID] = {}
    with _display(console) as progress:

        def show(what: str, done: int, total: int) -> None:
            if what not in steps:
                steps[what] = progress.add_task(what, total=total, note="")
                if not console.is_terminal:
                    console.print(what, markup=False, highlight=False)
            progress.update(steps[what], completed=done, total=total)

        yield show

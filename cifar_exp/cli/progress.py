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

from cifar_exp.components.datasets import Progress as DataProgress
from cifar_exp.sweep.events import Event, Watch
from cifar_exp.system.formatting import duration

WARMED_UP = 2  # epochs of each worker, after the first ones, that a guess of the time needs


@contextmanager
def sweep_progress(console: Console, num_trainings: int, num_workers: int) -> Iterator[Watch]:
    """Show how far a sweep is: a live display in a terminal, a line a training elsewhere.

    Before the first training begins, a line says how many an earlier execution has finished.
    """
    count = Count(num_trainings, num_workers)
    with _sweep_display(console, count) as show:

        def watch(event: Event) -> None:
            if not (count.begun or event.kept):
                _print_kept(console, count)
            count.add(event)
            show(event)

        yield watch
    if not count.begun:
        _print_kept(console, count)


@contextmanager
def _sweep_display(console: Console, count: Count) -> Iterator[Watch]:
    if console.is_terminal:
        with _display(console) as progress:
            yield Live(progress, count).show
    else:
        yield Lines(console, count).show


def _print_kept(console: Console, count: Count) -> None:
    if count.kept:
        text = f"{count.kept} of {count.num_trainings} trainings are there already"
        console.print(text, markup=False, highlight=False)


class Count:
    """Counts trainings, keeps the best accuracy of each combination, and guesses the time left."""

    def __init__(self, num_trainings: int, num_workers: int) -> None:
        self.num_trainings = num_trainings
        self.num_workers = num_workers
        self.begun = False
        """Whether a training of this execution has begun."""
        self.ended = 0
        self.kept = 0
        self.best: dict[str, float] = {}
        """The best trial's accuracy: confirmations take no part in the choice."""
        self._under_way: dict[tuple[str, str], float] = {}
        self._epochs = 0
        self._warm: tuple[float, float] | None = None

    def add(self, event: Event) -> None:
        """Take an event into account."""
        self.begun |= not event.kept
        training = (event.combination, event.training)
        if event.state is None:
            self._under_way[training] = event.epoch / event.epochs
            self._epochs += event.epoch > 0
        else:
            self._under_way.pop(training, None)
            self.ended += 1
            self.kept += event.kept
        if event.kind == "trial" and event.state == "COMPLETE" and event.val_accuracy is not None:
            best = self.best.get(event.combination, 0.0)
            self.best[event.combination] = max(best, event.val_accuracy)
        if self._warm is None and self._epochs >= self.num_workers:
            self._warm = (time.monotonic(), self._trained())

    def time_left(self) -> str:
        """Return a guess such as `12 min left`, or nothing before enough has been seen.

        The clock starts when there are as many epochs as workers: before, they were starting up.
        What counts is trainings from then on, those under way by the share of their epochs: so a
        guess comes after a few epochs, and pruned and diverged trainings make it shorter.
        """
        enough = (1 + WARMED_UP) * self.num_workers
        left = self.num_trainings - self.kept - self._trained()
        if self._warm is None or self._epochs < enough or left <= 0:
            return ""
        since, trained_then = self._warm
        trained = self._trained() - trained_then
        if trained <= 0:  # a training whose process died begins again
            return ""
        return f"{duration((time.monotonic() - since) / trained * left)} left"

    def _trained(self) -> float:
        """Return how many trainings this execution has done, parts of them included."""
        return self.ended - self.kept + sum(self._under_way.values())


class Lines:
    """Writes one plain line for every training that ends."""

    def __init__(self, console: Console, count: Count) -> None:
        self.console = console
        self.count = count

    def show(self, event: Event) -> None:
        """Write the line of an event that ends a training, unless it tells of the time before."""
        count = self.count
        if event.state is None or not count.begun:
            return
        words = [
            f"[{count.ended}/{count.num_trainings}]",
            f"{event.combination} {event.training}:",
            _result(event),
            _best(count, event),
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
        note = " ".join(filter(None, [_result(event), _best(self.count, event)]))
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
    ended = {
        "PRUNED": f"pruned at epoch {event.epoch}",
        "FAIL": "diverged" if event.diverged else f"failed: {event.reason}",
    }
    kept = "there already" if event.kept else ""
    return ", ".join(filter(None, [accuracy, ended.get(event.state or ""), kept]))


def _best(count: Count, event: Event) -> str:
    """Write the combination's best trial so far, beside a trial."""
    best = count.best.get(event.combination) if event.kind == "trial" else None
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

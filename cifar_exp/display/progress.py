"""Progress of a sweep: a live display in a terminal or a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column

from cifar_exp.components.datasets import Progress as DataProgress
from cifar_exp.display.notebook import NotebookProgress, in_notebook
from cifar_exp.sweep.events import Event, Notice, Watch
from cifar_exp.system.formatting import counted, duration

WARMED_UP = 2  # epochs per worker, after the first, before the time left is estimated
NARROW = 80  # columns of a terminal


@contextmanager
def sweep_progress(console: Console, num_trainings: int, num_workers: int) -> Iterator[Watch]:
    """Show the progress of a sweep: a live display in a terminal or a notebook, else lines.

    Before the first training starts, a line shows how many were finished by an earlier execution.
    """
    count = Count(num_trainings, num_workers)
    with _sweep_display(console, count) as show:

        def watch(event: Event | Notice) -> None:
            if isinstance(event, Notice):
                count.num_trainings += event.more
                console.print(event.sentence, markup=False, highlight=False)
            else:
                ended_or_begun(event)

        def ended_or_begun(event: Event) -> None:
            if not (count.begun or event.kept):
                _print_kept(console, count)
            count.add(event)
            show(event)

        yield watch
    if not count.begun:
        _print_kept(console, count)


@contextmanager
def _sweep_display(console: Console, count: Count) -> Iterator[Callable[[Event], None]]:
    if console.is_interactive:
        with _display(console) as progress:
            yield Live(progress, count).show
    elif in_notebook() and not console.quiet:
        with NotebookProgress(*_columns(console)) as progress:
            yield Live(progress, count).show
    else:
        yield Lines(console, count).show


def _print_kept(console: Console, count: Count) -> None:
    if count.kept:
        text = f"{count.kept} of {counted(count.num_trainings, 'training')} already finished"
        console.print(text, markup=False, highlight=False)


class Count:
    """Counts trainings, tracks the best accuracy of each study, estimates the time left."""

    def __init__(self, num_trainings: int, num_workers: int) -> None:
        self.num_trainings = num_trainings
        self.num_workers = num_workers
        self.begun = False
        """Whether a training of this execution has started."""
        self.ended = 0
        self.kept = 0
        self.best: dict[str, float] = {}
        """Best validation accuracy of the trials by study; confirmations do not count."""
        self._running: dict[tuple[str, str], float] = {}
        self._together: dict[tuple[str, str], int] = {}
        """The number of trainings in the group of each training."""
        self._epochs = Fraction()
        """Finished epochs of groups."""
        self._warmed_up: tuple[float, float] | None = None

    def add(self, event: Event) -> None:
        """Update the counts with an event."""
        self.begun |= not event.kept
        training = (event.study, event.training)
        if event.group is not None:
            self._together[training] = event.together
        if event.state is None:
            self._running[training] = event.epoch / event.epochs
            if event.epoch > 0:
                self._epochs += Fraction(1, self._together.get(training, 1))
        else:
            self._running.pop(training, None)
            self.ended += 1
            self.kept += event.kept
        if event.kind == "trial" and event.state == "COMPLETE" and event.val_accuracy is not None:
            best = self.best.get(event.study, 0.0)
            self.best[event.study] = max(best, event.val_accuracy)
        if self._warmed_up is None and self._epochs >= self.num_workers:
            self._warmed_up = (time.monotonic(), self._trained())

    def time_left(self) -> str:
        """Return an estimate such as `12 min left`, or "" while there is too little data.

        The clock starts once as many epochs have finished as there are workers, so that startup is
        not counted; an epoch of a group counts once. From then on, each running training counts by
        the fraction of its epochs that are done. So an estimate is available after a few epochs,
        and pruned and diverged trainings shorten it.
        """
        enough = (1 + WARMED_UP) * self.num_workers
        left = self.num_trainings - self.kept - self._trained()
        if self._warmed_up is None or self._epochs < enough or left <= 0:
            return ""
        since, trained_then = self._warmed_up
        trained = self._trained() - trained_then
        if trained <= 0:  # a training whose process died has restarted
            return ""
        return f"{duration((time.monotonic() - since) / trained * left)} left"

    def _trained(self) -> float:
        """Return how many trainings this execution has done, including fractions of them."""
        return self.ended - self.kept + sum(self._running.values())


class Lines:
    """Prints one plain line per finished training."""

    def __init__(self, console: Console, count: Count) -> None:
        self.console = console
        self.count = count

    def show(self, event: Event) -> None:
        """Print a line if an event ends a training of this execution."""
        count = self.count
        if event.state is None or not count.begun:
            return
        words = [
            f"[{count.ended}/{count.num_trainings}]",
            f"{event.study} {event.training}:",
            _result(event),
            _best(count, event),
            count.time_left(),
        ]
        self.console.print(" ".join(filter(None, words)), markup=False, highlight=False)


class Live:
    """Shows a progress bar for the sweep and one for each running group of trainings."""

    def __init__(self, progress: Progress, count: Count) -> None:
        self.progress = progress
        self.count = count
        self.total = progress.add_task("sweep", total=count.num_trainings, note="")
        self.tasks: dict[str, TaskID] = {}
        """The bar of each group, by its name."""
        self.groups: dict[tuple[str, str], str] = {}
        """The group of each running training."""

    def show(self, event: Event) -> None:
        """Update the display with an event."""
        note = self.count.time_left()
        count = self.count
        self.progress.update(
            self.total, completed=count.ended, total=count.num_trainings, note=note
        )
        training = (event.study, event.training)
        if event.group is not None:
            self._start(training, event, event.group)
        elif event.state is not None:
            self._end(training)
        elif training in self.groups:
            self._advance(self.groups[training], event)

    def _start(self, training: tuple[str, str], event: Event, group: str) -> None:
        if training in self.groups:
            self._forget(self.groups[training])  # its trainer has died, or it was divided
        self.groups[training] = group
        if group not in self.tasks:
            name = " ".join(training) if event.together == 1 else f"{event.together} networks"
            self.tasks[group] = self.progress.add_task(name, total=event.epochs, note="")

    def _forget(self, group: str) -> None:
        """Remove a group of which no training runs."""
        self.groups = {training: name for training, name in self.groups.items() if name != group}
        self.progress.remove_task(self.tasks.pop(group))

    def _advance(self, group: str, event: Event) -> None:
        if self._num_running(group) > 1:
            note = f"{self._num_running(group)} running, {event.images_per_second:,.0f} images/s"
        else:
            note = " ".join(filter(None, [_result(event), _best(self.count, event)]))
        self.progress.update(self.tasks[group], completed=event.epoch, note=note)

    def _end(self, training: tuple[str, str]) -> None:
        group = self.groups.pop(training, None)
        if group is not None and not self._num_running(group):
            self._forget(group)

    def _num_running(self, group: str) -> int:
        return sum(name == group for name in self.groups.values())


def _display(console: Console) -> Progress:
    return Progress(
        *_columns(console),
        console=console,
        transient=True,
        redirect_stderr=sys.stderr.isatty(),  # not what goes to a file
        disable=not console.is_interactive,
    )


def _columns(console: Console) -> list[ProgressColumn]:
    """Return the columns of the display; in a narrow terminal without a bar, and texts may wrap."""
    narrow = console.width < NARROW
    name, note = (
        TextColumn(text, table_column=Column(no_wrap=not narrow, overflow="fold"))
        for text in ("{task.description}", "{task.fields[note]}")
    )
    bar = [] if narrow else [BarColumn()]
    return [name, *bar, MofNCompleteColumn(), TimeElapsedColumn(), note]


def _result(event: Event) -> str:
    accuracy = "" if event.val_accuracy is None else f"val {event.val_accuracy:.2%}"
    ended = {
        "PRUNED": f"pruned at epoch {event.epoch}",
        "FAIL": "diverged" if event.diverged else f"failed: {event.reason}",
    }
    kept = "already finished" if event.kept else ""
    return ", ".join(filter(None, [accuracy, ended.get(event.state or ""), kept]))


def _best(count: Count, event: Event) -> str:
    """Return the best trial so far of the study, for the line of a trial."""
    best = count.best.get(event.study) if event.kind == "trial" else None
    return "" if best is None else f"(best {best:.2%})"


@contextmanager
def data_progress(console: Console) -> Iterator[DataProgress]:
    """Show the progress of data preparation: bars in a terminal, else one line per step."""
    steps: dict[str, TaskID] = {}
    with _display(console) as progress:

        def show(step: str, done: int, total: int) -> None:
            if step not in steps:
                steps[step] = progress.add_task(step, total=total, note="")
                if not console.is_interactive:
                    console.print(step, markup=False, highlight=False)
            progress.update(steps[step], completed=done, total=total)

        yield show

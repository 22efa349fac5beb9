"""The progress of a sweep, read from MLflow by another process."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from cifar_exp.cli import watch
from cifar_exp.comparison.progress import CombinationProgress, Running, SweepProgress
from cifar_exp.display import console
from cifar_exp.tracking import Point, Run, Tracker, connect_to_read, read_sweeps
from tests import tiny
from tests.bench import Bench
from tests.command import Cli

TABLE = """\
tiny: 1 of 5 trainings, 2 running, about 7 s left
 combination trials best val accuracy confirmations running epoch
 mse+sgd        1/3            50.00%           0/2       2 0-2/4
"""


def begin(tracker: Tracker) -> tuple[Run, list[Run]]:
    """Begin a sweep with one combination and three trials."""
    params = {"trials": 3, "seeds": 2}
    sweep = tracker.new_run("sweep", "tiny", tags={"definition": "a"}, params=params)
    tags = {"combination": "mse+sgd", "combination_id": "b"}
    members = {"loss": "mse", "optimizer": "sgd"}
    parent = tracker.new_run(
        "combination", "mse+sgd", parent=sweep.run_id, tags=tags, params=members
    )
    trials = [
        tracker.new_run(
            "trial",
            f"mse+sgd #{number}",
            parent=parent.run_id,
            tags={**tags, "number": str(number), "study": "1"},
            params={"epochs": 4, "lr": 0.1 * number, "batch_size": 8},
        )
        for number in range(3)
    ]
    return sweep, trials


def cells(text: str) -> list[list[str]]:
    """Return the words of each line that is not a rule of a table."""
    return [line.split() for line in text.splitlines() if set(line) - {" ", "─"}]


def test_the_sweep_that_runs_is_shown_once(cli: Cli, tracker: Tracker) -> None:
    _, (first, second, _) = begin(tracker)
    first.end_training("COMPLETE", {"val_accuracy": 0.5, "seconds": 4.0}, {})
    second.log_epochs([Point(epoch, 0, {"val/accuracy": 0.5}) for epoch in (1, 2)])
    for words in ((), ("--once",), ("tiny",)):  # standard output is no terminal
        shown = cli("watch", *words)
        assert (shown.code, shown.err) == (0, "")
        # Four trainings are left, one of them half done; two run at once, for 4 s each: 7 s.
        assert cells(shown.out) == cells(TABLE)


@pytest.mark.usefixtures("swept")
def test_a_sweep_that_has_ended_is_shown_with_the_first_of_its_ranking(cli: Cli) -> None:
    shown = cli("watch", "tiny", "--once")
    assert (shown.code, shown.err) == (0, "")
    assert cells(shown.out)[0] == ["tiny:", "10", "of", "10", "trainings"]
    ranking = cli("compare", "tiny").out.splitlines()
    first = next(line for line in ranking if line.split()[:1] == ["1"])
    assert first.split() in cells(shown.out)
    assert shown.out.endswith("The whole ranking: cifar-exp compare tiny\n")


def test_a_sweep_that_was_interrupted(cli: Cli, tracker: Tracker) -> None:
    sweep, _ = begin(tracker)
    sweep.end("KILLED")
    shown = cli("watch", "tiny")
    assert shown.code == 0
    assert shown.out.endswith(
        "the sweep has ended without a ranking; the same command resumes it\n"
    )


def test_where_no_sweep_runs(cli: Cli, tracker: Tracker, tracking_uri: str) -> None:
    store = f"the MLflow store {tracking_uri}"
    assert cli("watch").err == f"no sweep runs in {store}\n"
    assert cli("watch", "tiny").err == f"{store} holds no sweep of experiment 'tiny'\n"
    begin(tracker)[0].end()
    shown = cli("watch")
    assert shown.code == 2
    assert shown.err == (
        f"no sweep runs in {store}; the newest one has ended: cifar-exp compare tiny\n"
    )


def found(status: str, trials: int, *running: Running, left: float | None = None) -> SweepProgress:
    """Return how far a sweep is that has written something 1000 s after 1970."""
    combination = CombinationProgress(
        name="mse+sgd",
        trials=trials,
        all_trials=3,
        confirmations=0,
        all_confirmations=2,
        val_accuracy=0.5,
        running=running,
    )
    return SweepProgress(
        experiment="tiny",
        status=status,
        combinations=(combination,),
        seconds_left=left,
        newest=1_000_000,
    )


@pytest.mark.parametrize(
    ("status", "now", "end"),
    [
        ("RUNNING", 1240, ", about 40 s left"),
        ("RUNNING", 940, ", about 40 s left"),  # the clock of another machine
        ("FINISHED", 1720, ", about 40 s left"),
        (
            *("RUNNING", 1720),
            ", nothing new for 12 min; if it was killed, the same command resumes it",
        ),
    ],
)
def test_a_sweep_that_writes_nothing_may_be_killed(status: str, now: float, end: str) -> None:
    sweep = found(status, 2, Running(epoch=1, epochs=4), left=40)
    assert watch._title(sweep, now) == f"tiny: 2 of 5 trainings, 1 running{end}"


def terminal(width: int = 100) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)


def test_the_display_is_refreshed_until_the_sweep_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("cifar_exp.cli.watch.time.sleep", waited.append)
    later = iter([found("RUNNING", 2, Running(epoch=1, epochs=4)), found("FINISHED", 3)])
    screen = terminal()
    last = watch._show(screen, found("RUNNING", 1), lambda: next(later), 2.5)
    assert (last.status, waited) == ("FINISHED", [2.5, 2.5])
    assert isinstance(screen.file, io.StringIO)
    shown = screen.file.getvalue()
    assert [f"{done}/3" in shown for done in (1, 2, 3)] == [True] * 3
    assert "tiny: 2 of 5 trainings, 1 running" in shown


def test_a_narrow_terminal_has_lines_of_text() -> None:
    screen = terminal(width=40)
    screen.print(watch._table(screen, found("RUNNING", 2, Running(epoch=1, epochs=4))))
    assert isinstance(screen.file, io.StringIO)
    assert max(map(len, screen.file.getvalue().splitlines())) <= 40
    assert "mse+sgd: trials 2/3" in screen.file.getvalue()


def test_ctrl_c_ends_the_display_and_not_the_sweep(
    cli: Cli, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(tracker)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cifar_exp.cli.watch.time.sleep", interrupt)
    monkeypatch.setattr(console, "stdout", terminal)
    shown = cli("watch")
    assert (shown.code, shown.last) == (130, "interrupted; the sweep goes on")
    assert all(record.status == "RUNNING" for record in tracker.records())


def test_a_real_sweep_is_followed_to_its_end(bench: Bench, images: Path) -> None:
    reading: list[SweepProgress] = []

    def looks() -> Iterator[SweepProgress]:
        client = connect_to_read(bench.tracking_uri)
        read = watch._reading(client, read_sweeps(client)[-1])
        while True:
            yield read()

    look = looks()
    bench.run(tiny.definition(images), watch=lambda _: reading.append(next(look)))
    last = next(look)
    assert (last.status, last.ended, last.total) == ("FINISHED", 10, 10)
    ended = [each.ended for each in reading]
    assert ended == sorted(ended)
    assert any(each.running for each in reading)
    assert {(each.status, each.total) for each in reading} == {("RUNNING", 10)}
    best = {row.combination: row.val_accuracy for row in bench.ranking().combinations}
    assert {each.name: each.val_accuracy for each in last.combinations} == best
    assert last.running == 0

"""What is shown while a sweep works: counts, times and, in a terminal, a live display."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from cifar_exp import progress
from cifar_exp.event import Event
from cifar_exp.progress import Count, Lines, data_progress, sweep_progress
from cifar_exp.record import TrialState


class Clock:
    """Tells the time that it is set to."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def plain() -> Console:
    return Console(file=io.StringIO(), width=100)


def terminal() -> Console:
    return Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)


def printed(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def epoch(number: int, training: str = "trial 0", combination: str = "mse+sgd") -> Event:
    return Event(
        combination=combination, training=training, epoch=number, epochs=4, val_accuracy=0.25
    )


def end(
    state: TrialState = "COMPLETE",
    accuracy: float | None = 0.5,
    training: str = "trial 0",
    *,
    kept: bool = False,
) -> Event:
    return Event(
        combination="mse+sgd",
        training=training,
        epoch=3,
        epochs=4,
        val_accuracy=accuracy,
        state=state,
        kept=kept,
    )


# Counting.


def test_trainings_are_counted_when_they_end() -> None:
    count = Count(9)
    for event in (epoch(1), epoch(2), end(), end("PRUNED"), end("FAIL", None), end(kept=True)):
        count.add(event)
    assert (count.ended, count.kept) == (4, 1)


def test_the_best_is_that_of_complete_trainings() -> None:
    count = Count(9)
    for event in (end(accuracy=0.5), end(accuracy=0.4), end("PRUNED", 0.9), end("FAIL", None)):
        count.add(event)
    assert count.best == {"mse+sgd": 0.5}


def test_the_time_left_is_that_of_the_trainings_so_far(clock: Clock) -> None:
    count = Count(5)
    assert count.time_left() == ""
    clock.now += 60
    count.add(end())
    assert count.time_left() == "4 min left"  # 4 more of 60 s
    clock.now += 40
    count.add(end())
    assert count.time_left() == "2 min left"  # 3 more of 50 s


def test_trainings_of_an_earlier_execution_took_no_time(clock: Clock) -> None:
    count = Count(5)
    count.add(end(kept=True))
    count.add(end(kept=True))
    assert count.time_left() == ""
    clock.now += 30
    count.add(end())
    assert count.time_left() == "60 s left"  # 2 more of 30 s


def test_nothing_is_left_at_the_end(clock: Clock) -> None:
    count = Count(1)
    clock.now += 30
    count.add(end())
    assert count.time_left() == ""


# Plain lines.


def test_a_line_for_every_training_that_ends(clock: Clock) -> None:
    screen = plain()
    with sweep_progress(screen, 5) as show:
        show(epoch(1))
        show(end(training="trial 0", kept=True))
        clock.now += 60
        show(end(accuracy=0.4, training="trial 1"))
        show(end("PRUNED", 0.3, training="trial 2"))
        show(end("FAIL", None, training="trial 3"))
        show(end(accuracy=0.75, training="seed 1"))
    assert printed(screen).splitlines() == [
        "[2/5] mse+sgd trial 1: val 40.00% (best 50.00%) 3 min left",
        "[3/5] mse+sgd trial 2: val 30.00%, pruned at epoch 3 (best 50.00%) 60 s left",
        "[4/5] mse+sgd trial 3: no result (best 50.00%) 20 s left",
        "[5/5] mse+sgd seed 1: val 75.00% (best 75.00%)",
        "1 of 5 trainings were there already",
    ]


def test_plain_lines_hold_no_control_characters() -> None:
    screen = plain()
    lines = Lines(screen, Count(2))
    lines.show(end())
    assert printed(screen).rstrip("\n").isprintable()


def test_names_are_not_taken_for_markup() -> None:
    screen = plain()
    Lines(screen, Count(2)).show(end(training="[bold]"))
    assert "[1/2] mse+sgd [bold]:" in printed(screen)


# The live display.


def test_the_live_display_shows_the_sweep_and_what_is_at_work() -> None:
    screen = terminal()
    with sweep_progress(screen, 4) as show:
        show(end(kept=True))
        show(epoch(1, "trial 1"))
        show(epoch(2, "trial 1"))
        show(epoch(1, "trial 0", "l1+sgd"))
        show(end(training="trial 1"))
        show(end("FAIL", None, training="trial 2"))
        show(epoch(1, "trial 3"))
    shown = printed(screen)
    assert "\x1b[" in shown  # it moves the cursor
    assert "sweep" in shown


def test_a_combination_leaves_the_live_display_when_its_training_ends() -> None:
    with progress._display(terminal()) as display:
        live = progress.Live(display, Count(4))
        live.show(epoch(1))
        assert [task.description for task in display.tasks] == ["sweep", "mse+sgd trial 0"]
        assert (display.tasks[1].completed, display.tasks[1].total) == (1, 4)
        assert display.tasks[1].fields["note"] == "val 25.00%"
        live.show(end())
        assert [task.description for task in display.tasks] == ["sweep"]
        assert (display.tasks[0].completed, display.tasks[0].total) == (1, 4)
        live.show(epoch(2, "trial 1"))
        assert display.tasks[1].fields["note"] == "val 25.00% (best 50.00%)"


def test_the_live_display_goes_away_on_an_error() -> None:
    screen = terminal()
    with pytest.raises(KeyboardInterrupt), sweep_progress(screen, 4) as show:  # noqa: PT012
        show(epoch(1))
        raise KeyboardInterrupt
    assert "\x1b[?25h" in printed(screen)  # the cursor is back


# Preparing data.


def test_data_progress_writes_a_line_a_step_to_a_pipe() -> None:
    screen = plain()
    with data_progress(screen) as show:
        show("decoding images", 256, 1000)
        show("decoding images", 1000, 1000)
    assert printed(screen) == "decoding images\n"


def test_data_progress_shows_each_step_in_a_terminal() -> None:
    screen = terminal()
    with data_progress(screen) as show:
        show("downloading", 10, 20)
        show("downloading", 20, 20)
        show("decoding images", 1, 20)
    assert "decoding images" in printed(screen)

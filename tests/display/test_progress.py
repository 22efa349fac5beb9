"""What is shown while a sweep works: counts, times and, in a terminal, a live display."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from cifar_exp.display import progress
from cifar_exp.display.progress import Count, data_progress, sweep_progress
from cifar_exp.records import TrialState
from cifar_exp.sweep.events import Event, Notice


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


def training(name: str) -> dict[str, Any]:
    kind, number = name.split()
    return {"kind": {"trial": "trial", "seed": "confirmation"}[kind], "number": int(number)}


def epoch(number: int, name: str = "trial 0", study: str = "mse+sgd") -> Event:
    accuracy = 0.25 if number else None
    return Event(study=study, epoch=number, epochs=4, val_accuracy=accuracy, **training(name))


def begin(name: str, group: str | None = None, together: int = 1) -> Event:
    """A training begins, by itself or in a group."""
    return replace(epoch(0, name), group=group or name, together=together)


def trained(number: int, name: str) -> Event:
    return replace(epoch(number, name), images_per_second=1234.5)


def end(
    state: TrialState = "COMPLETE",
    accuracy: float | None = 0.5,
    name: str = "trial 0",
    **facts: Any,
) -> Event:
    return Event(
        study="mse+sgd",
        epoch=3,
        epochs=4,
        val_accuracy=accuracy,
        state=state,
        **training(name),
        **facts,
    )


def whole(count: Count, clock: Clock, name: str, seconds: float, epochs: int = 4) -> None:
    """Let a training pass, its epochs equally long."""
    count.add(epoch(0, name))
    for number in range(1, epochs + 1):
        clock.now += seconds / epochs
        count.add(epoch(number, name))
    count.add(end("COMPLETE" if epochs == 4 else "PRUNED", name=name))


# Counting.


def test_trainings_are_counted_when_they_end() -> None:
    count = Count(9, 1)
    for event in (epoch(1), epoch(2), end(), end("PRUNED"), end("FAIL", None), end(kept=True)):
        count.add(event)
    assert (count.ended, count.kept) == (4, 1)


def test_the_best_is_that_of_complete_trials() -> None:
    count = Count(9, 1)
    for event in (end(accuracy=0.5), end(accuracy=0.4), end("PRUNED", 0.9), end("FAIL", None)):
        count.add(event)
    count.add(end(accuracy=0.8, name="seed 1"))
    assert count.best == {"mse+sgd": 0.5}


def test_a_training_begins_when_the_first_one_that_is_not_kept_is_told_of() -> None:
    count = Count(9, 1)
    count.add(end(kept=True))
    assert not count.begun
    count.add(epoch(0))
    assert count.begun


def test_the_time_left_is_that_of_the_trainings_so_far(clock: Clock) -> None:
    count = Count(5, 1)
    whole(count, clock, "trial 0", 40)
    assert count.time_left() == "3 min left"  # 4 more of 40 s
    whole(count, clock, "trial 1", 60)
    assert count.time_left() == "3 min left"  # 1.75 trainings took 90 s; 3 more


def test_no_time_is_told_before_enough_epochs_have_been_seen(clock: Clock) -> None:
    count = Count(5, 2)
    told = []
    for name, number in itertools.product(("trial 0", "trial 1"), range(5)):
        clock.now += 10
        count.add(epoch(number, name))
        told.append(count.time_left())
    assert not any(told[:7])  # less than six epochs, three a worker
    assert told[7] == "3 min left"  # after two epochs, four more came in 50 s; 14 are left


def test_the_start_of_the_workers_is_no_training(clock: Clock) -> None:
    count = Count(3, 1)
    clock.now += 500  # it loads libraries
    whole(count, clock, "trial 0", 40)
    assert count.time_left() == "80 s left"


def test_trainings_under_way_count_by_their_epochs(clock: Clock) -> None:
    count = Count(2, 1)
    for number in range(4):
        clock.now += 10
        count.add(epoch(number))
    assert count.time_left() == "50 s left"  # five epochs of 10 s


def test_pruned_and_diverged_trainings_make_the_rest_shorter(clock: Clock) -> None:
    count = Count(6, 1)
    whole(count, clock, "trial 0", 40)
    whole(count, clock, "trial 1", 10, epochs=1)
    count.add(end("FAIL", None, "trial 2", diverged=True))
    assert count.time_left() == "44 s left"  # 2.75 trainings in 40 s, 3 more


def test_trainings_of_an_earlier_execution_took_no_time(clock: Clock) -> None:
    count = Count(5, 1)
    count.add(end(kept=True))
    count.add(end(kept=True, name="trial 1"))
    assert count.time_left() == ""
    whole(count, clock, "trial 2", 40)
    assert count.time_left() == "80 s left"  # 2 more of 40 s


def test_a_training_that_begins_again_makes_no_time_up(clock: Clock) -> None:
    count = Count(5, 1)
    for number in range(3):
        clock.now += 10
        count.add(epoch(number))
    for number in range(3):  # its process died
        clock.now += 10
        count.add(epoch(number))
        assert count.time_left() in ("", "12 min left")
    assert count.time_left() == "12 min left"  # a quarter more than at the start took 40 s


def test_an_epoch_of_a_group_counts_once_for_the_time_left(clock: Clock) -> None:
    """The first one, which starts the clock, and the two after it that are waited for."""
    count = Count(12, 1)
    names = [f"trial {number}" for number in range(6)]
    for name in names:
        count.add(begin(name, "trial 0", 6))
    told = []
    for number in range(1, 5):
        clock.now += 10
        for name in names:
            count.add(epoch(number, name))
        told.append(count.time_left())
    assert told[:2] == ["", ""]
    assert told[2:] == ["50 s left", "40 s left"]  # five epochs of the two groups, and four


def test_nothing_is_left_at_the_end(clock: Clock) -> None:
    count = Count(1, 1)
    whole(count, clock, "trial 0", 40)
    assert count.time_left() == ""


# Plain lines.


def test_a_line_for_every_training_that_ends() -> None:
    screen = plain()
    with sweep_progress(screen, 7, 1) as show:
        show(end(name="trial 0", kept=True))
        show(epoch(0, "trial 1"))
        show(end(accuracy=0.4, name="trial 1"))
        show(end("PRUNED", 0.3, name="trial 2"))
        show(end("FAIL", None, name="trial 3", diverged=True, reason="the loss is not finite"))
        show(end("FAIL", None, name="trial 4", reason="IndexError: out of range"))
        show(end(accuracy=0.6, name="seed 1", kept=True))
        show(end(accuracy=0.75, name="seed 2"))
    assert printed(screen).splitlines() == [
        "1 of 7 trainings already finished",
        "[2/7] mse+sgd trial 1: val 40.00% (best 50.00%)",
        "[3/7] mse+sgd trial 2: val 30.00%, pruned at epoch 3 (best 50.00%)",
        "[4/7] mse+sgd trial 3: diverged (best 50.00%)",
        "[5/7] mse+sgd trial 4: failed: IndexError: out of range (best 50.00%)",
        "[6/7] mse+sgd seed 1: val 60.00%, already finished",
        "[7/7] mse+sgd seed 2: val 75.00%",
    ]


def test_the_time_left_ends_the_line(clock: Clock) -> None:
    screen = plain()
    with sweep_progress(screen, 3, 1) as show:
        for number in range(1, 5):
            clock.now += 10
            show(epoch(number))
        show(end())
    assert printed(screen) == "[1/3] mse+sgd trial 0: val 50.00% (best 50.00%) 80 s left\n"


@pytest.mark.parametrize("make", [plain, terminal])
def test_a_look_adds_trainings_and_is_told_in_a_sentence(make: Callable[[], Console]) -> None:
    screen = make()
    with sweep_progress(screen, 2, 1) as show:
        show(end(name="trial 0"))
        show(end(name="seed 1"))
        show(Notice(sentence="2 of [3] combinations may be the best: 2 more trainings", more=2))
        show(end(name="seed 2", kept=True))
        show(end(name="seed 3"))
    shown = printed(screen)
    assert "2 of [3] combinations may be the best: 2 more trainings\n" in shown
    if make is plain:
        assert [line.split()[0] for line in shown.splitlines() if line.startswith("[")] == [
            "[1/2]", "[2/2]", "[3/4]", "[4/4]",
        ]  # fmt: skip


def test_the_live_display_grows_with_a_look() -> None:
    screen = terminal()
    with sweep_progress(screen, 2, 1) as show:
        show(begin("trial 0"))
        show(Notice(sentence="more", more=5))
        show(end(name="trial 0"))
    assert "1/7" in printed(screen)


@pytest.mark.parametrize("make", [plain, terminal])
def test_where_nothing_is_left_that_is_said(make: Callable[[], Console]) -> None:
    screen = make()
    with sweep_progress(screen, 2, 2) as show:
        show(end(name="trial 0", kept=True))
        show(end(name="trial 1", kept=True))
    assert "2 of 2 trainings already finished" in printed(screen)


def test_plain_lines_hold_no_control_characters() -> None:
    screen = plain()
    with sweep_progress(screen, 2, 1) as show:
        show(end())
    assert printed(screen).rstrip("\n").isprintable()


def test_names_are_not_taken_for_markup() -> None:
    screen = plain()
    with sweep_progress(screen, 2, 1) as show:
        show(replace(end(), study="[bold]"))
    assert "[1/2] [bold] trial 0:" in printed(screen)


# The live display.


def test_the_live_display_shows_the_sweep_and_what_is_at_work() -> None:
    screen = terminal()
    with sweep_progress(screen, 4, 2) as show:
        show(end(kept=True))
        show(begin("trial 1"))
        show(epoch(2, "trial 1"))
        show(epoch(1, "trial 0", "l1+sgd"))
        show(end(name="trial 1"))
        show(end("FAIL", None, name="trial 2"))
        show(epoch(1, "trial 3"))
    shown = printed(screen)
    assert "\x1b[" in shown  # it moves the cursor
    assert "sweep" in shown
    assert "1 of 4 trainings already finished" in shown


def test_a_combination_leaves_the_live_display_when_its_training_ends() -> None:
    with progress._display(terminal()) as display:
        count = Count(4, 1)
        live = progress.Live(display, count)

        def show(event: Event) -> None:
            count.add(event)
            live.show(event)

        show(begin("trial 0"))
        assert [task.description for task in display.tasks] == ["sweep", "mse+sgd trial 0"]
        assert (display.tasks[1].completed, display.tasks[1].total) == (0, 4)
        show(epoch(1))
        assert (display.tasks[1].completed, display.tasks[1].total) == (1, 4)
        assert display.tasks[1].fields["note"] == "val 25.00%"
        show(end())
        assert [task.description for task in display.tasks] == ["sweep"]
        assert (display.tasks[0].completed, display.tasks[0].total) == (1, 4)
        show(begin("trial 1"))
        show(epoch(2, "trial 1"))
        assert display.tasks[1].fields["note"] == "val 25.00% (best 50.00%)"


@pytest.fixture
def live(clock: Clock) -> Iterator[tuple[Callable[[Event], None], Callable[[], list[str]]]]:
    """Show events, and list the bars of groups with their notes."""
    del clock
    with progress._display(terminal()) as display:
        count = Count(9, 1)
        live = progress.Live(display, count)

        def show(event: Event) -> None:
            count.add(event)
            live.show(event)

        def bars() -> list[str]:
            tasks = display.tasks[1:]
            return [f"{task.description}: {task.fields['note']}" for task in tasks]

        yield show, bars


Shown = tuple[Callable[[Event], None], Callable[[], list[str]]]


def test_a_group_is_one_bar_until_its_last_training_ends(live: Shown) -> None:
    show, bars = live
    for number in range(3):
        show(begin(f"trial {number}", "first", 3))
    assert bars() == ["3 networks: "]
    for number in range(3):
        show(trained(1, f"trial {number}"))
    assert bars() == ["3 networks: 3 running, 1,234 images/s"]
    show(end("PRUNED", 0.1, "trial 0"))
    show(trained(2, "trial 1"))
    assert bars() == ["3 networks: 2 running, 1,234 images/s"]
    show(end("FAIL", None, "trial 1", diverged=True))
    show(trained(2, "trial 2"))
    assert bars() == ["3 networks: val 25.00%"]
    show(end(name="trial 2"))
    assert bars() == []


def test_a_group_whose_trainer_died_has_a_bar_of_what_is_left(live: Shown) -> None:
    show, bars = live
    for number in range(3):
        show(begin(f"trial {number}", "trial 0", 3))
    show(end("FAIL", None, "trial 0", diverged=True))
    for number in (1, 2):
        show(begin(f"trial {number}", "trial 1", 2))
    assert bars() == ["2 networks: "]
    show(begin("trial 1", "trial 1"))  # the last attempt, alone; trial 2 waits
    assert bars() == ["mse+sgd trial 1: "]
    show(trained(1, "trial 1"))
    assert bars() == ["mse+sgd trial 1: val 25.00%"]
    show(end(name="trial 1"))
    show(begin("trial 2", "trial 2"))
    assert bars() == ["mse+sgd trial 2: "]
    show(end(name="trial 2"))
    assert bars() == []


def test_a_divided_group_has_a_bar_for_each_part(live: Shown) -> None:
    show, bars = live
    for number in range(4):
        show(begin(f"trial {number}", "trial 0", 4))
    for number in range(4):
        first = number - number % 2
        show(begin(f"trial {number}", f"trial {first}", 2))
    assert bars() == ["2 networks: "] * 2


@pytest.mark.parametrize("width", [60, 79])
def test_a_narrow_terminal_shows_every_word_of_the_display(width: int) -> None:
    screen = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    name = "smoothed_cross_entropy+nesterov"
    with sweep_progress(screen, 4, 1) as show:
        show(replace(begin("trial 0"), study=name))
        show(replace(trained(1, "trial 0"), study=name))
    shown = printed(screen)
    assert "…" not in shown
    assert all(word in shown for word in ("sweep", "0/4", "1/4", "trial 0", "25.00%"))


def test_lines_do_not_tell_of_groups() -> None:
    screen = plain()
    with sweep_progress(screen, 2, 1) as show:
        for event in (begin, lambda n, *_: trained(1, n), lambda n, *_: end(name=n)):
            for number in range(2):
                show(event(f"trial {number}", "trial 0", 2))
    assert printed(screen).splitlines() == [
        "[1/2] mse+sgd trial 0: val 50.00% (best 50.00%)",
        "[2/2] mse+sgd trial 1: val 50.00% (best 50.00%)",
    ]


def test_the_live_display_goes_away_on_an_error() -> None:
    screen = terminal()
    with pytest.raises(KeyboardInterrupt), sweep_progress(screen, 4, 1) as show:  # noqa: PT012
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
        show("decoding images", 1, 50)
    shown = printed(screen).splitlines()
    for what, counted in (("downloading", "20/20"), ("decoding images", " 1/50")):
        assert any(what in line and counted in line for line in shown)

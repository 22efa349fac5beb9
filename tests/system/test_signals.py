from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cifar_exp.system import signals

HANGING = """
import sys, time
from cifar_exp.system import signals
signals.SECONDS_TO_END = float(sys.argv[1])
signals.end_in_good_order("try again")
try:
    print("ready", flush=True)
    time.sleep(60)
finally:
    print("closing", flush=True)
    time.sleep(float(sys.argv[2]))
    print("closed", flush=True)
"""

LATE = """
import os, sys
from cifar_exp.system import signals
class Late:
    def __del__(self, kill=os.kill, write=os.write, pid=os.getpid(), number=int(sys.argv[1])):
        kill(pid, number)
        write(1, b"not ended")
late = Late()
signals.end_in_good_order("try again")
sys.exit(130)
"""

IGNORING = """
import os, signal
from cifar_exp.system import signals
signal.signal(signal.SIGUSR1, lambda *_: print("its own"))
signals.end_in_good_order("try again")
for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
    os.kill(os.getpid(), number)
print("goes on")
"""

KILLING = """
import os
from cifar_exp.system import signals
for number in signals.ENDING:
    os.kill(os.getpid(), number)
print("goes on")
"""

CODES = {"SIGHUP": 129, "SIGQUIT": 131, "SIGUSR1": 138, "SIGUSR2": 140, "SIGALRM": 142}
CODES |= {"SIGTERM": 143, "SIGXCPU": 152}  # as a shell reports them on Linux


def start(to_end: float, to_close: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HANGING, str(to_end), str(to_close)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_process_that_does_not_end_in_time_is_ended(number: signal.Signals, code: int) -> None:
    process = start(0.2, 60)
    process.send_signal(number)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output) == (code, "closing\n")
    assert errors == "ended before everything was closed; try again\n"


@pytest.fixture
def handling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Handle the signals in this process, as a command does."""
    before = {each: signal.getsignal(each) for each in signals.ENDING}
    monkeypatch.setattr(signals, "_exit_now", lambda *_: None)
    monkeypatch.setattr("atexit.register", lambda *_: None)
    for each in signals.ENDING:
        signal.signal(each, signal.SIG_DFL)
    signals.end_in_good_order("try again")
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.usefixtures("handling")
@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_every_signal_that_ends_a_process_closes_its_runs_first(name: str, code: int) -> None:
    number = signal.Signals[name]
    with pytest.raises(signals.Terminated) as raised:
        signal.raise_signal(number)
    assert raised.value.number == number
    assert signals.exit_code(number) == code
    assert str(raised.value) == ("terminated" if code == 143 else f"terminated by {name}")


@pytest.mark.usefixtures("handling")
def test_a_pending_signal_still_has_a_handler() -> None:
    """With SIG_IGN, Python would print that it was "ignored due to race condition"."""
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert all(callable(signal.getsignal(each)) for each in signals.ENDING)
    for each in signals.ENDING:
        signal.raise_signal(each)


def test_what_was_ignored_at_the_start_stays_ignored_and_a_handler_is_kept() -> None:
    """The shell ignores SIGHUP as nohup does, and SIGQUIT as it does for background jobs."""
    words = ["sh", "-c", 'trap \'\' HUP QUIT; exec "$0" -c "$1"', sys.executable, IGNORING]
    process = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout, process.stderr) == (0, "its own\ngoes on\n", "")


def test_processes_leave_signals_to_their_parent() -> None:
    """A closed terminal sends SIGHUP to all of them; the parent ends the others."""
    with signals.leaving_to_parent():
        child = subprocess.Popen([sys.executable, "-c", KILLING], stdout=subprocess.PIPE, text=True)
    output, _ = child.communicate(timeout=30)
    assert (child.returncode, output) == (0, "goes on\n")
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(signals.ENDING)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_does_not_interrupt_the_cleanup(second: signal.Signals) -> None:
    process = start(60, 0.2)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "closing\n"
    process.send_signal(second)
    output, errors = process.communicate(timeout=10)
    assert output == "closed\n"
    assert errors.strip().splitlines()[-1] == "KeyboardInterrupt"  # the first one, once
    assert errors.count("Traceback") == 1


@pytest.mark.parametrize("late", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_python_ends_does_not_change_the_exit_code(late: signal.Signals) -> None:
    words = [sys.executable, "-c", LATE, str(int(late))]
    process = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout, process.stderr) == (130, "not ended", "")

from __future__ import annotations

import signal
import subprocess
import sys

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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_that_does_not_end_in_time_is_ended(number: signal.Signals, code: int) -> None:
    process = start(0.2, 60)
    process.send_signal(number)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output) == (code, "closing\n")
    assert errors == "ended before everything was closed; try again\n"


def test_a_pending_signal_still_has_a_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """With SIG_IGN, Python would print that it was "ignored due to race condition"."""
    before = [signal.getsignal(each) for each in signals.BOTH]
    monkeypatch.setattr(signals, "_exit_now", lambda *_: None)
    try:
        signals.end_in_good_order("try again")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert all(callable(signal.getsignal(each)) for each in signals.BOTH)
        for each in signals.BOTH:
            signal.raise_signal(each)
    finally:
        for each, handler in zip(signals.BOTH, before, strict=True):
            signal.signal(each, handler)


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

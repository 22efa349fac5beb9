from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pytest

from cifar_exp.sweep.executors import fork_server

needs_signals = pytest.mark.skipif(
    not hasattr(signal, "SIGKILL"), reason="there is no resource tracker"
)


@needs_signals
def test_a_killed_resource_tracker_is_started_again_without_a_warning() -> None:
    tracker: Any = resource_tracker._resource_tracker
    fork_server._start_resource_tracker()
    killed = tracker._pid
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fork_server._start_resource_tracker()
    assert tracker._check_alive()
    assert tracker._pid != killed


@pytest.mark.skipif(fork_server.METHOD != "forkserver", reason="there is no fork server")
@pytest.mark.parametrize("sent", [b"", b"\x80\x04\x95\x10"])
def test_a_parent_that_ends_while_it_starts_a_process_leaves_no_traceback(sent: bytes) -> None:
    program = f"""
import os
from multiprocessing import forkserver
from cifar_exp.sweep.executors import fork_server
fork_server.load()
sentinel, data = forkserver.connect_to_new_process([])
os.write(data, {sent!r})
os.close(data)
forkserver.read_signed(sentinel)  # the process id
exit_code = forkserver.read_signed(sentinel)
print(exit_code)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


PROGRAM = """
import json, sys
from cifar_exp.sweep.executors import fork_server
print(__name__)
fork_server.METHOD = sys.argv[1]
fork_server.LOADED = "json"  # instead of torch, which takes long
process = fork_server.context().Process(target=print, args=("trains",))
fork_server.start_process(process)
process.join()
"""


@pytest.mark.parametrize("method", dict.fromkeys([fork_server.METHOD, "spawn"]))
def test_a_process_does_not_run_the_script_of_its_parent(tmp_path: Path, method: str) -> None:
    (tmp_path / "script.py").write_text(PROGRAM)
    words = [sys.executable, str(tmp_path / "script.py"), method]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["__main__", "trains"], "")

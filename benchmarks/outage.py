"""Measure how a tracking server that is frozen repeatedly slows the trainings of a sweep."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.asked import sweep_of
from benchmarks.figure import Figure, show
from benchmarks.folder import own_folder
from benchmarks.server import Server
from cifar_exp import tracking
from cifar_exp.sweep import prepare, sweep

AT_MOST = 1.2
SECONDS = 10.0  # length of an outage, and of the pause before the next one
DEFINITION = """
name = "outage"
dataset = "digits"
model = "seed_cnn"
epochs = {epochs}
search = {{ trials = 1, batch_size = [64] }}
confirm = {{ seeds = 1 }}
losses = {{ cross_entropy = {{}} }}
optimizers = {{ sgd = {{ lr = 1e-2 }} }}
"""

Span = tuple[float, float]


def measure(epochs: int = 100, seconds: float = SECONDS) -> list[Figure]:
    """Train while a server is frozen and resumed repeatedly, and compare the epochs."""
    with own_folder() as folder:
        server = Server(folder)
        server.start()
        try:
            with freezing(server, seconds) as outages:
                _sweep(folder, server.uri, epochs)
            spans = _epochs(server.uri)
        finally:
            server.signal(signal.SIGCONT)
            server.stop()
    return [figure(spans, outages)]


def figure(epochs: Sequence[Span], outages: Sequence[Span]) -> Figure:
    """Compare the epochs within an outage with those between two outages.

    Args:
        epochs: Start and end of each epoch, in seconds.
        outages: Start and end of each outage.
    """
    within = [end - start for start, end in epochs if _lies_within(start, end, outages)]
    free = [(before, after) for (_, before), (after, _) in pairwise(outages)]
    outside = [end - start for start, end in epochs if _lies_within(start, end, free)]
    return Figure(
        name="an epoch while the server is frozen",
        value=median(within) / median(outside),
        unit="x",
        at_most=AT_MOST,
        detail=f"medians of {len(within)} epochs in {len(outages)} outages and of {len(outside)} "
        f"between them, {median(within):.3f} and {median(outside):.3f} s",
    )


@contextmanager
def freezing(server: Server, seconds: float) -> Iterator[list[Span]]:
    """Freeze and resume a server repeatedly; yield the list to which the outages are added."""
    outages: list[Span] = []
    done = threading.Event()

    def freeze() -> None:
        while not done.wait(seconds):
            server.signal(signal.SIGSTOP)
            start = time.time()
            done.wait(seconds)
            outages.append((start, time.time()))
            server.signal(signal.SIGCONT)

    thread = threading.Thread(target=freeze)
    thread.start()
    try:
        yield outages
    finally:
        done.set()
        thread.join()


def _sweep(folder: Path, uri: str, epochs: int) -> None:
    text = DEFINITION.format(epochs=epochs)
    request = sweep_of(text, uri, folder)
    sweep.run(request, prepare.prepare(request.experiment), lambda _: None)


def _epochs(uri: str) -> list[Span]:
    """Read start and end of each epoch from the server; points are logged at the end of epochs."""
    client = tracking.connect(uri)
    records = tracking.read_records(client, "outage")
    points = [
        point
        for record in records
        for point in client.get_metric_history(record.run_id, "epoch_seconds")
    ]
    return [(point.timestamp / 1000 - point.value, point.timestamp / 1000) for point in points]


def _lies_within(start: float, end: float, spans: Sequence[Span]) -> bool:
    return any(first <= start and end <= last for first, last in spans)


if __name__ == "__main__":
    sys.exit(show(measure()))

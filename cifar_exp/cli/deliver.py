"""Sends the runs in local outboxes to their tracking servers."""

from __future__ import annotations

import sys

from cifar_exp import tracking
from cifar_exp.errors import BadInput
from cifar_exp.system.formatting import counted
from cifar_exp.tracking import Outbox, StoreError


def deliver(tracking_uri: str | None) -> None:
    """Send all outboxes of this user, or the one of a server, and print what was sent.

    Raises:
        BadInput: The tracking URI is not the address of a server.
        StoreError: A server does not answer, or refuses a run.
    """
    problems = []
    outboxes = _outboxes(tracking_uri)
    if not outboxes:
        print("there is nothing to deliver")
    for outbox in outboxes:
        try:
            print(_send(outbox))
        except StoreError as error:
            problems.append(str(error))
    if problems:
        raise StoreError("; ".join(problems))


def _outboxes(tracking_uri: str | None) -> list[Outbox]:
    uri = tracking.resolve_uri(tracking_uri)  # for all outboxes, too: one may need its password
    if tracking_uri is None:
        return list(tracking.every_outbox())
    if not tracking.is_server(uri):
        raise BadInput("--tracking-uri: should be the address of a server, http:// or https://")
    wanted = tracking.outbox_of(uri)
    return [outbox for outbox in tracking.every_outbox() if outbox == wanted]


def _send(outbox: Outbox) -> str:
    sent = tracking.deliver(outbox)
    for warning in sent.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if sent.left:
        raise StoreError(f"{outbox.server} refuses {counted(sent.left, 'run')}: {sent.problem}")
    runs, points = counted(sent.runs, "run"), counted(sent.points, "point")
    return f"{outbox.server}: {runs} and {points} sent, nothing is left"

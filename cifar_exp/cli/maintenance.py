"""Maintenance commands: repair stores, delete unused models, deliver runs."""

from __future__ import annotations

import sys

import click

from cifar_exp.cli.parameters import cli, storage_option, tracking_option


@cli.command()
@click.argument("name", required=False)
@click.option("--dry-run", is_flag=True, help="Report findings and change nothing.")
@tracking_option
@storage_option
def doctor(
    name: str | None, tracking_uri: str | None, storage: str | None, *, dry_run: bool
) -> None:
    """Repair the stores after a crash.

    Repairs experiment NAME, or all experiments. A sweep does the same for its own experiment when
    it starts. With a tracking server, the runs recorded on this machine are repaired locally and
    sent.
    """
    from cifar_exp import study, tracking
    from cifar_exp.cli.deliver import deliver as deliver_outboxes
    from cifar_exp.display import console
    from cifar_exp.maintenance import doctor as doctor_
    from cifar_exp.system import sqlite

    uri, url = tracking.resolve_uri(tracking_uri), study.resolve_url(storage)
    findings = doctor_.visit(name, uri, url, dry_run=dry_run)
    console.print_findings(console.stdout(), findings, dry_run=dry_run)
    if findings and not doctor_.exists(url):
        missing = f"there is no {sqlite.file(url)}: no studies were examined; set --storage"
        print(missing, file=sys.stderr)
    if tracking.is_server(uri) and not dry_run:
        deliver_outboxes(uri)


@cli.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Count what would be deleted, and delete nothing.")
@tracking_option
def gc(name: str, tracking_uri: str | None, *, dry_run: bool) -> None:
    """Delete the stored models of experiment NAME that no ranking uses.

    Params and metrics are kept, and models in MLflow's registry. Single trainings have the NAME
    train; no ranking uses them.
    """
    from cifar_exp import tracking
    from cifar_exp.display import console
    from cifar_exp.maintenance import model_gc as gc_

    collected = gc_.collect(name, tracking.resolve_uri(tracking_uri), dry_run=dry_run)
    console.print_collected(console.stdout(), name, collected, dry_run=dry_run)


@cli.command()
@click.option("--tracking-uri", help="Deliver to this server only.  [default: all]")
def deliver(tracking_uri: str | None) -> None:
    """Send undelivered runs to their tracking servers.

    Nothing is sent twice.
    """
    from cifar_exp.cli.deliver import deliver as deliver_outboxes

    deliver_outboxes(tracking_uri)

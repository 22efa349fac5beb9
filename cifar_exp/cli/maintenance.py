"""The commands that look after stores: they repair, tidy and deliver."""

from __future__ import annotations

import click

from cifar_exp.cli.parameters import cli, storage_option, tracking_option


@cli.command()
@click.argument("name", required=False)
@click.option("--dry-run", is_flag=True, help="Say what is wrong and repair nothing.")
@tracking_option
@storage_option
def doctor(
    name: str | None, tracking_uri: str | None, storage: str | None, *, dry_run: bool
) -> None:
    """Repair what a crash has left in the stores.

    Of experiment NAME, or of all. A sweep's start does the same for its own. For a tracking server,
    what this machine has recorded is repaired here and sent.
    """
    from cifar_exp import study, tracking
    from cifar_exp.cli import console
    from cifar_exp.cli.deliver import deliver as deliver_kept
    from cifar_exp.maintenance import doctor as doctor_

    uri, url = tracking.resolve_uri(tracking_uri), storage or study.default_url()
    found = doctor_.visit(name, uri, url, dry_run=dry_run)
    console.print_findings(console.stdout(), found, dry_run=dry_run)
    if tracking.is_server(uri) and not dry_run:
        deliver_kept(uri)


@cli.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Count what would be deleted, and delete nothing.")
@tracking_option
def gc(name: str, tracking_uri: str | None, *, dry_run: bool) -> None:
    """Delete stored models that no ranking uses.

    Of experiment NAME; all numbers are kept.
    """
    from cifar_exp import tracking
    from cifar_exp.cli import console
    from cifar_exp.maintenance import model_gc as gc_

    collected = gc_.collect(name, tracking.resolve_uri(tracking_uri), dry_run=dry_run)
    console.print_collected(console.stdout(), name, collected, dry_run=dry_run)


@cli.command()
@click.option("--tracking-uri", help="Only what is kept for this server.  [default: all of them]")
def deliver(tracking_uri: str | None) -> None:
    """Send runs that a tracking server has not got.

    Again, it sends nothing twice.
    """
    from cifar_exp.cli.deliver import deliver as deliver_kept

    deliver_kept(tracking_uri)

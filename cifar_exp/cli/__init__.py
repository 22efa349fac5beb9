"""Command line interface: each command parses its options, calls one function and prints."""

from cifar_exp.cli import check, commands, export, init, maintenance, sweep, watch
from cifar_exp.cli.parameters import cli
from cifar_exp.cli.program import main

__all__ = ["check", "cli", "commands", "export", "init", "main", "maintenance", "sweep", "watch"]

"""The command line: each command parses its options, calls one function and prints."""

from cifar_exp.cli import commands, upkeep
from cifar_exp.cli.group import cli
from cifar_exp.cli.program import main

__all__ = ["cli", "commands", "main", "upkeep"]

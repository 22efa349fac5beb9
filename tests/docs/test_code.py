"""Commands and code in the pages: the program has these commands, options and names."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import pytest

from cifar_exp.cli import cli
from cifar_exp.components.plugins import registry
from tests.docs.pages import PAGES, ROOT, blocks, name, prose

COMMAND = re.compile(r"`((?:cifar-exp|make) [^`]+)`")
DOTTED = re.compile(r"`(cifar_exp(?:\.\w+)+)")
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # it tells of former options
OPERATORS = ("&&", "|", ";", ">", "<<")
CONTEXT = click.Context(cli, info_name="cifar-exp", **cli.context_settings)


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command in the blocks of a page."""
    for block in (*blocks(page), *blocks(page, "sh")):
        for line in block.splitlines():
            if re.match(r"(\$ |\w+=\S+ )*(\.venv/bin/)?(cifar-exp|make|python|cd) ", line):
                yield from simple_commands(line.removeprefix("$ "))


def mentioned(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command in the prose of a page, as far as they are there."""
    for code in COMMAND.findall(prose(page)):
        for words in simple_commands(" ".join(code.split())):
            yield [word.strip("[]") for word in words if word.strip(".…")]


def simple_commands(line: str) -> Iterator[list[str]]:
    """Yield the commands of a line of the shell, without variables and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;><")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in OPERATORS:
            if words:
                yield words
            words = []
        elif words or not re.match(r"\w+=", word):
            words.append(word)


def check_program(words: Sequence[str]) -> None:
    """Parse a whole command, without running it."""
    _, command, rest = cli.resolve_command(CONTEXT, list(words))
    assert command is not None
    command.make_context(command.name, rest, CONTEXT)


def check_mentioned(words: Sequence[str]) -> None:
    """Look up the options of a command; the prose leaves out their values."""
    command = cli if words[0].startswith("-") else cli.commands[words[0]]
    context = click.Context(command, parent=CONTEXT)
    known = {option for param in command.get_params(context) for option in param.opts}
    assert {word for word in words if word.startswith("-")} <= known


def check_make(words: Sequence[str]) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for word in words:
        target, is_variable, _ = word.partition("=")
        assert re.search(rf"^{target}{' *[?]?=' if is_variable else ':'}", makefile, re.MULTILINE)


def check_python(words: Sequence[str]) -> None:
    if words[0] == "-m":
        assert importlib.util.find_spec(words[1]), words[1]


CHECKS: dict[str, Callable[[Sequence[str]], None]] = {
    "cifar-exp": check_program,
    "make": check_make,
    "python": check_python,
}


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_command_has_the_words_of_the_program(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "files", lambda _: [])  # those of `--plugin` do not exist
    for program, *words in commands(page):
        if check := CHECKS.get(Path(program).name):
            check(words)


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_command_in_the_prose_has_the_options_of_the_program(page: Path) -> None:
    for program, *words in mentioned(page):
        if check := {**CHECKS, "cifar-exp": check_mentioned}.get(program):
            check(words)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_of_python_compiles_and_its_names_exist(page: Path) -> None:
    for block in blocks(page, "python"):
        for found in ast.walk(ast.parse(block)):
            if isinstance(found, ast.Import):
                for alias in found.names:
                    importlib.import_module(alias.name)
            elif isinstance(found, ast.ImportFrom):
                module = importlib.import_module(str(found.module))
                assert not [alias.name for alias in found.names if not hasattr(module, alias.name)]
            elif isinstance(found, ast.Attribute) and ast.unparse(found).startswith("cifar_exp."):
                resolve(ast.unparse(found))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_name_of_the_package_in_the_prose_exists(page: Path) -> None:
    for dotted in DOTTED.findall(prose(page)):
        resolve(dotted)


def resolve(dotted: str) -> object:
    """Return what a dotted name stands for."""
    found: object = importlib.import_module(dotted.partition(".")[0])
    path, *names = dotted.split(".")
    for part in names:
        path = f"{path}.{part}"
        found = getattr(found, part, None) or importlib.import_module(path)
    return found

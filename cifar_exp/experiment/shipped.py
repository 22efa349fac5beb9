"""The definitions that come with the package: those of `experiments/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cifar_exp.components.validation import DefinitionError, suggestion
from cifar_exp.system.formatting import printable

SUFFIX = ".toml"
_PACKAGE = Path(__file__).parents[1]


def shipped() -> dict[str, Path]:
    """Return the files of the definitions by name, in alphabetical order."""
    return {path.stem: path for path in sorted(_folder().glob(f"*{SUFFIX}"))}


def find(text: str) -> Path:
    """Return the definition file that a text names: a path, `TEXT.toml` here, or a shipped one.

    Raises:
        DefinitionError: The text is neither a path nor the name of a shipped definition.
    """
    path = Path(text)
    named = path.name == text and not text.endswith(SUFFIX)
    if path.is_file() or not named:
        return path
    local = Path(f"{text}{SUFFIX}")
    if local.is_file():
        return local
    definitions = shipped()
    if text not in definitions:
        missing = (
            f"{printable(text)}: there is no such file, and no shipped definition of this name"
        )
        raise DefinitionError(f"{missing}{suggestion(text, definitions)}")
    return definitions[text]


def summary(path: Path) -> str:
    """Return the first sentence of the comment at the beginning of a definition file."""
    comment = " ".join(_first_comment(path.read_text(encoding="utf-8")))
    return f"{comment.partition('. ')[0].rstrip('.')}."


def _first_comment(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        if line.startswith("# "):  # not that of the schema
            yield line.removeprefix("# ")


def _folder() -> Path:
    """Return the folder of the definitions: in an installed package, or in the repository."""
    installed = _PACKAGE / "experiments"
    return installed if installed.is_dir() else _PACKAGE.parent / "experiments"

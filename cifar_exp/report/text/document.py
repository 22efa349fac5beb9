"""A result with its sentences as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def json_document(result: DataclassInstance, sentences: Sequence[str]) -> str:
    """Format the fields of a dataclass and the sentences about it as JSON."""
    document = {**asdict(result), "sentences": sentences}
    return json.dumps(document, indent=2, allow_nan=False) + "\n"

"""Coverage-guided fuzzing of the reading of definitions; atheris is installed by hand.

    pip install atheris
    python -m tests.atheris_definition -max_total_time=600 -max_len=4096 NEW_FOLDER experiments

It ends with a file `crash-...` where a definition is neither read nor refused in the one way that
there is, or where reading it opens, imports or runs something.
"""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(
    include=["cifar_exp.experiment", "cifar_exp.components.validation", "tomllib"]
):
    from cifar_exp.experiment import read

from tests.definitions import SHIPPED
from tests.reading import SOURCE, nothing_touched, read_or_refused


def one_input(given: bytes) -> None:
    text = given.decode("utf-8", errors="ignore")
    if "torchvision" in text:  # imports it, as it must
        return
    with nothing_touched():
        read_or_refused(lambda: read(text, SOURCE))


if __name__ == "__main__":
    for path in SHIPPED:
        read(path.read_text(encoding="utf-8"))  # what is imported late is there from now on
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

"""Coverage-guided fuzzing of reading definitions; atheris has to be installed separately.

    pip install atheris
    python -m tests.atheris_definition -max_total_time=600 -max_len=4096 NEW_FOLDER experiments

It ends with a file `crash-...` if a definition is neither read nor rejected with the documented
error, or if reading it opens, imports or runs something.
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
    if "torchvision" in text:  # the import is expected
        return
    with nothing_touched():
        read_or_refused(lambda: read(text, SOURCE))


if __name__ == "__main__":
    for path in SHIPPED:
        read(path.read_text(encoding="utf-8"))  # loads all lazy imports
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()

"""Arguments that are counts."""

from cifar_exp.errors import BadInput


def check_counts(**counts: int | None) -> None:
    """Check that each given argument is a whole number of at least 1.

    Raises:
        BadInput: One is not.
    """
    for name, count in counts.items():
        if count is not None and not (isinstance(count, int) and count >= 1):
            raise BadInput(f"{name}: should be a whole number of at least 1, not {count!r}")

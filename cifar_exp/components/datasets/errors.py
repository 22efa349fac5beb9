"""The error of this package."""

from cifar_exp.errors import Unavailable


class DataError(Unavailable):
    """A data set cannot be had; the message says what is wrong, where, and what to do."""

"""Base classes of expected errors, whose message is one sentence for the user."""


class BadInput(Exception):  # noqa: N818 - an error of the input, not of the program
    """The input is invalid; nothing was started."""


class Unavailable(Exception):  # noqa: N818
    """Data, a store or a resource of this machine is unavailable."""

"""The two ways in which a command fails through no fault of its own; each is one sentence."""


class BadInput(Exception):  # noqa: N818 - it is what the user gave, not a fault of the program
    """What was asked for cannot be done as it stands; nothing was started."""


class Unavailable(Exception):  # noqa: N818
    """Data, a store or this machine does not provide what is needed."""

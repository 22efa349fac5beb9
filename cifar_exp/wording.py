"""Times, sizes and addresses written for people."""


def duration(seconds: float) -> str:
    """Write a time for people: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(num_bytes: float) -> str:
    """Write a number of bytes for people: `40 MB`, `3.5 GB`."""
    return f"{num_bytes / 1e6:.0f} MB" if num_bytes < 1e9 else f"{num_bytes / 1e9:.1f} GB"


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says: the rest is for its maker."""
    return str(error).strip().partition("\n")[0]


def without_credentials(uri: str) -> str:
    """Leave user name, password and settings (what follows a `?`) out of a URI."""
    scheme, separator, rest = uri.rpartition("://")
    place, _, query = rest.partition("?")
    if "@" in query:  # where does the password end?
        return f"{scheme}{separator}..."
    user, _, host = place.rpartition("@")
    is_path = place.startswith("/") or not (separator or ":" in user)
    return f"{scheme}{separator}{place if is_path else host}"


def undelivered(num_runs: int, uri: str) -> str:
    """Say that runs are kept on this machine, and what sends them."""
    runs = "1 run is" if num_runs == 1 else f"{num_runs} runs are"
    sends = "it" if num_runs == 1 else "them"
    return f"{runs} not delivered to {without_credentials(uri)}: `cifar-exp deliver` sends {sends}"

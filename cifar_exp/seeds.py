"""Seeds derived from what they are for, so that no order of execution can change them."""

import hashlib
import json


def derive(*purpose: int | str) -> int:
    """Return a 32-bit seed that depends on `purpose` alone, the same on every machine."""
    digest = hashlib.sha256(json.dumps(purpose).encode()).digest()
    return int.from_bytes(digest[:4], "big")

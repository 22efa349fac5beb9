"""Seeds derived from their purpose, so that they do not depend on the order of execution."""

import hashlib
import json


def derive(*purpose: int | str) -> int:
    """Return a 32-bit seed that depends on `purpose` only, the same on every machine."""
    digest = hashlib.sha256(json.dumps(purpose).encode()).digest()
    return int.from_bytes(digest[:4], "big")

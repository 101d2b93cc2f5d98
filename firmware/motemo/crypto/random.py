"""Randomness for keys: the platform's own generator and nothing else."""

import os

from motemo.errors import StateError

_source = getattr(os, "urandom", None)


def random_bytes(count: int) -> bytes:
    """`count` bytes from `os.urandom`; StateError "random" where the platform has none or it fails."""
    if _source is None:
        raise StateError("random", "no os.urandom")
    try:
        data = _source(count)
    except (OSError, NotImplementedError):
        raise StateError("random", "os.urandom failed")
    if len(data) != count:
        raise StateError("random", "os.urandom is short")
    return data

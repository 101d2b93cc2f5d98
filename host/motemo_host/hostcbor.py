"""CBOR for the host: cbor2 held to the link's strict subset. Reads, writes and refuses what motemo.link.cbor does."""

import cbor2

from motemo.errors import LocalError, RemoteError
from motemo.link.cbor import DEPTH

_WIDEST = 1 << 64


class _NoTags(dict):
    """Refuses every tag: cbor2's own decoders would make dates, patterns and cyclic lists of them."""

    def __missing__(self, tag: int) -> None:
        raise ValueError("tag")


def dumps(value: object) -> bytes:
    """Return `value` as bytes. LocalError "format" for a type, an integer or a depth outside of the subset."""
    try:
        return cbor2.dumps(_ordered(value, DEPTH))
    except (ValueError, TypeError, cbor2.CBORError) as error:
        raise LocalError("format", "CBOR") from error


def loads(data: bytes) -> object:
    """Return the value that the bytes `data` hold, arrays as lists. RemoteError "format" if they are not one item."""
    try:
        value: object = cbor2.loads(
            data,
            max_depth=DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            semantic_decoders=_NoTags(),
        )
        # The one deterministic encoding: anything longer, unsorted or with bytes after it differs.
        strict = cbor2.dumps(_ordered(value, DEPTH)) == data
    except (ValueError, TypeError, cbor2.CBORError) as error:
        raise RemoteError("format", "CBOR") from error
    if not strict:
        raise RemoteError("format", "CBOR")
    return value


def _ordered(value: object, depth: int) -> object:
    """Return `value` with its maps in order of their encoded keys; ValueError for what the subset lacks."""
    if type(value) in (bool, bytes, str) or (type(value) is int and -_WIDEST <= value < _WIDEST):
        return value
    if depth and isinstance(value, list | tuple):
        return [_ordered(item, depth - 1) for item in value]
    if depth and isinstance(value, dict) and all(type(key) in (int, str) for key in value):
        return {key: _ordered(value[key], depth - 1) for key in sorted(value, key=cbor2.dumps)}
    raise ValueError("not in the subset")

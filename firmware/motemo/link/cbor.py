"""CBOR (RFC 8949) for the board: the strict subset of the link, in its core deterministic encoding (section 4.2.1).

Integers of 64 bits, byte and text strings, arrays, maps with integer or text keys, true and false; six levels deep.
What is not encoded in the shortest and sorted form is refused, and with it duplicate keys and indefinite lengths.
The host uses motemo_host.hostcbor, which reads and refuses the same.
"""

from motemo.errors import LocalError, RemoteError

DEPTH = 6


def dumps(value):
    """Return `value` as bytes. LocalError "format" for a type, an integer or a depth outside of the subset."""
    out = []  # parts: what grew would need a free stretch of the heap of twice its size
    _write(out, value, DEPTH)
    return b"".join(out)


def loads(data):
    """Return the value that the bytes `data` hold, arrays as lists. RemoteError "format" if they are not one item."""
    try:
        value, at = _read(data, 0, DEPTH)
    except (IndexError, UnicodeError):
        at = -1
    if at != len(data):
        raise RemoteError("format", "CBOR")
    return value


def _write(out, value, depth):
    kind = type(value)
    if kind is bool:
        out.append(b"\xf5" if value else b"\xf4")
    elif kind is int:
        if value < 0:
            _head(out, 1, -1 - value)
        else:
            _head(out, 0, value)
    elif kind is bytes:
        _head(out, 2, len(value))
        out.append(value)
    elif kind is str:
        value = value.encode()
        _head(out, 3, len(value))
        out.append(value)
    elif kind in (list, tuple) and depth:
        _head(out, 4, len(value))
        for item in value:
            _write(out, item, depth - 1)
    elif kind is dict and depth:
        _head(out, 5, len(value))
        for key, name in sorted((dumps(name), name) for name in value):
            if type(name) not in (int, str):
                raise LocalError("format", "CBOR key")
            out.append(key)
            _write(out, value[name], depth - 1)
    else:
        raise LocalError("format", "CBOR")


def _head(out, major, number):
    code = major << 5
    if number < 24:
        out.append(bytes((code | number,)))
        return
    code |= 24
    size = 1
    while number >> 8 * size:
        size *= 2
        code += 1
    if size > 8:
        raise LocalError("format", "CBOR integer")
    out.append(bytes((code,)) + number.to_bytes(size, "big"))


def _read(data, at, depth):
    """Return (the item at `at`, where it ends)."""
    first = data[at]
    at += 1
    major = first >> 5
    number = first & 31
    if number >= 24 and major < 6:
        size = 1 << number - 24
        number = int.from_bytes(data[at : at + size], "big")
        at += size
        # Reserved sizes and indefinite lengths; a number that has a shorter form.
        if size > 8 or number < 24 or (size > 1 and not number >> 4 * size):
            raise RemoteError("format", "CBOR head")
    if major < 2:
        return (-1 - number if major else number), at
    if major < 6 and number <= len(data) - at:
        if major < 4:
            end = at + number
            return (data[at:end] if major == 2 else str(data[at:end], "utf-8")), end
        if depth:
            return _read_items(data, at, number, depth - 1) if major == 4 else _read_map(data, at, number, depth - 1)
    if first == 0xF5 or first == 0xF4:
        return first == 0xF5, at
    raise RemoteError("format", "CBOR")


def _read_items(data, at, count, depth):
    items = []
    for _ in range(count):
        item, at = _read(data, at, depth)
        items.append(item)
    return items, at


def _read_map(data, at, count, depth):
    items = {}
    last = b""
    for _ in range(count):
        start = at
        key, at = _read(data, at, 0)
        if type(key) not in (int, str) or data[start:at] <= last:
            raise RemoteError("format", "CBOR key")
        last = data[start:at]
        items[key], at = _read(data, at, depth)
    return items, at

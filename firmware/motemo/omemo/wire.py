"""The protobuf subset of OMEMO: varints and length-delimited fields, strict and bounded.

Follows the schema of XEP-0384 ("Protobuf schema"). Unknown fields are skipped, as protobuf has it; of a field that
comes twice the last one counts.
"""

from motemo.errors import RemoteError


def encode(*fields) -> bytes:
    """Fields as (number, value) pairs in the order given: an int becomes a varint, bytes a length-delimited field.

    A value of None leaves the field out.
    """
    out = bytearray()
    for number, value in fields:
        if value is None:
            continue
        if isinstance(value, int):
            out.append(number << 3)
            _append_varint(out, value)
        else:
            out.append(number << 3 | 2)
            _append_varint(out, len(value))
            out.extend(value)
    return bytes(out)


def decode(data, required=(), optional=()) -> dict:
    """The fields of one message as {number: int or bytes}.

    required and optional: pairs (number, kind), where kind is 0 for an unsigned 32-bit integer, the exact length of a
    bytes field, or -1 for bytes of any length. Raises RemoteError "format".
    """
    kinds = dict(required)
    kinds.update(dict(optional))
    fields = {}
    at = 0
    end = len(data)
    while at < end:
        tag, at = _varint(data, at)
        number = tag >> 3
        wire_type = tag & 7
        if wire_type == 0:
            value, at = _varint(data, at)
        else:
            if wire_type == 2:
                size, at = _varint(data, at)
            elif wire_type == 1:
                size = 8
            elif wire_type == 5:
                size = 4
            else:
                raise RemoteError("format", "wire type")
            if size > end - at:
                raise RemoteError("format", "cut off")
            value = bytes(data[at : at + size])
            at += size
        kind = kinds.get(number)
        if kind is None:
            continue
        if kind == 0:
            if wire_type != 0 or value > 0xFFFFFFFF:
                raise RemoteError("format", "integer")
        elif wire_type != 2 or (kind > 0 and len(value) != kind):
            raise RemoteError("format", "bytes")
        fields[number] = value
    for number, _ in required:
        if number not in fields:
            raise RemoteError("format", "missing field")
    return fields


def _append_varint(out, value):
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _varint(data, at):
    value = 0
    shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise RemoteError("format", "varint")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7

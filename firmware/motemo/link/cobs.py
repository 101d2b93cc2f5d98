"""Consistent Overhead Byte Stuffing (Cheshire and Baker): bytes without a 0x00, so that 0x00 can part frames."""

from motemo.errors import RemoteError


def encode(data):
    """Return `data` (bytes) without zeros: one byte more for each 254 begun. Empty data gives 0x01."""
    out = bytearray()
    start = 0
    size = len(data)
    while True:
        end = data.find(b"\0", start)
        if end < 0:
            end = size
        while end - start > 253:
            out.append(255)
            out += data[start : start + 254]
            start += 254
            if start == size:
                return bytes(out)
        out.append(end - start + 1)
        out += data[start:end]
        if end == size:
            return bytes(out)
        start = end + 1


def decode(data):
    """Return what `encode` was given. RemoteError "format" for anything that holds a zero or ends in a block."""
    size = len(data)
    if not size or b"\0" in data:
        raise RemoteError("format", "COBS")
    out = bytearray()
    at = 0
    while at < size:
        code = data[at]
        end = at + code
        if end > size:
            raise RemoteError("format", "COBS")
        out += data[at + 1 : end]
        if code < 255 and end < size:
            out.append(0)
        at = end
    return bytes(out)

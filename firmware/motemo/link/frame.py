"""Frames of the link (docs/link-protocol.md, "Frames"): COBS between zeros, CRC-32 inside, and the text around them.

A frame's body is kind (1 byte), number (1), payload (at most 512), CRC-32 (4, big end first). The CRC goes on from a
seed that both ends know, so that a frame of another session or one that was echoed back is not taken for ours.
"""

from binascii import crc32

from motemo.errors import RemoteError
from motemo.link import cobs

# The kinds are bytes that no UTF-8 text holds: text on the line is known by its second byte and never kept waiting.
HELLO = 0xF8
DATA = 0xF9  # the last or only fragment of a message
MORE = 0xFA  # a fragment that others follow
ACK = 0xFB

PAYLOAD = 512
LIMIT = 8192  # bytes of a message
_LONGEST = PAYLOAD + 9  # kind, number, CRC, and COBS's byte for each 254


def build(kind, number, payload, seed):
    """Return the frame as it goes onto the line, zeros included."""
    body = bytes((kind, number)) + payload
    return b"\0" + cobs.encode(body + crc32(body, seed).to_bytes(4, "big")) + b"\0"


def intact(body, seed):
    """True if the CRC at the end of `body` is right for `seed`."""
    return crc32(body[:-4], seed) == int.from_bytes(body[-4:], "big")


class Reader:
    """Parts a byte stream into frames and noise; holds at most one frame. Any input is good input."""

    def __init__(self):
        self._chunk = bytearray(_LONGEST)  # what came since the last zero and may become a frame
        self._size = 0
        self._noise = False  # what comes up to the next zero is noise

    def feed(self, data):
        """Take `data` (bytes); return a list of (True, body of a frame whose CRC is unchecked) and (False, noise)."""
        items = []
        start = 0
        while start < len(data):
            end = data.find(b"\0", start)
            self._take(data[start:] if end < 0 else data[start:end], items)
            if end < 0:
                break
            self._close(items)
            start = end + 1
        return items

    def _take(self, piece, items):
        end = self._size + len(piece)
        if not self._noise:
            if end <= _LONGEST:
                self._chunk[self._size : end] = piece
                self._size = end
                if end < 2 or HELLO <= self._chunk[1] <= ACK:
                    return
                piece = b""
            self._noise = True
            self._flush(items)
        if piece:
            items.append((False, piece))

    def _close(self, items):
        if self._size:
            try:
                body = cobs.decode(self._chunk[: self._size])
            except RemoteError:
                body = b""
            if len(body) < 6:
                self._flush(items)
            else:
                items.append((True, body))
                self._size = 0
        self._noise = False

    def _flush(self, items):
        if self._size:
            items.append((False, bytes(self._chunk[: self._size])))
            self._size = 0

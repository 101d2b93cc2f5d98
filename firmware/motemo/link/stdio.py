"""The link's port on a board: the serial line that MicroPython's REPL uses (USB or UART)."""

import select
import sys

import micropython


class StdioPort:
    """Reads what is there without waiting, and writes; Ctrl-C is a byte like any other while it is open."""

    def __init__(self):
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        # `read(n)` of stdin waits for all n bytes, so they are taken one by one.
        self._read = sys.stdin.buffer.read
        micropython.kbd_intr(-1)

    def read(self) -> bytes:
        """What has come in, at most 256 bytes; empty when there is nothing. EOFError when the line is gone."""
        data = bytearray()
        while len(data) < 256 and self._poll.poll(0):
            byte = self._read(1)
            if not byte:
                raise EOFError
            data.extend(byte)
        return bytes(data)

    def write(self, data):
        """Writes all of it."""
        sys.stdout.buffer.write(data)

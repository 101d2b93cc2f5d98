"""A serial port for asyncio: pyserial in threads, opened for us alone. `tcp://HOST:PORT` works as well.

Errors are `PortError`: `kind` says what is wrong with the port, the text says what to do about it.
"""

import asyncio
import contextlib
import errno
import os
import termios
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import serial

from motemo.errors import StateError

__all__ = ["PortError", "SerialPort", "holder", "open_serial"]

_READ_MOST = 4096
_BUFFER_MOST = 65536
_WRITE_SECONDS = 10
_REASONS = {
    "missing": "not-found",
    "busy": "refused",
    "permission": "refused",
    "unplugged": "offline",
    "stuck": "timeout",
}

# What pyserial raises for a port that went away; TypeError when it was closed meanwhile.
_GONE = (OSError, TypeError, termios.error)


class PortError(StateError):
    """`kind`: missing, busy, permission, unplugged, or stuck (it takes no bytes)."""

    def __init__(self, kind: str, text: str):
        super().__init__(_REASONS[kind], text)
        self.kind = kind


def holder(path: str) -> str:
    """Who has locked the port, as "process NUMBER (NAME)", or "another program" where that cannot be known."""
    with contextlib.suppress(OSError):
        node = os.stat(path)
        place = f"{os.major(node.st_dev):02x}:{os.minor(node.st_dev):02x}:{node.st_ino}"
        for line in Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if place in words:
                process = words[words.index(place) - 1]
                name = Path(f"/proc/{process}/comm").read_text().strip()
                return f"process {process} ({name})"
    return "another program"


def open_serial(path: str, baud: int = 115200, timeout: float | None = None) -> serial.Serial:
    """Opens a port exclusively, through pyserial. `timeout`: seconds for reading. Raises PortError."""
    url = path.replace("tcp://", "socket://", 1) if path.startswith("tcp://") else path
    exclusive = None if "://" in url else True
    try:
        port = serial.serial_for_url(
            url, baudrate=baud, timeout=timeout, write_timeout=_WRITE_SECONDS, exclusive=exclusive
        )
    except (OSError, ValueError, termios.error) as error:
        raise _explain(path, error) from None
    return cast(serial.Serial, port)


def _explain(path: str, error: Exception) -> PortError:
    code = getattr(error, "errno", None)
    if code in (errno.EAGAIN, errno.EBUSY):
        return PortError("busy", f"{path} is in use by {holder(path)}: stop that first")
    if code in (errno.EACCES, errno.EPERM):
        return PortError(
            "permission", f"you may not open {path}: join the group that owns it (often dialout), then log in again"
        )
    if code in (errno.ENOENT, errno.ENXIO, errno.ENODEV) or not os.path.exists(path):
        return PortError("missing", f"there is no port {path}: plug the board in, or see `motemo ports`")
    return PortError("unplugged", f"{path} cannot be opened ({error}): plug the board out and in again")


class SerialPort:
    """One port, one reader, one writer. `open` before use, `close` after; both may be repeated.

    `path`: a device, a virtual board's `port`, or tcp://HOST:PORT. `baud`: bits per second.
    """

    def __init__(self, path: str, baud: int = 115200):
        self.path = path
        self.baud = baud
        self._serial: serial.Serial | None = None

    async def open(self) -> None:
        """Opens the port; PortError when that cannot be."""
        if self._serial is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._arrived = asyncio.Event()
        self._room = threading.Event()
        self._room.set()
        self._failure: PortError | None = None
        self._serial = await asyncio.to_thread(open_serial, self.path, self.baud, 0.5)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="port writer")
        self._reader = threading.Thread(target=self._read_on, args=(self._serial,), daemon=True)
        self._reader.start()

    async def read(self) -> bytes:
        """Waits for bytes and returns all that are there. PortError when the port is gone or closed."""
        while not self._received:
            if self._failure is not None:
                raise self._failure
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._received)
        self._received.clear()
        self._room.set()
        return data

    async def write(self, data: bytes) -> None:
        """Writes all of `data`. PortError when the port is gone, closed or takes nothing for ten seconds."""
        port = self._serial
        if port is None or self._failure is not None:
            raise self._failure or self._gone()
        try:
            await self._loop.run_in_executor(self._writer, port.write, data)
        except serial.SerialTimeoutException:
            raise PortError("stuck", f"{self.path} takes no bytes: reset the board") from None
        except _GONE:
            raise self._gone() from None

    async def close(self) -> None:
        """Closes the port; who waits in `read` gets a PortError."""
        port, self._serial = self._serial, None
        if port is None:
            return
        self._fail(self._gone())
        self._room.set()
        for cancel in ("cancel_read", "cancel_write"):
            if hasattr(port, cancel):
                getattr(port, cancel)()
        await asyncio.to_thread(self._reader.join)
        self._writer.shutdown(wait=False)
        await asyncio.to_thread(port.close)

    def _gone(self) -> PortError:
        return PortError("unplugged", f"{self.path} is gone: plug the board in again")

    def _read_on(self, port: serial.Serial) -> None:
        """The reader thread; it stops when the port fails or is closed."""
        while self._serial is port:
            try:
                data = port.read(1)
                while data and len(data) < _READ_MOST and (waiting := port.in_waiting):
                    data += port.read(min(waiting, _READ_MOST))
            except _GONE:
                self._call(self._fail, self._gone())
                return
            if data:
                self._call(self._feed, data)
                self._room.wait()

    def _call(self, function, argument) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function, argument)

    def _feed(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > _BUFFER_MOST:
            self._room.clear()
        self._arrived.set()

    def _fail(self, error: PortError) -> None:
        self._failure = self._failure or error
        self._arrived.set()

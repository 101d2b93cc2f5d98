"""The stage of the system tests: motemo commands as processes of their own, one home, virtual boards, a real server."""

import functools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import littlefs

from motemo.errors import MotemoError
from motemo.store.journal import Journal
from motemo_host.install import install
from motemo_host.virtual.board import VirtualBoard
from tests.peers.prosody import Prosody

MOTEMO = Path(sys.executable).parent / "motemo"
HEAP_KIB = 128  # the heap that an agent must live in
PATIENCE = 60

# An application whose reading counts up: what is lost, doubled or out of order shows. It goes on over restarts.
COUNTING_MAIN = """
import machine

from motemo.agent import Agent

try:
    with open("count") as file:
        life = int(file.read()) + 1
except OSError:
    life = 1
with open("count", "w") as file:
    file.write(str(life))

agent = Agent.load()
count = life * 10000


@agent.sensor("count")
def sensor():
    global count
    count += 1
    return count


@agent.command("relay")
def relay(state):
    return "relay is " + state


@agent.command("power")
def power(state):
    machine.reset()


agent.run()
"""


class Stage:
    """A home for motemo commands, on a server. Everything that it starts ends with `close`."""

    def __init__(self, server: Prosody, folder: Path):
        self.server = server
        self.folder = folder
        self.home = folder / "home"
        self._closing: list[Any] = []

    def account(self, user: str) -> str:
        """A new account on the server; its password is in the file `folder`/JID."""
        jid = self.server.add_account(user, "pw of " + user)
        (self.folder / jid).write_text(f"pw of {user}\n")
        return jid

    def at(self, jid: str) -> list[str]:
        """The words that name an account and its server."""
        return ["--jid", jid, "--password-file", str(self.folder / jid), *self.server_words]

    @property
    def server_words(self) -> list[str]:
        """The words that name the server."""
        return ["--server", f"{self.server.host}:{self.server.starttls_port}", "--ca", str(self.server.certificate)]

    def board(self, name: str, main: str | None = None, bare: bool = False) -> VirtualBoard:
        """A board with power: with the agent and perhaps another application than the default one, or bare."""
        folder = self.folder / name
        folder.mkdir()
        if not bare:
            for image, data in _installed(main).items():
                (folder / image).write_bytes(data)
        board = VirtualBoard(name, folder, heap_kib=HEAP_KIB)
        self._closing.append(board)
        board.start()
        return board

    def motemo(self, *words: str, code: int | None = 0, timeout: float = PATIENCE, **options: Any) -> "Done":
        """Runs a command to its end, which has to be with this exit code (None: with any)."""
        done = subprocess.run(
            [MOTEMO, *words, "--home", self.home],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            **options,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert code in (None, done.returncode), f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return Done(done.stdout, done.stderr)

    def start(self, *words: str) -> "Running":
        """Starts a command in the background."""
        running = Running([str(MOTEMO), *words, "--home", str(self.home)])
        self._closing.append(running)
        return running

    def identity(self, jid: str) -> str:
        """The fingerprint of a collector's identity, which is made."""
        return self.motemo("identity", "--jid", jid, "--json").document["fingerprint"]

    def provision(self, board: VirtualBoard, jid: str, *words: str) -> dict[str, Any]:
        """Provisions a board; returns what the command reports."""
        port = str(board.port)
        return self.motemo("provision", "--port", port, *self.at(jid), *words, "--json").document

    def gateway(self, *boards: VirtualBoard, words: tuple[str, ...] = ()) -> "Running":
        """A gateway for these boards, once it knows them."""
        ports = [word for board in boards for word in ("--port", str(board.port))]
        running = self.start("gateway", *ports, *words, "--json")
        for _ in boards:
            running.event("board")
        return running

    def listen(self, jid: str, *words: str) -> "Running":
        """A collector that is ready."""
        running = self.start("listen", *self.at(jid), *words, "--json")
        running.event("ready")
        return running

    def status(self, board: VirtualBoard) -> dict[str, Any]:
        """The board's status over its port."""
        return self.motemo("status", "--port", str(board.port), "--json").document

    def stored(self, board: str) -> list[float]:
        """The values of a board's readings in the database, in the order in which they came in."""
        db = sqlite3.connect(self.home / "readings.db")
        try:
            return [row[0] for row in db.execute("SELECT value FROM readings WHERE board = ? ORDER BY id", (board,))]
        finally:
            db.close()

    def close(self) -> None:
        """Ends all that was started, the newest first."""
        for one in reversed(self._closing):
            one.close()


class Done:
    """What a command printed."""

    def __init__(self, out: str, err: str):
        self.out = out
        self.err = err

    @property
    def document(self) -> Any:
        """Its one JSON document."""
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def sentence(self) -> str:
        """Its error, which has to be one sentence: the last line, with nothing but log and progress before it."""
        *others, last = self.err.splitlines()
        assert last.startswith("motemo: "), self.err
        assert all(line.startswith(("  ", "WARNING ")) for line in others), self.err
        return last.removeprefix("motemo: ")


class Running:
    """A command in the background with its lines, which are JSON documents."""

    def __init__(self, words: list[str]):
        descriptor, name = tempfile.mkstemp(prefix="motemo-log-")
        self._log = Path(name)
        self._process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=descriptor,
            text=True,
            start_new_session=True,
        )
        os.close(descriptor)
        self._words = words
        self._next = 0
        self._news = threading.Condition()
        self.events: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def event(self, kind: str, timeout: float = PATIENCE, **values: Any) -> dict[str, Any]:
        """The next event of this kind with these values, among those that this has not passed."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                while self._next < len(self.events):
                    event = self.events[self._next]
                    self._next += 1
                    assert "error" not in event, event
                    if event["event"] == kind and values.items() <= event.items():
                        return event
                left = deadline - time.monotonic()
                assert left > 0 and self._reader.is_alive(), f"{self._words}: no {kind} {values} in time\n{self.log()}"
                self._news.wait(left)

    def values(self, board: str) -> list[float]:
        """The values of a board's readings that were printed so far."""
        events = list(self.events)
        return [
            one["value"]
            for event in events
            if event["event"] == "reading" and event["jid"] == board
            for one in event["readings"]
        ]

    def log(self) -> str:
        """What it wrote to stderr so far."""
        return self._log.read_text(errors="replace")

    def wait(self, timeout: float = PATIENCE) -> int:
        """Its exit code, once it ends."""
        return self._process.wait(timeout)

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Ends it as Ctrl-C does; its exit code is 0."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(15)
        assert code == 0, f"{self._words} ended with {code}:\n{self.log()}"

    def close(self) -> None:
        """Ends it, however it is. Its log may not hold a traceback."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        self._reader.join(5)
        log = self.log()
        self._log.unlink()
        assert "Traceback" not in log, log


def read_journal(board: VirtualBoard, folder: Path) -> Journal:
    """What the board's flash has in its journal now, as a copy in `folder`.

    The board may write meanwhile: a copy in which that shows is taken again.
    """
    folder.mkdir(exist_ok=True)

    def copy() -> Journal | None:
        image = bytearray((board.directory / "flash.img").read_bytes())
        flash = littlefs.LittleFS(block_size=4096, block_count=len(image) // 4096, mount=False)
        flash.context.buffer = image
        try:
            flash.mount()
            with flash.open("motemo.state/journal", "rb") as file:
                (folder / "journal").write_bytes(file.read())
            return Journal(os.fspath(folder))
        except (OSError, littlefs.LittleFSError, MotemoError):
            return None

    return until(copy, 10)


def until(condition, seconds: float = PATIENCE):
    """The first true value of the condition."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.05)
    return value


@functools.cache
def _installed(main: str | None) -> dict[str, bytes]:
    """The ROM partition and the flash of a board with the agent, by the names of their files."""
    with tempfile.TemporaryDirectory(prefix="motemo-test-") as name, VirtualBoard("one", Path(name)) as board:
        board.start()
        install(str(board.port), main=main and main.encode())
        board.kill()
        return {image: (Path(name) / image).read_bytes() for image in ("rom.img", "flash.img")}

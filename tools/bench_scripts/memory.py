"""The heap that a linked agent takes, on real virtual boards, and the least one that it lives in.

A board lives in a heap if it is provisioned there from its factory state, sends `READINGS` readings that its owner can
read, and answers `COMMANDS`. The gateway is the real one; server and owner are in this process. `main.py` is the
default one with a second sensor, which tells the heap in use after a garbage collection.

The live bytes include what MicroPython itself has on the heap: see `memory.bare_live_bytes`, a board that has `machine`
and `esp32` imported and nothing else. On a 32-bit board objects are half the size.
"""

import asyncio
import contextlib
import itertools
import logging
import shutil
import tempfile
from pathlib import Path

from motemo.errors import MotemoError
from motemo.omemo import trust
from motemo.omemo.elements import OMEMO2
from motemo_host.boardlink import BoardLink
from motemo_host.gateway import Gateway
from motemo_host.home import Credentials, Home
from motemo_host.install import install
from motemo_host.provision import Plan, provision
from motemo_host.queue import Queue
from motemo_host.readings import parse_senml
from motemo_host.serialport import SerialPort
from motemo_host.stanzas import Device
from motemo_host.virtual.board import VirtualBoard
from motemo_host.xmpp import Received
from tests.bundles import make_bundle
from tools.bench_scripts import _account, _pair

READINGS = 20
COMMANDS = ("get", "set relay on", "status", "every 1 s", "help")
HEAPS = range(64, 257, 4)  # KiB
SECONDS = 90
ROOT = Path(__file__).resolve().parent.parent.parent

BARE = """
import gc, machine, esp32, time
while True:
    gc.collect()
    print("live", gc.mem_alloc())
    time.sleep(0.1)
"""
HEAP_SENSOR = """
@agent.sensor("heap", unit="B")
def heap():
    import gc
    gc.collect()
    return gc.mem_alloc()

agent.run()
"""


class Owner(_account.Account):
    """The board's account with its owner behind it. readings: SenML values by name; answers: texts."""

    def __init__(self):
        super().__init__(_pair.BOARD)
        self.engine = _pair.device(_pair.OWNER)
        self.pep = self
        self.readings: asyncio.Queue[dict] = asyncio.Queue()
        self.answers: asyncio.Queue[str] = asyncio.Queue()
        self._devices: list[Device] = []
        self._ids = itertools.count()

    async def check(self) -> None:
        """This PEP does what is needed."""

    async def fetch_devices(self, jid: str, dialect: int = OMEMO2) -> list[Device]:
        if jid == _pair.OWNER:
            return [Device(self.engine.keys.device)] if dialect == OMEMO2 else []
        return self._devices

    async def fetch_bundle(self, jid: str, device: int, dialect: int = OMEMO2):
        return make_bundle(self.engine.keys) if jid == _pair.OWNER else self._published

    async def publish_bundle(self, device: int, published) -> None:
        self._published = published

    async def announce(self, device: Device, dialect: int = OMEMO2) -> None:
        self._devices = [device]
        self.engine.on_devices(self.jid, [device.id])

    async def send(self, to: str, encrypted, *, id: str) -> None:
        """Reads a message of the board, and answers by the ping that is due."""
        opened = self.engine.open(self.jid, encrypted)
        while ping := self.engine.next_ping():
            self._deliver(ping[1])
        if opened.envelope is None:
            return
        values = [one for _, text in opened.envelope.records for one in parse_senml(text)]
        if values:
            self.readings.put_nowait({one.name: one.value for one in values})
        else:
            self.answers.put_nowait(opened.envelope.body)

    async def command(self, text: str) -> str:
        """The board's answer to a command."""
        self._deliver(self.engine.seal([self.jid], text))
        return await self.answers.get()

    def _deliver(self, encrypted) -> None:
        self.on_message(Received(_pair.OWNER, "chat", encrypted, str(next(self._ids)), None, None))


def figures() -> dict[str, int]:
    """The figures by their dotted keys; RuntimeError when no heap of `HEAPS` is enough."""
    with tempfile.TemporaryDirectory(prefix="motemo-bench-") as name, _quiet():
        folder = Path(name)
        bare = bare_live(folder / "bare")
        new = folder / "new"
        main = (ROOT / "firmware" / "main.py").read_text().replace("\nagent.run()\n", HEAP_SENSOR)
        with VirtualBoard("new", new, heap_kib=HEAPS[-1]) as board:
            board.start()
            install(str(board.port), main=main.encode())
        live = lives(new, HEAPS[-1])
        if not live:
            raise RuntimeError(f"the agent does not live in {HEAPS[-1]} KiB")
        return {
            "memory.bare_live_bytes": bare,
            "memory.linked_live_bytes": live,
            "memory.linked_least_heap_bytes": least_heap(new) * 1024,
        }


def least_heap(new: Path) -> int:
    """The least heap in KiB in which the board lived twice; what is less by a step was tried and did not do."""
    fails, passes = -1, len(HEAPS) - 1
    while passes - fails > 1:
        middle = (fails + passes) // 2
        if lives(new, HEAPS[middle]):
            passes = middle
        else:
            fails = middle
    while not lives(new, HEAPS[passes]):
        passes += 1
    return HEAPS[passes]


def lives(new: Path, heap_kib: int) -> int:
    """Lets a copy of the board `new` live through it all; the most bytes of heap in use while idle, 0 if it failed."""
    with tempfile.TemporaryDirectory(prefix="motemo-bench-") as name:
        folder = Path(name)
        shutil.copytree(new, folder / "board", ignore=shutil.ignore_patterns("port", "lock"))
        with VirtualBoard("bench", folder / "board", heap_kib=heap_kib) as board:
            return asyncio.run(_life(board, Home(folder / "home")))


async def _life(board: VirtualBoard, home: Home) -> int:
    loop = asyncio.get_running_loop()
    out_of_memory = asyncio.Event()
    said = b""

    def watch(data: bytes) -> bytes:
        nonlocal said
        said = said[-20:] + data
        if b"MemoryError" in said:
            loop.call_soon_threadsafe(out_of_memory.set)
        return data

    board.to_host = watch
    board.start()
    living = asyncio.ensure_future(_live(board, home))
    dying = asyncio.ensure_future(out_of_memory.wait())
    await asyncio.wait((living, dying), timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
    done = living.done() and not dying.done()
    for task in (living, dying):
        task.cancel()
    found, _ = await asyncio.gather(living, dying, return_exceptions=True)
    if not done:
        return 0
    if isinstance(found, MotemoError):
        return 0
    if isinstance(found, BaseException):
        raise found
    return found


async def _live(board: VirtualBoard, home: Home) -> int:
    owner = Owner()
    credentials = Credentials(_pair.BOARD, "none", "localhost:5222", "starttls", None)
    plan = Plan(str(board.port), credentials, {_pair.OWNER: [owner.engine.keys.fingerprint]}, "bench", 1, False)
    result = await provision(plan, home, owner, lambda *_: None)
    trust.pin(owner.engine.store, _pair.BOARD, [result.fingerprint])
    link = BoardLink(SerialPort(str(board.port)))
    await link.connect()
    queue = Queue(home.queue(_pair.BOARD))
    gateway = asyncio.ensure_future(Gateway(link, owner, queue).run())
    try:
        in_use = []
        for number in range(READINGS):
            in_use.append((await owner.readings.get())["heap"])
            if number % 4 == 3:
                answer = await owner.command(COMMANDS[number // 4])
                if "MemoryError" in answer:
                    return 0
        short = (await link.request("status"))["counters"].get("memory", 0)
        return 0 if short else int(max(in_use))
    finally:
        gateway.cancel()
        await asyncio.gather(gateway, return_exceptions=True)
        await link.close()
        queue.close()


def bare_live(folder: Path) -> int:
    """Bytes of heap in use on a board that runs `BARE`."""
    with VirtualBoard("bare", folder) as board:
        board.start()
        install(str(board.port), modules={"main.py": BARE.encode()})
        with open(board.port, "rb", buffering=0) as port:
            text = b""
            while text.count(b"\n") < 5:
                text += port.read(64)
    return int(text.splitlines()[-2].split()[1])


@contextlib.contextmanager
def _quiet():
    """Boards that fail are no news here."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)

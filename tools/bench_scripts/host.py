"""What the host's side does in a second: messages that a collector opens, and readings that the gateway passes on.

`host.open_per_s` is our engine on CPython, `host.twomemo_open_per_s` python-omemo on messages of the same board, in
the same run. Both parse the XML and keep their state in memory; ours also parses the envelope, theirs does not.
`host.forged_counter_ms` is how long a message with a counter of 2^31 keeps our engine.
`host.gateway_readings_per_s` is the gateway with its queue on disk, between a link and a server that are not there.
"""

import asyncio
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path

from motemo.crypto.points import edwards_to_montgomery
from motemo.errors import RemoteError
from motemo.omemo import envelope, trust
from motemo.omemo.dialects import OMEMO2
from motemo_host.gateway import Gateway
from motemo_host.queue import Queue
from motemo_host.stanzas import bundle_to_xml, encrypted_from_xml, encrypted_to_xml
from tests.bundles import make_bundle
from tests.peers.python_omemo import Account, Directory
from tools.bench_scripts import _account, _pair

MESSAGES = 500
BODY = "temperature 21.5 °C"
PLAINTEXT = envelope.build(_pair.OWNER, "get")


def figures() -> dict[str, float]:
    """The figures by their dotted keys."""
    return {
        "host.open_per_s": ours(),
        "host.forged_counter_ms": forged(),
        "host.twomemo_open_per_s": asyncio.run(theirs()),
        "host.gateway_readings_per_s": asyncio.run(gateway()),
    }


def sealed(board) -> list[bytes]:
    """Readings of a board as XML."""
    return [ET.tostring(encrypted_to_xml(board.seal([_pair.OWNER], BODY))) for _ in range(MESSAGES)]


def ours() -> float:
    """Messages that our engine opens in a second."""
    board, owner = _pair.pair()
    messages = sealed(board)
    start = time.perf_counter()
    for xml in messages:
        opened = owner.open(_pair.BOARD, encrypted_from_xml(ET.fromstring(xml)))
        assert opened.envelope.body == BODY
    return MESSAGES / (time.perf_counter() - start)


def forged() -> float:
    """Milliseconds for a message whose header is good but for the counter."""
    board, owner = _pair.pair()
    bad = board.seal([_pair.OWNER], BODY)
    ((jid, rid, kex, data),) = bad.keys
    message, tag = OMEMO2.unseal(data)
    _, pn, dh, ciphertext = OMEMO2.decode_header(message)
    bad.keys = [(jid, rid, kex, OMEMO2.seal(OMEMO2.encode_header(1 << 31, pn, dh, ciphertext), tag))]
    start = time.perf_counter()
    for _ in range(MESSAGES):
        try:
            owner.open(_pair.BOARD, bad)
        except RemoteError as error:
            assert error.reason == "skip-limit"
        else:
            raise AssertionError("it was opened")
    return 1000 * (time.perf_counter() - start) / MESSAGES


async def theirs() -> float:
    """Messages that python-omemo opens in a second; the few heartbeats that it sends meanwhile are in the time."""
    board = _pair.device(_pair.BOARD)
    directory = Directory()
    directory.bundles[_pair.BOARD, board.keys.device] = ET.tostring(bundle_to_xml(make_bundle(board.keys)))
    directory.devices[_pair.BOARD] = {board.keys.device: None}
    owner = await Account.create(directory, _pair.OWNER)
    try:
        trust.pin(board.store, _pair.OWNER, [edwards_to_montgomery(owner.identity_key)])
        board.on_devices(_pair.OWNER, [owner.device])
        await owner.learn(_pair.BOARD)
        board.open(_pair.OWNER, encrypted_from_xml(ET.fromstring(await owner.encrypt(_pair.BOARD, PLAINTEXT))))
        messages = sealed(board)
        start = time.perf_counter()
        for xml in messages:
            assert BODY.encode() in await owner.decrypt(_pair.BOARD, xml)
        return MESSAGES / (time.perf_counter() - start)
    finally:
        await owner.stop()


class Server(_account.Account):
    """Takes messages and counts them. reached: the gateway runs; full: there are `MESSAGES`."""

    def __init__(self):
        super().__init__(_pair.BOARD)
        self.reached = asyncio.Event()
        self.full = asyncio.Event()
        self._taken = 0

    async def stay_online(self, since) -> None:
        self.reached.set()
        await super().stay_online(since)

    async def send(self, to, encrypted, *, id) -> None:
        self._taken += 1
        if self._taken == MESSAGES:
            self.full.set()


class Link:
    """A link to a board that takes everything."""

    def __init__(self, device: int):
        self._device = device

    async def send(self, message) -> None:
        """Nothing to do."""

    async def request(self, op: str):
        return {"jid": _pair.BOARD, "device": self._device}


async def gateway() -> float:
    """Readings in a second that the gateway takes over from a board, one after the other, and hands to the server."""
    board, _ = _pair.pair()
    link, server = Link(board.keys.device), Server()
    messages = []
    for number in range(MESSAGES):
        reading = board.seal([_pair.OWNER], BODY)
        message = {"type": "message", "id": number, "to": _pair.OWNER, "dialect": reading.dialect, "sid": reading.sid}
        messages.append(message | {"keys": reading.keys, "payload": reading.payload})
    with tempfile.TemporaryDirectory(prefix="motemo-bench-") as folder:
        queue = Queue(Path(folder) / "queue.db")
        running = asyncio.ensure_future(Gateway(link, server, queue).run())
        try:
            await server.reached.wait()
            start = time.perf_counter()
            for message in messages:
                await link.on_message(message)
            await server.full.wait()
            return MESSAGES / (time.perf_counter() - start)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            queue.close()

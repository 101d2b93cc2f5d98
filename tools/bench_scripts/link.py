"""Bytes on the link for what a board sends to one device, and of the stanza that carries it.

Two engines, the agent's own texts, and both ends of the link: nothing is made up but the JIDs. The padding is random,
so that sizes vary; the most of `MESSAGES` counts. Acknowledgements go the other way and are counted apart.
"""

import itertools
import os

from slixmpp import JID, Message

from motemo import telemetry
from motemo.link import cbor, messages
from motemo.link.session import BOARD, HOST, Session
from motemo_host import hostcbor
from motemo_host.stanzas import message_elements
from tools.bench_scripts import _pair

MESSAGES = 50  # the owner's heartbeat would come at counter 53
SAMPLE = [("temperature", "Cel", 21.5)]
NOON = 1_767_225_600


class Wire:
    """A board and a gateway with a line between them that counts."""

    def __init__(self):
        self.sending, self.receiving = messages.Context(cbor), messages.Context(hostcbor)
        self.board = Session(BOARD, os.urandom(4), lambda message: messages.pack(message, self.sending))
        self.host = Session(HOST, os.urandom(4))
        self.received: list[dict] = []
        self.from_board = self.to_board = 0
        self.ids = itertools.count((1 << 16) + 1)  # as the agent counts them in its first life
        self.settle()

    def settle(self) -> None:
        """Carry bytes until both ends are silent."""
        while True:
            out, back = self.board.poll(0), self.host.poll(0)
            if not out and not back:
                return
            self.from_board += len(out)
            self.to_board += len(back)
            for event in self.host.receive(out):
                if event[0] == "message":
                    self.received.append(messages.unpack(event[1], self.receiving))
                    self.host.accept()
            self.board.receive(back)

    def cost(self, encrypted) -> tuple[int, int]:
        """Bytes (from the board, to the board) until the gateway has taken a message for the owner over."""
        message = {"type": "message", "id": next(self.ids), "to": _pair.OWNER, "dialect": encrypted.dialect}
        message |= {"sid": encrypted.sid, "keys": encrypted.keys}
        if encrypted.payload is not None:
            message["payload"] = encrypted.payload
        before = self.from_board, self.to_board
        self.board.send(message)
        self.settle()
        assert self.received.pop() == message
        return self.from_board - before[0], self.to_board - before[1]


def stanza(encrypted) -> int:
    """Bytes of the same message as the gateway writes it to the server."""
    message = Message()
    message["to"], message["type"], message["id"] = JID(_pair.OWNER), "chat", os.urandom(12).hex()
    for element in message_elements(encrypted):
        message.append(element)
    return len(str(message).encode())


def figures() -> dict[str, int]:
    """The figures by their dotted keys."""
    line = telemetry.line(SAMPLE)
    assert len(line.encode()) == 20
    board, owner = _pair.device(_pair.BOARD), _pair.device(_pair.OWNER)
    wire = Wire()
    found = {"link.key_exchange_bytes": wire.cost(_pair.start(board, owner))[0]}
    _pair.answer(board, owner)

    def reading(records: str | None):
        sealed = board.seal([_pair.OWNER], line, records)
        opened = owner.open(_pair.BOARD, sealed)
        assert opened.trusted and opened.envelope.body == line
        return sealed

    found["link.first_reading_bytes"] = wire.cost(reading(None))[0]
    readings = [reading(None) for _ in range(MESSAGES)]
    costs = [wire.cost(sealed) for sealed in readings]
    found["link.reading_bytes"] = max(out for out, _ in costs)
    found["link.ack_bytes"] = max(back for _, back in costs)
    found["link.stanza_bytes"] = max(stanza(sealed) for sealed in readings)
    readings = [reading(telemetry.senml(NOON, SAMPLE)) for _ in range(MESSAGES)]
    found["link.senml_reading_bytes"] = max(wire.cost(sealed)[0] for sealed in readings)
    found["link.senml_stanza_bytes"] = max(stanza(sealed) for sealed in readings)
    found["link.ping_bytes"] = wire.cost(heartbeat(board, owner))[0]
    return found


def heartbeat(board, owner):
    """The empty message that the board sends when the owner has written 53 times; its ratchet key is a new one."""
    while True:
        board.open(_pair.OWNER, owner.seal([_pair.BOARD], "get"))
        ping = board.next_ping()
        if ping:
            return ping[1]

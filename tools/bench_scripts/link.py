"""Bytes on the link for one reading and one ping, and of the stanza that carries the reading."""

import os
from base64 import b64encode

from motemo.link import cbor, messages
from motemo.link.session import BOARD, HOST, Session
from motemo_host import hostcbor

BOARD_JID, OWNER_JID = "board1@example.org", "alice@example.org"
BOARD_DEVICE, OWNER_DEVICE = 1234567890, 987654321
RATCHET_KEY = os.urandom(32)


def ratchet_message(counter: int, ciphertext: int) -> bytes:
    """An OMEMOAuthenticatedMessage with random MAC and ciphertext, its fields as XEP-0384 has them."""
    inner = bytes((0x08, counter, 0x10, 4, 0x1A, 32)) + RATCHET_KEY + bytes((0x22, ciphertext)) + os.urandom(ciphertext)
    return bytes((0x0A, 16)) + os.urandom(16) + bytes((0x12, len(inner))) + inner


# TO BE REPLACED by what the engine seals; the sizes are the real ones.
def sealed_reading(counter: int) -> tuple[list[tuple[str, int, bool, bytes]], bytes]:
    """The keys and the payload of a message with a body of 20 bytes to one device that has answered."""
    return [(OWNER_JID, OWNER_DEVICE, False, ratchet_message(counter, 64))], os.urandom(176)


def stanza(keys: list[tuple[str, int, bool, bytes]], payload: bytes) -> bytes:
    """The same message as a gateway, or a board of its own, writes it to the server."""
    ((jid, rid, _, data),) = keys
    return (
        f"<message from='{BOARD_JID}/board' to='{jid}' id='{os.urandom(8).hex()}' type='chat'>"
        f"<encrypted xmlns='urn:xmpp:omemo:2'><header sid='{BOARD_DEVICE}'><keys jid='{jid}'>"
        f"<key rid='{rid}'>{b64encode(data).decode()}</key></keys></header>"
        f"<payload>{b64encode(payload).decode()}</payload></encrypted>"
        "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:omemo:2'/><store xmlns='urn:xmpp:hints'/></message>"
    ).encode()


class Wire:
    """A board and a gateway with a line between them that counts."""

    def __init__(self):
        self.sending, self.receiving = messages.Context(cbor), messages.Context(hostcbor)
        self.board = Session(BOARD, os.urandom(4), lambda message: messages.pack(message, self.sending))
        self.host = Session(HOST, os.urandom(4))
        self.received: list[dict] = []
        self.from_board = self.to_board = 0
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

    def cost(self, message: dict) -> tuple[int, int]:
        """Bytes (from the board, to the board) until the gateway has taken `message` over."""
        before = self.from_board, self.to_board
        self.board.send(message)
        self.settle()
        assert self.received.pop() == message
        return self.from_board - before[0], self.to_board - before[1]


def costs(messages_in_turn: list[dict]) -> list[tuple[int, int]]:
    """What each message costs in one session."""
    wire = Wire()
    return [wire.cost(message) for message in messages_in_turn]


def figures() -> dict[str, int]:
    """The most that any but the first message of a session takes; acknowledgements are counted apart."""
    readings, pings = [], []
    for counter in range(100):
        message = {"type": "message", "id": (1 << 16) + counter, "to": OWNER_JID, "dialect": 2, "sid": BOARD_DEVICE}
        keys, payload = sealed_reading(counter)
        readings.append(message | {"keys": keys, "payload": payload})
        pings.append(message | {"keys": [(OWNER_JID, OWNER_DEVICE, False, ratchet_message(counter, 48))]})
    first, *later = costs(readings)
    return {
        "link.reading_bytes": max(out for out, _ in later),
        "link.ack_bytes": max(back for _, back in later),
        "link.first_reading_bytes": first[0],
        "link.stanza_bytes": len(stanza(*sealed_reading(1))),
        "link.ping_bytes": max(out for out, _ in costs(pings)[1:]),
    }

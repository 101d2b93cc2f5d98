"""A board and a python-omemo device in one process: what the tests of both dialects have in common."""

import random
import xml.etree.ElementTree as ET

import omemo
import pytest

from motemo.errors import RemoteError
from motemo.omemo import bundle, identity
from motemo.omemo.engine import Engine
from motemo.profile import Profile
from motemo_host import stanzas
from tests.memory_store import MemoryStore

BOARD = "board@example.org"
ALICE = "alice@example.org"


class Board:
    """An engine whose public data `publish`, which is the dialect's own, puts into the directory."""

    def __init__(self, directory, store=None, profile=None):
        self.directory = directory
        self.store = store or MemoryStore()
        self.profile = profile or Profile(prekeys=25)
        if store is None:
            identity.create(self.store, BOARD)
        self.engine = Engine(self.store, self.profile)
        bundle.fill(self.engine.keys, self.profile.prekeys)
        self.publish()

    def publish(self):
        raise NotImplementedError

    def restart(self):
        """What a power cut leaves."""
        return type(self)(self.directory, self.store.copy(), self.profile)

    def ping(self):
        ping = self.engine.next_ping()
        return ping and to_xml(ping[1])

    def open(self, xml):
        opened = self.engine.open(ALICE, parse(xml))
        return opened.envelope and opened.envelope.body


def to_xml(encrypted):
    return ET.tostring(stanzas.encrypted_to_xml(encrypted))


def parse(xml):
    return stanzas.encrypted_from_xml(ET.fromstring(xml))


async def converse(board, alice, count, seed, wrap, read, command="command {}"):
    """`count` messages each way, some lost, late or doubled; what is not lost arrives once and is right.

    wrap(text): what Alice encrypts. read(alice, xml): the text that she decrypts. command: her text, with its number.
    """
    rng = random.Random(seed)
    to_board, to_alice = [], []
    got_board, got_alice = [], []
    sent_board, sent_alice = [], []

    async def deliver():
        for number, xml in to_board:
            try:
                assert board.open(xml) == command.format(number)
            except RemoteError as error:
                assert error.reason == "duplicate" and number in got_board
            else:
                got_board.append(number)
        for number, xml in to_alice:
            if number in got_alice:
                with pytest.raises(omemo.OMEMOException):
                    await read(alice, xml)
            else:
                assert await read(alice, xml) == f"reading {number}"
                got_alice.append(number)
        to_alice.clear()
        to_board.clear()

    for number in range(count):
        to_alice.append((number, board.seal(f"reading {number}")))
        to_board.append((number, await alice.encrypt(BOARD, wrap(command.format(number)))))
        for queue, sent in ((to_alice, sent_alice), (to_board, sent_board)):
            if rng.random() < 0.1:
                queue.pop()
                continue
            sent.append(number)
            if rng.random() < 0.1:
                queue.append(queue[-1])
        if rng.random() < 0.4:
            rng.shuffle(to_alice)
            rng.shuffle(to_board)
            await deliver()
    await deliver()
    assert sorted(got_board) == sent_board
    assert sorted(got_alice) == sent_alice

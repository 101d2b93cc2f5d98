"""The engine against python-omemo (twomemo), in one process: code that we did not write on the other end."""

import random
import xml.etree.ElementTree as ET

import pytest

from motemo.crypto.points import edwards_to_montgomery
from motemo.errors import RemoteError
from motemo.omemo import admission, bundle, envelope, envelope_reader, identity, records, trust
from motemo.omemo.dialects import OMEMO2
from motemo.omemo.engine import Engine
from motemo.omemo.keys import BUNDLE_DIRTY
from motemo.profile import Profile
from motemo_host import stanzas
from tests.covers import covers
from tests.memory_store import MemoryStore
from tests.peers.python_omemo import Account, Directory

BOARD = "board@example.org"
ALICE = "alice@example.org"


class Board:
    """An engine whose public data stands in the directory."""

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
        own = self.engine.keys
        newest = bundle.make(own)
        self.directory.bundles[BOARD, own.device] = ET.tostring(stanzas.bundle_to_xml(newest))
        self.directory.devices[BOARD] = {own.device: None}
        bundle.published(own, newest)

    def restart(self):
        """What a power cut leaves."""
        return Board(self.directory, self.store.copy(), self.profile)

    def learn(self, jid):
        self.engine.on_devices(jid, list(self.directory.devices[jid]))
        self.fetch([jid])

    def fetch(self, jids=()):
        for kind, jid, device in self.engine.needs(jids):
            assert kind == "bundle"
            fetched = stanzas.bundle_from_xml(ET.fromstring(self.directory.bundles[jid, device]))
            self.engine.on_bundle(jid, device, fetched)

    def seal(self, body):
        return to_xml(self.engine.seal([ALICE], body))

    def ping(self):
        ping = self.engine.next_ping()
        return ping and to_xml(ping[1])

    def open(self, xml):
        opened = self.engine.open(ALICE, stanzas.encrypted_from_xml(ET.fromstring(xml)))
        return opened.envelope and opened.envelope.body


def to_xml(encrypted):
    return ET.tostring(stanzas.encrypted_to_xml(encrypted))


def header(xml):
    """(n, pn, ratchet key, ciphertext) of the first key of a message."""
    _, _, kex, data = stanzas.encrypted_from_xml(ET.fromstring(xml)).keys[0]
    if kex:
        data = OMEMO2.decode_exchange(data)[4]
    return OMEMO2.decode_header(OMEMO2.unseal(data)[0])


def wrap(body):
    return envelope.build(ALICE, body)


async def read(alice, xml):
    plaintext = await alice.decrypt(BOARD, xml)
    return plaintext and envelope_reader.read(plaintext, BOARD).body


@pytest.fixture
async def pair():
    directory = Directory()
    alice = await Account.create(directory, ALICE)
    board = Board(directory)
    trust.pin(board.store, ALICE, [edwards_to_montgomery(alice.identity_key)])
    yield board, alice
    await alice.stop()


async def converse(board, alice, count, seed):
    """`count` messages each way, some lost, late or doubled; what is not lost arrives once and is right."""
    rng = random.Random(seed)
    to_board, to_alice = [], []
    got_board, got_alice = [], []
    sent_board, sent_alice = [], []
    for number in range(count):
        to_alice.append((number, board.seal(f"reading {number}")))
        to_board.append((number, await alice.encrypt(BOARD, wrap(f"command {number}"))))
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
            await deliver(board, alice, to_alice, to_board, got_board, got_alice)
    await deliver(board, alice, to_alice, to_board, got_board, got_alice)
    assert sorted(got_board) == sent_board
    assert sorted(got_alice) == sent_alice


async def deliver(board, alice, to_alice, to_board, got_board, got_alice):
    for number, xml in to_board:
        try:
            assert board.open(xml) == f"command {number}"
        except RemoteError as error:
            assert error.reason == "duplicate" and number in got_board
        else:
            got_board.append(number)
    for number, xml in to_alice:
        if number in got_alice:
            with pytest.raises(Exception):
                await read(alice, xml)
        else:
            assert await read(alice, xml) == f"reading {number}"
            got_alice.append(number)
    to_alice.clear()
    to_board.clear()


@covers("O-001", "O-006", "O-008", "O-020", "O-028", "O-029", "O-030", "O-031", "O-033", "O-034", "O-041", "O-042")
async def test_board_starts_and_its_session_is_completed(pair):
    board, alice = pair
    board.learn(ALICE)
    first = board.seal("one")
    second = board.seal("two")
    for xml in (first, second):
        assert stanzas.encrypted_from_xml(ET.fromstring(xml)).keys[0][2], "a key exchange until the first answer"
    assert await read(alice, first) == "one"
    assert await read(alice, second) == "two"
    assert len(alice.outgoing) == 2, "python-omemo answers each key exchange by an empty message"
    for xml in alice.outgoing:
        assert board.open(xml) is None
    third = board.seal("three")
    assert not stanzas.encrypted_from_xml(ET.fromstring(third)).keys[0][2]
    assert await read(alice, third) == "three"
    assert board.engine.counters == {}


@covers("O-120", "O-087", "O-086", "O-092", "O-119")
async def test_peer_starts_and_our_ping_completes_its_session(pair):
    board, alice = pair
    await alice.learn(BOARD)
    before = {number for number, _ in bundle.make(board.engine.keys).prekeys}
    assert board.open(await alice.encrypt(BOARD, wrap("help"))) == "help"
    after = {number for number, _ in bundle.make(board.engine.keys).prekeys}
    assert len(before - after) == 1 and len(after) == len(before) and min(after - before) > max(before)
    assert board.engine.keys.flags & BUNDLE_DIRTY, "the bundle with the new prekey is due"
    board = board.restart()
    ping = board.ping()
    assert stanzas.encrypted_from_xml(ET.fromstring(ping)).payload is None
    assert board.ping() is None, "one ping for each key exchange"
    assert await alice.decrypt(BOARD, ping) is None
    board.publish()
    assert not stanzas.encrypted_from_xml(ET.fromstring(await alice.encrypt(BOARD, wrap("more")))).keys[0][2]


@covers("O-122", "O-021")
@pytest.mark.parametrize("starts", ["board", "peer"])
async def test_300_messages_each_way_with_losses_reordering_and_duplicates(pair, starts):
    board, alice = pair
    if starts == "board":
        board.learn(ALICE)
        assert await read(alice, board.seal("hello")) == "hello"
    else:
        await alice.learn(BOARD)
        assert board.open(await alice.encrypt(BOARD, wrap("hello"))) == "hello"
        board.learn(ALICE)
    board.publish()
    await alice.learn(BOARD)
    await converse(board, alice, 300, seed=starts)


@covers("O-127")
async def test_heartbeat_at_53_both_ways(pair):
    board, alice = pair
    board.learn(ALICE)
    assert await read(alice, board.seal("hello")) == "hello"
    assert board.open(alice.outgoing.pop()) is None
    for number in range(60):
        assert await read(alice, board.seal(str(number))) == str(number)
        assert len(alice.outgoing) == (number == 53), "python-omemo pings at counter 53"
        if alice.outgoing:
            assert board.open(alice.outgoing.pop()) is None

    await alice.learn(BOARD)
    for number in range(60):
        xml = await alice.encrypt(BOARD, wrap(str(number)))
        assert board.open(xml) == str(number)
        ping = board.ping()
        assert (ping is not None) == (header(xml)[0] == 53), "one ping for each ratchet key"
        if ping:
            beat = ping
    assert await alice.decrypt(BOARD, beat) is None
    assert board.open(await alice.encrypt(BOARD, wrap("done"))) == "done"


@covers("O-093", "O-035")
async def test_peer_that_re_keys_replaces_the_session(pair):
    board, alice = pair
    board.learn(ALICE)
    assert await read(alice, board.seal("hello")) == "hello"
    board.publish()
    await alice.learn(BOARD)
    alice.outgoing.clear()
    await alice.replace_session(BOARD)
    (rekey,) = alice.outgoing
    assert board.open(rekey) is None
    assert len(board.store.keys(records.SESSION)) == 1
    assert await alice.decrypt(BOARD, board.ping()) is None
    await converse(board, alice, 20, seed=7)


@covers("O-147")
async def test_bad_tag_is_counted_and_changes_nothing(pair):
    board, alice = pair
    board.learn(ALICE)
    assert await read(alice, board.seal("hello")) == "hello"
    good = stanzas.encrypted_from_xml(ET.fromstring(await alice.encrypt(BOARD, wrap("good"))))
    jid, rid, kex, data = good.keys[0]
    before = board.store.commits
    good.keys = [(jid, rid, kex, data[:-1] + bytes([data[-1] ^ 1]))]
    with pytest.raises(RemoteError) as caught:
        board.engine.open(ALICE, good)
    assert caught.value.reason == "bad-tag"
    assert board.engine.counters == {"bad-tag": 1}
    assert board.engine.needs([]) == [] and board.ping() is None and board.store.commits == before
    good.keys = [(jid, rid, kex, data)]
    assert board.engine.open(ALICE, good).envelope.body == "good"


@covers("O-121")
async def test_message_without_a_session_is_answered_by_a_new_one(pair):
    board, alice = pair
    await alice.learn(BOARD)
    assert board.open(await alice.encrypt(BOARD, wrap("hello"))) == "hello"
    assert await alice.decrypt(BOARD, board.ping()) is None
    board.publish()
    admission.replace_sessions(board.engine)
    assert len(board.store.keys(records.SESSION)) == 0
    with pytest.raises(RemoteError) as caught:
        board.open(await alice.encrypt(BOARD, wrap("lost")))
    assert caught.value.reason == "no-session"
    board.learn(ALICE)
    ping = board.ping()
    assert stanzas.encrypted_from_xml(ET.fromstring(ping)).keys[0][2]
    assert await alice.decrypt(BOARD, ping) is None
    await converse(board, alice, 20, seed=3)


async def test_power_cuts_skip_keys_and_never_reuse_one(pair):
    board, alice = pair
    board.learn(ALICE)
    seen = set()
    for number in range(40):
        xml = board.seal(str(number))
        counter = header(xml)[::2]  # n and the ratchet key
        assert counter not in seen
        seen.add(counter)
        assert await read(alice, xml) == str(number)
        for outgoing in alice.outgoing:
            board.open(outgoing)
        alice.outgoing.clear()
        if number % 3 == 0:
            board = board.restart()

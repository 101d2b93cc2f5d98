"""The engine against python-omemo (twomemo), in one process: code that we did not write on the other end."""

import functools
import xml.etree.ElementTree as ET

import pytest

from motemo.crypto.points import edwards_to_montgomery
from motemo.errors import RemoteError, StateError
from motemo.omemo import admission, envelope, envelope_reader, records, trust, wire
from motemo.omemo.dialects import OMEMO2
from motemo.omemo.keys import BUNDLE_DIRTY
from motemo_host import stanzas
from tests.bundles import make_bundle, note_published
from tests.covers import covers
from tests.interop import conversation
from tests.interop.conversation import ALICE, BOARD, to_xml
from tests.peers.python_omemo import Account, Directory
from tests.sessions import lose_sessions


class Board(conversation.Board):
    """An engine whose public data stands in the directory."""

    def publish(self):
        own = self.engine.keys
        newest = make_bundle(own)
        self.directory.bundles[BOARD, own.device] = ET.tostring(stanzas.bundle_to_xml(newest))
        self.directory.devices[BOARD] = {own.device: None}
        note_published(own, newest)

    def learn(self, jid):
        self.engine.on_devices(jid, list(self.directory.devices[jid]))
        self.fetch([jid])

    def fetch(self, jids=()):
        for kind, jid, device, _ in self.engine.needs(jids):
            assert kind == "bundle"
            fetched = stanzas.bundle_from_xml(ET.fromstring(self.directory.bundles[jid, device]))
            self.engine.on_bundle(jid, device, fetched)

    def seal(self, body):
        return to_xml(self.engine.seal([ALICE], body))


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


converse = functools.partial(conversation.converse, wrap=wrap, read=read)


@pytest.fixture
async def pair():
    directory = Directory()
    alice = await Account.create(directory, ALICE)
    board = Board(directory)
    trust.pin(board.store, ALICE, [edwards_to_montgomery(alice.identity_key)])
    yield board, alice
    await alice.stop()


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
    before = {number for number, _ in make_bundle(board.engine.keys).prekeys}
    assert board.open(await alice.encrypt(BOARD, wrap("help"))) == "help"
    after = {number for number, _ in make_bundle(board.engine.keys).prekeys}
    assert len(before - after) == 1 and len(after) == len(before) and min(after - before) > max(before)
    assert board.engine.keys.flags & BUNDLE_DIRTY, "the bundle with the new prekey is due"
    board = board.restart()
    ping = board.ping()
    assert stanzas.encrypted_from_xml(ET.fromstring(ping)).payload is None
    assert board.ping() is None, "one ping for each key exchange"
    assert await alice.decrypt(BOARD, ping) is None
    board.publish()
    assert not stanzas.encrypted_from_xml(ET.fromstring(await alice.encrypt(BOARD, wrap("more")))).keys[0][2]


@covers("O-122", "O-021", "M-08")
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
    assert board.engine.needs([]) == [] and board.store.commits == before
    good.keys = [(jid, rid, kex, data)]
    assert board.engine.open(ALICE, good).envelope.body == "good"


@covers("O-121")
async def test_message_without_a_session_is_answered_by_a_new_one(pair):
    board, alice = pair
    await alice.learn(BOARD)
    assert board.open(await alice.encrypt(BOARD, wrap("hello"))) == "hello"
    assert await alice.decrypt(BOARD, board.ping()) is None
    board.publish()
    lose_sessions(board.engine)
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


def parse(xml):
    return stanzas.encrypted_from_xml(ET.fromstring(xml))


def refused(board, reason, encrypted, sender=ALICE):
    """The engine refuses it for that reason, and its store stays as it was."""
    before = dict(board.store._records)
    with pytest.raises(RemoteError) as caught:
        board.engine.open(sender, encrypted)
    assert caught.value.reason == reason
    assert board.store._records == before


async def establish(board, alice):
    """A session that the board has started and the peer has answered."""
    board.learn(ALICE)
    assert await read(alice, board.seal("hello")) == "hello"
    assert board.open(alice.outgoing.pop()) is None
    board.publish()
    await alice.learn(BOARD)


def forged(good, **parts):
    """The same message with other numbers in its header."""
    jid, rid, kex, data = good.keys[0]
    message, tag = OMEMO2.unseal(data)
    n, pn, dh, ciphertext = OMEMO2.decode_header(message)
    header = {"n": n, "pn": pn, "dh": dh, "ciphertext": ciphertext} | parts
    data = OMEMO2.seal(OMEMO2.encode_header(**header), tag)
    return type(good)(good.dialect, good.sid, [(jid, rid, kex, data)], good.payload)


@covers("O-022", "O-147")
async def test_forged_counter_costs_no_state_and_little_time(pair, monkeypatch):
    board, alice = pair
    await establish(board, alice)
    good = parse(await alice.encrypt(BOARD, wrap("good")))
    hashed = []
    from motemo.omemo import receiving

    real = receiving.hmac_sha256
    monkeypatch.setattr(receiving, "hmac_sha256", lambda *args: hashed.append(1) or real(*args))
    for parts in ({"n": 1 << 31}, {"n": 0xFFFFFFFF}, {"dh": b"\x09" + bytes(31), "n": 1 << 31}):
        refused(board, "skip-limit", forged(good, **parts))
    assert not hashed, "refused before a key is derived"
    refused(board, "bad-tag", forged(good, dh=b"\x09" + bytes(31), pn=1 << 31))
    assert len(hashed) < 5, "the chain before costs nothing without a tag that is right"
    refused(board, "bad-tag", forged(good, n=150))
    assert len(hashed) < 2 * board.profile.max_skip + 10
    assert board.engine.open(ALICE, good).envelope.body == "good"
    assert board.engine.counters == {"skip-limit": 3, "bad-tag": 2}


@covers("O-022", "O-021", "O-023")
async def test_limits_of_receiving(pair):
    board, alice = pair
    await establish(board, alice)
    start = header(await alice.encrypt(BOARD, wrap("lost")))[0]
    lost = [await alice.encrypt(BOARD, wrap(f"late {number}")) for number in range(199)]
    assert board.open(await alice.encrypt(BOARD, wrap("after 200"))) == "after 200"
    assert [board.open(xml) for xml in lost[-40:]] == [f"late {number}" for number in range(159, 199)]
    refused(board, "key-gone", parse(lost[0]))
    for _ in range(board.profile.max_skip + 1):
        late = await alice.encrypt(BOARD, wrap("too late"))
    beyond = parse(await alice.encrypt(BOARD, wrap("beyond")))
    assert header(late)[0] - start > 2 * board.profile.max_skip
    refused(board, "skip-limit", beyond)
    # That side of the session is dead, so the owner replaces it.
    admission.replace_sessions(board.engine, ALICE)
    board.fetch()
    assert await alice.decrypt(BOARD, board.ping()) is None
    alice.outgoing.clear()
    assert board.open(await alice.encrypt(BOARD, wrap("well again"))) == "well again"


@covers("O-147", "O-094")
async def test_forged_key_exchange_leaves_prekeys_and_sessions_as_they_were(pair):
    board, alice = pair
    await alice.learn(BOARD)
    good = parse(await alice.encrypt(BOARD, wrap("hello")))
    jid, rid, kex, data = good.keys[0]
    assert kex
    prekey, signed, identity_key, ephemeral, inner = OMEMO2.decode_exchange(data)
    other = make_bundle(board.engine.keys).identity_key
    for fields in (
        (prekey, signed, identity_key, ephemeral, inner[:-1] + bytes([inner[-1] ^ 1])),
        (prekey, signed, identity_key, b"\x09" + bytes(31), inner),
        (prekey, signed, other, ephemeral, inner),
        (prekey % 25 + 1, signed, identity_key, ephemeral, inner),
    ):
        spoilt = OMEMO2.encode_exchange(*fields)
        refused(board, "bad-tag", type(good)(2, good.sid, [(jid, rid, True, spoilt)], good.payload))
    assert board.ping() is None and board.engine.needs([]) == []
    assert board.engine.open(ALICE, good).envelope.body == "hello"


@covers("O-007")
async def test_key_exchange_that_names_no_prekey_is_rejected(pair):
    board, alice = pair
    await alice.learn(BOARD)
    good = parse(await alice.encrypt(BOARD, wrap("hello")))
    jid, rid, _, data = good.keys[0]
    _, signed, identity_key, ephemeral, inner = OMEMO2.decode_exchange(data)
    without = wire.encode((2, signed), (3, identity_key), (4, ephemeral), (5, inner))
    refused(board, "no-prekey", type(good)(2, good.sid, [(jid, rid, True, without)], good.payload))
    assert board.store.keys(records.SESSION) == []
    assert board.engine.open(ALICE, good).envelope.body == "hello"


@covers("O-094", "O-119", "O-069", "O-149")
async def test_prekey_is_deleted_after_use_and_never_comes_back(pair):
    board, alice = pair
    seen = {number for number, _ in make_bundle(board.engine.keys).prekeys}
    assert min(seen) == 1 and len(seen) == 25
    highest = max(seen)
    used = set()
    await alice.learn(BOARD)
    for turn in range(4):
        if turn:
            alice.outgoing.clear()
            await alice.replace_session(BOARD)
            xml = alice.outgoing.pop()
        else:
            xml = await alice.encrypt(BOARD, wrap("first"))
        number = OMEMO2.decode_exchange(parse(xml).keys[0][3])[0]
        board.open(xml)
        board = board.restart()
        used.add(number)
        now = {number for number, _ in make_bundle(board.engine.keys).prekeys}
        assert number not in now and board.store.get(records.PREKEY, records.id_key(number)) is None
        assert len(now) == 25 and max(now) == highest + turn + 1, "ids grow across restarts"
        assert not now & used
        if turn == 0:
            first = xml
    assert len(used) == 4
    refused(board, "no-prekey", parse(first))


@covers("O-140", "O-141", "O-142", "O-143", "O-120", "O-084")
async def test_unpinned_device_is_read_and_marked_and_gets_pings_only(pair):
    board, alice = pair
    trust.pin(board.store, ALICE, [bytes([1]) * 32])
    await alice.learn(BOARD)
    opened = board.engine.open(ALICE, parse(await alice.encrypt(BOARD, wrap("set relay on"))))
    assert opened.envelope.body == "set relay on" and not opened.trusted
    assert await alice.decrypt(BOARD, board.ping()) is None
    board.engine.on_devices(ALICE, [alice.device])
    with pytest.raises(StateError) as caught:
        board.seal("secret")
    assert caught.value.reason == "no-devices"
    with pytest.raises(RemoteError) as unpinned:
        board.fetch([ALICE])
    assert unpinned.value.reason == "untrusted"
    trust.pin(board.store, ALICE, [edwards_to_montgomery(alice.identity_key)])
    assert await read(alice, board.seal("for the owner")) == "for the owner"


@covers("O-141", "O-142", "O-084")
async def test_pinned_device_that_is_not_listed_is_read_and_gets_nothing(pair):
    board, alice = pair
    await establish(board, alice)
    board.engine.on_devices(ALICE, [alice.device + 1])
    opened = board.engine.open(ALICE, parse(await alice.encrypt(BOARD, wrap("help"))))
    assert opened.envelope.body == "help" and opened.trusted
    with pytest.raises(StateError) as caught:
        board.seal("reading")
    assert caught.value.reason == "no-devices"


async def test_unpinned_identity_cannot_replace_a_pinned_session(pair):
    board, alice = pair
    await establish(board, alice)
    directory = Directory()
    eve = await Account.create(directory, ALICE)
    try:
        directory.devices[BOARD] = board.directory.devices[BOARD]
        directory.bundles |= board.directory.bundles
        await eve.learn(BOARD)
        kex = parse(await eve.encrypt(BOARD, wrap("it is me")))
        impostor = type(kex)(2, alice.device, kex.keys, kex.payload)
        refused(board, "untrusted", impostor)
        assert board.open(await alice.encrypt(BOARD, wrap("it is me"))) == "it is me"
        assert await read(alice, board.seal("good")) == "good"
    finally:
        await eve.stop()


@covers("O-009", "O-012", "O-008")
async def test_sign_bit_of_the_peers_identity_key_is_kept():
    """python-omemo's identity keys may have sign bit 1, which is part of the associated data."""
    directory = Directory()
    for _ in range(40):
        alice = await Account.create(directory, ALICE)
        if alice.identity_key[31] & 128:
            break
        await alice.stop()
        directory.devices.clear()
        directory.bundles.clear()
    assert alice.identity_key[31] & 128
    try:
        for starts in ("board", "peer"):
            board = Board(directory)
            trust.pin(board.store, ALICE, [edwards_to_montgomery(alice.identity_key)])
            await alice.learn(BOARD)
            if starts == "board":
                board.learn(ALICE)
                assert await read(alice, board.seal("hello")) == "hello"
            else:
                assert board.open(await alice.encrypt(BOARD, wrap("hello"))) == "hello"
                board.learn(ALICE)
            alice.outgoing.clear()
            board = board.restart()
            await alice.learn(BOARD)
            session = board.engine.session(records.device_key(ALICE, alice.device))
            assert session.their_identity == alice.identity_key
            await converse(board, alice, 5, seed=starts)
    finally:
        await alice.stop()


def full(board, function, *args):
    board.store.fail = StateError("full")
    with pytest.raises(StateError) as caught:
        function(*args)
    assert caught.value.reason == "full" and board.store.fail is None


@pytest.mark.parametrize("restarts", [False, True])
async def test_flash_that_is_full_lets_nothing_leave_and_reuses_no_key(pair, restarts):
    board, alice = pair
    await establish(board, alice)
    seen = set()
    for number in range(20):
        xml = await alice.encrypt(BOARD, wrap(f"command {number}"))
        if number % 3 == 0:
            full(board, board.open, xml)
            board = board.restart() if restarts else board
        assert board.open(xml) == f"command {number}"
        full(board, board.seal, "does not leave")
        board = board.restart() if restarts else board
        for part in range(2):
            xml = board.seal(f"reading {number} {part}")
            n, _, dh, _ = header(xml)
            assert (dh, n) not in seen
            seen.add((dh, n))
            assert await read(alice, xml) == f"reading {number} {part}"
    board = board.restart()
    assert await read(alice, board.seal("after a restart")) == "after a restart"
    assert board.open(await alice.encrypt(BOARD, wrap("understood"))) == "understood"


async def test_flash_that_is_full_at_a_key_exchange(pair):
    board, alice = pair
    await alice.learn(BOARD)
    xml = await alice.encrypt(BOARD, wrap("hello"))
    before = dict(board.store._records)
    full(board, board.open, xml)
    assert board.store._records == before and board.ping() is None
    board = board.restart()
    assert board.open(xml) == "hello"
    assert await alice.decrypt(BOARD, board.ping()) is None


@covers("O-032")
async def test_header_is_authenticated_as_it_came(pair):
    """Another serialisation of the same fields is another message."""
    board, alice = pair
    await establish(board, alice)
    good = parse(await alice.encrypt(BOARD, wrap("good")))
    jid, rid, kex, data = good.keys[0]
    message, tag = OMEMO2.unseal(data)
    n, pn, dh, ciphertext = OMEMO2.decode_header(message)
    other = wire.encode((4, ciphertext), (3, dh), (2, pn), (1, n))
    refused(board, "bad-tag", type(good)(2, good.sid, [(jid, rid, kex, OMEMO2.seal(other, tag))], good.payload))
    assert board.engine.open(ALICE, good).envelope.body == "good"


@covers("O-034", "O-093")
@pytest.mark.parametrize("first", ["board", "alice"])
async def test_both_start_at_the_same_time(pair, first):
    """The two key exchanges cross; python-omemo then has the board's session only, and says so by its ping."""
    board, alice = pair
    board.learn(ALICE)
    await alice.learn(BOARD)
    ours = board.seal("ours")
    theirs = await alice.encrypt(BOARD, wrap("theirs"))
    if first == "board":
        assert board.open(theirs) == "theirs"
    assert await read(alice, ours) == "ours"
    ping = alice.outgoing.pop(0)
    if first == "alice":
        assert board.open(theirs) == "theirs"
    assert board.open(ping) is None
    board.ping()  # of the session that python-omemo has given up, or lost: nothing depends on it
    assert not alice.outgoing
    await converse(board, alice, 10, seed=5)
    assert board.engine.counters == {}

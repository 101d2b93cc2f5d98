"""The legacy dialect against python-omemo (oldmemo), in one process, alone and beside omemo:2."""

import functools
import xml.etree.ElementTree as ET

import pytest
import xeddsa

from motemo.crypto.points import edwards_to_montgomery
from motemo.errors import RemoteError, StateError
from motemo.omemo import legacy as dialect
from motemo.omemo import records, trust, wire
from motemo.omemo.elements import LEGACY, OMEMO2, Encrypted
from motemo.omemo.keys import BUNDLE_DIRTY
from motemo_host import stanzas
from tests.bundles import make_bundle, note_published
from tests.covers import covers
from tests.interop import conversation, test_twomemo
from tests.interop.conversation import ALICE, BOARD, parse, to_xml
from tests.peers import python_omemo
from tests.peers.python_omemo import Account, Directory
from tests.sessions import lose_sessions

BOTH = (python_omemo.NS, python_omemo.LEGACY)


class Board(conversation.Board):
    """An engine whose public data stands in the directory, in both dialects."""

    def publish(self):
        own = self.engine.keys
        newest = make_bundle(own)
        for form, part in ((newest, self.directory), (stanzas.legacy_form(newest), self.directory.legacy)):
            part.bundles[BOARD, own.device] = ET.tostring(stanzas.bundle_to_xml(form))
            part.devices[BOARD] = {own.device: None}
        note_published(own, newest)

    def learn(self, jid=ALICE):
        for number, part in ((LEGACY, self.directory.legacy), (OMEMO2, self.directory)):
            self.engine.on_devices(jid, list(part.devices.get(jid, {})), number)
        self.fetch([jid])

    def fetch(self, jids=()):
        for kind, jid, device, number in self.engine.needs(jids):
            assert kind == "bundle"
            part = self.directory.legacy if number == LEGACY else self.directory
            self.engine.on_bundle(jid, device, stanzas.bundle_from_xml(ET.fromstring(part.bundles[jid, device])))

    def seal(self, body):
        """The XML of a message that is all legacy."""
        sealed = self.engine.seal([ALICE], body)
        assert sealed.dialect == LEGACY and sealed.legacy is None
        return to_xml(sealed)


def legacy_bundle(board):
    return stanzas.legacy_form(make_bundle(board.engine.keys))


def header(xml):
    """(n, pn, ratchet key, ciphertext) of the first key of a legacy message."""
    _, _, kex, data = parse(xml).keys[0]
    if kex:
        data = dialect.decode_exchange(data)[4]
    return dialect.decode_header(dialect.unseal(data)[0])


async def read(alice, xml):
    plaintext = await alice.decrypt(BOARD, xml)
    return plaintext and plaintext.decode()


def pinned(board, alice):
    trust.pin(board.store, ALICE, [edwards_to_montgomery(alice.identity_key)])


converse = functools.partial(conversation.converse, wrap=str.encode, read=read, command="command {} ä")


@pytest.fixture
async def pair():
    directory = Directory()
    alice = await Account.create(directory, ALICE, [python_omemo.LEGACY])
    board = Board(directory)
    pinned(board, alice)
    yield board, alice
    await alice.stop()


@covers("O-034", "O-087", "M-04")
async def test_board_starts_and_its_session_is_completed(pair):
    board, alice = pair
    board.learn()
    first, second = board.seal("one"), board.seal("two")
    for xml in (first, second):
        assert parse(xml).keys[0][2], "a key exchange until the first answer"
    assert await read(alice, first) == "one"
    assert await read(alice, second) == "two"
    assert alice.outgoing
    for xml in alice.outgoing:
        assert board.open(xml) is None, "a key transport message"
    third = board.seal("three")
    assert not parse(third).keys[0][2]
    assert await read(alice, third) == "three"
    assert board.engine.counters == {}


@covers("O-120", "O-092", "O-119")
async def test_peer_starts_and_our_ping_completes_its_session(pair):
    board, alice = pair
    await alice.learn(BOARD)
    before = {number for number, _ in legacy_bundle(board).prekeys}
    assert board.open(await alice.encrypt(BOARD, b"help")) == "help"
    after = {number for number, _ in make_bundle(board.engine.keys).prekeys}
    assert len(before - after) == 1 and len(after) == len(before) and min(after - before) > max(before)
    assert board.engine.keys.flags & BUNDLE_DIRTY, "the bundles with the new prekey are due"
    board = board.restart()
    ping = board.ping()
    assert parse(ping).payload is None and len(parse(ping).iv) == 12
    assert board.ping() is None, "one ping for each key exchange"
    assert await alice.decrypt(BOARD, ping) is None
    board.publish()
    assert not parse(await alice.encrypt(BOARD, b"more")).keys[0][2]


@covers("O-122", "O-021")
@pytest.mark.parametrize("starts", ["board", "peer"])
async def test_300_messages_each_way_with_losses_reordering_and_duplicates(pair, starts):
    board, alice = pair
    if starts == "board":
        board.learn()
        assert await read(alice, board.seal("hello")) == "hello"
    else:
        await alice.learn(BOARD)
        assert board.open(await alice.encrypt(BOARD, b"hello")) == "hello"
        board.learn()
    board.publish()
    await alice.learn(BOARD)
    await converse(board, alice, 300, seed=starts)


@covers("O-127")
async def test_heartbeat_at_53_both_ways(pair):
    board, alice = pair
    board.learn()
    assert await read(alice, board.seal("hello")) == "hello"
    for xml in alice.outgoing:
        assert board.open(xml) is None
    alice.outgoing.clear()
    await alice.learn(BOARD)
    beats = []
    for number in range(60):
        assert await read(alice, board.seal(str(number))) == str(number)
        for xml in alice.outgoing:
            assert board.open(xml) is None
        alice.outgoing.clear()
    for number in range(60):
        xml = await alice.encrypt(BOARD, str(number).encode())
        assert board.open(xml) == str(number)
        ping = board.ping()
        assert (ping is not None) == (header(xml)[0] == 53), "one ping for each ratchet key"
        beats += [ping] if ping else []
    assert await alice.decrypt(BOARD, beats[-1]) is None
    assert board.open(await alice.encrypt(BOARD, b"done")) == "done"


@covers("O-093", "O-035")
async def test_peer_that_re_keys_replaces_the_session(pair):
    board, alice = pair
    board.learn()
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


@covers("O-126", "O-121")
async def test_we_re_key(pair):
    board, alice = pair
    board.learn()
    assert await read(alice, board.seal("hello")) == "hello"
    board.publish()
    await alice.learn(BOARD)
    assert lose_sessions(board.engine) == 1
    with pytest.raises(RemoteError) as caught:
        board.open(await alice.encrypt(BOARD, b"lost"))
    assert caught.value.reason == "no-session"
    board.fetch()
    ping = board.ping()
    assert parse(ping).keys[0][2]
    assert await alice.decrypt(BOARD, ping) is None
    alice.outgoing.clear()
    await converse(board, alice, 20, seed=3)


@covers("O-147")
async def test_bad_tags_are_counted_and_change_nothing(pair):
    board, alice = pair
    board.learn()
    assert await read(alice, board.seal("hello")) == "hello"
    for xml in alice.outgoing:
        board.open(xml)
    xml = await alice.encrypt(BOARD, b"good")
    before = dict(board.store._records)
    good = parse(xml)
    jid, rid, kex, data = good.keys[0]
    for bad in (data[:-1] + bytes([data[-1] ^ 1]), data[:20] + bytes([data[20] ^ 1]) + data[21:]):
        with pytest.raises(RemoteError) as caught:
            board.engine.open(ALICE, Encrypted(LEGACY, good.sid, [(jid, rid, kex, bad)], good.payload, good.iv))
        assert caught.value.reason in ("bad-tag", "format")
    assert board.store._records == before and board.engine.needs([]) == []
    assert board.open(xml) == "good"
    good = parse(await alice.encrypt(BOARD, b"good"))
    good.payload = good.payload[:-1] + bytes([good.payload[-1] ^ 1])
    with pytest.raises(RemoteError) as caught:
        board.engine.open(ALICE, good)
    assert caught.value.reason == "payload"


async def test_power_cuts_skip_keys_and_never_reuse_one(pair):
    board, alice = pair
    board.learn()
    seen = set()
    for number in range(30):
        xml = board.seal(str(number))
        counter = header(xml)[::2]
        assert counter not in seen
        seen.add(counter)
        assert await read(alice, xml) == str(number)
        for outgoing in alice.outgoing:
            board.open(outgoing)
        alice.outgoing.clear()
        if number % 3 == 0:
            board = board.restart()


async def test_old_senders_and_foreign_fields_are_understood(pair):
    """A 16-byte IV; a registration id of any size and fields that nobody knows in the key exchange."""
    board, alice = pair
    await alice.learn(BOARD)
    message = parse(await alice.encrypt(BOARD, b"hello"))
    jid, rid, kex, data = message.keys[0]
    more = wire.encode((5, 0xFFFFFFFFFF), (9, b"something"))
    message.keys = [(jid, rid, kex, data + more)]
    assert board.engine.open(ALICE, message).envelope.body == "hello"

    session = board.engine.session(records.device_key(ALICE, alice.device, LEGACY))
    assert session.dialect.number == LEGACY
    from motemo.crypto import gcm

    ciphertext, tag = gcm.gcm_encrypt(bytes(16), bytes(range(16)), b"old")
    assert dialect.decrypt_payload(bytes(16) + tag, ciphertext, bytes(range(16))) == b"old"
    for iv in (None, b"", bytes(13)):
        with pytest.raises(RemoteError):
            dialect.decrypt_payload(bytes(16) + tag, ciphertext, iv)


@covers("O-069")
async def test_prekey_id_0_is_accepted_from_peers_and_never_issued(pair):
    board, alice = pair
    assert all(number > 0 for number, _ in legacy_bundle(board).prekeys)
    place = ALICE, alice.device
    element = ET.fromstring(board.directory.legacy.bundles[place])
    (prekeys,) = element.iter(f"{{{stanzas.LEGACY_NS}}}prekeys")
    for prekey in list(prekeys)[1:]:
        prekeys.remove(prekey)
    real = int(prekeys[0].get("preKeyId"))
    prekeys[0].set("preKeyId", "0")
    board.directory.legacy.bundles[place] = ET.tostring(element)
    board.learn()
    message = parse(board.seal("hello"))
    jid, rid, kex, data = message.keys[0]
    prekey, signed, identity_key, ephemeral, inner = dialect.decode_exchange(data)
    assert prekey == 0
    # Under its real id the peer finds the prekey; ids are not authenticated.
    data = dialect.encode_exchange(real, signed, identity_key, ephemeral, inner)
    message.keys = [(jid, rid, kex, data)]
    assert await read(alice, to_xml(message)) == "hello"


@covers("O-011")
async def test_the_signed_prekey_verifies_as_xeddsa_and_as_ed25519(pair):
    board, _ = pair
    own = legacy_bundle(board)
    signed = b"\5" + own.signed_prekey
    assert own.signature[63] < 128
    assert xeddsa.ed25519_verify(own.signature, board.engine.keys.identity_key, signed)
    assert xeddsa.ed25519_verify(
        own.signature, xeddsa.curve25519_pub_to_ed25519_pub(own.identity_key, own.signature[63] >= 128), signed
    )


@covers("O-009", "O-011")
@pytest.mark.parametrize("bit", [0, 1])
async def test_both_sign_bits_of_the_peers_identity_key(bit):
    directory = Directory()
    for _ in range(60):
        alice = await Account.create(directory, ALICE, [python_omemo.LEGACY])
        if alice.identity_key[31] >> 7 == bit:
            break
        await alice.stop()
        directory.legacy.devices.clear()
        directory.legacy.bundles.clear()
    assert alice.identity_key[31] >> 7 == bit
    try:
        board = Board(directory)
        pinned(board, alice)
        await alice.learn(BOARD)
        board.learn()
        assert await read(alice, board.seal("hello")) == "hello"
        alice.outgoing.clear()
        await converse(board, alice, 5, seed=1)
        element = ET.fromstring(directory.legacy.bundles[ALICE, alice.device])
        good = stanzas.bundle_from_xml(element)
        assert good.signature[63] >> 7 == bit
        other = Board(directory)
        pinned(other, alice)
        other.engine.on_devices(ALICE, [alice.device], LEGACY)
        for spoilt in (good.signature[:63] + bytes([good.signature[63] ^ 128]), bytes(64)):
            bad = stanzas.bundle_from_xml(element)
            bad.signature = spoilt
            with pytest.raises(RemoteError) as caught:
                other.engine.on_bundle(ALICE, alice.device, bad)
            assert caught.value.reason == "bad-signature"
    finally:
        await alice.stop()


@covers("O-140", "O-142", "O-143")
async def test_unpinned_device_is_read_and_marked_and_gets_pings_only(pair):
    board, alice = pair
    trust.pin(board.store, ALICE, [bytes([1]) * 32])
    await alice.learn(BOARD)
    opened = board.engine.open(ALICE, parse(await alice.encrypt(BOARD, b"set relay on")))
    assert opened.envelope.body == "set relay on" and not opened.trusted
    assert await alice.decrypt(BOARD, board.ping()) is None
    board.engine.on_devices(ALICE, [])
    board.engine.on_devices(ALICE, [alice.device], LEGACY)
    with pytest.raises(StateError) as caught:
        board.seal("secret")
    assert caught.value.reason == "no-devices"


async def test_text_that_is_none_is_refused(pair):
    board, alice = pair
    await alice.learn(BOARD)
    with pytest.raises(RemoteError) as caught:
        board.open(await alice.encrypt(BOARD, b"\xff\xfe"))
    assert caught.value.reason == "envelope"


# Both dialects.


@pytest.fixture
async def mixed():
    """Alice's account has a legacy device and one that speaks both."""
    directory = Directory()
    old = await Account.create(directory, ALICE, [python_omemo.LEGACY])
    old_list, old_bundles = dict(directory.legacy.devices), dict(directory.legacy.bundles)
    new = await Account.create(directory, ALICE, BOTH)
    directory.legacy.devices[ALICE] |= old_list[ALICE]
    directory.legacy.bundles |= old_bundles
    board = Board(directory)
    trust.pin(board.store, ALICE, [edwards_to_montgomery(one.identity_key) for one in (old, new)])
    yield board, old, new
    await old.stop()
    await new.stop()


@covers("O-084", "O-085")
async def test_each_device_gets_its_best_dialect_in_one_message(mixed):
    board, old, new = mixed
    board.learn()
    sealed = board.engine.seal([ALICE], "21.5 °C", '{"x":1}')
    assert sealed.dialect == OMEMO2 and [key[1] for key in sealed.keys] == [new.device]
    assert sealed.legacy.dialect == LEGACY and [key[1] for key in sealed.legacy.keys] == [old.device]
    assert await test_twomemo.read(new, to_xml(sealed)) == "21.5 °C"
    assert await read(old, to_xml(sealed.legacy)) == "21.5 °C"
    for account in (old, new):
        for xml in account.outgoing:
            assert board.open(xml) is None
    assert board.engine.counters == {}
    sealed = board.engine.seal([ALICE], "again")
    assert await test_twomemo.read(new, to_xml(sealed)) == "again"
    assert await read(old, to_xml(sealed.legacy)) == "again"


async def test_the_sessions_of_one_device_in_both_dialects_live_side_by_side(mixed):
    board, _, new = mixed
    board.learn()
    await new.learn(BOARD)
    for turn in range(3):
        envelope = test_twomemo.wrap(f"new {turn}")
        assert board.open(await new.encrypt(BOARD, envelope)) == f"new {turn}"
        assert board.open(await new.encrypt(BOARD, f"old {turn}".encode(), python_omemo.LEGACY)) == f"old {turn}"
        while ping := board.ping():
            assert await new.decrypt(BOARD, ping) is None
        board = board.restart()
        await new.learn(BOARD)
    assert board.engine.counters == {}


@covers("O-090", "O-091")
async def test_a_stanza_with_two_forms_is_read_once_the_newest_that_is_for_us(mixed):
    board, old, new = mixed
    await new.learn(BOARD)
    both = parse(await new.encrypt(BOARD, test_twomemo.wrap("new")))
    both.legacy = parse(await new.encrypt(BOARD, b"old", python_omemo.LEGACY))
    assert board.engine.open(ALICE, both).envelope.body == "new"
    both = parse(await new.encrypt(BOARD, test_twomemo.wrap("new")))
    both.keys = [(jid, rid + 1, kex, data) for jid, rid, kex, data in both.keys]
    both.legacy = parse(await new.encrypt(BOARD, b"old", python_omemo.LEGACY))
    assert board.engine.open(ALICE, both).envelope.body == "old"
    both.legacy.keys = [(jid, rid + 1, kex, data) for jid, rid, kex, data in both.legacy.keys]
    with pytest.raises(RemoteError) as caught:
        board.engine.open(ALICE, both)
    assert caught.value.reason == "not-for-us"


@covers("O-052")
async def test_a_device_that_learns_omemo2_gets_it(mixed):
    board, _, new = mixed
    part = board.directory
    devices, part.devices[ALICE] = part.devices[ALICE], {}
    board.learn()
    assert board.engine.seal([ALICE], "x").dialect == LEGACY
    part.devices[ALICE] = devices
    board.learn()
    sealed = board.engine.seal([ALICE], "y")
    assert [key[1] for key in sealed.keys] == [new.device]
    assert await test_twomemo.read(new, to_xml(sealed)) == "y"

"""Upkeep against python-omemo (twomemo, oldmemo), in one process: rotation, catch-up, owners who do not answer."""

import xml.etree.ElementTree as ET

import pytest

from motemo.errors import RemoteError
from motemo.omemo import bundle, envelope, records, upkeep
from motemo.omemo.keys import BUNDLE_DIRTY
from motemo_host import stanzas
from tests.bundles import make_bundle
from tests.covers import covers
from tests.interop import test_oldmemo, test_twomemo
from tests.interop.conversation import ALICE, BOARD, to_xml
from tests.peers import python_omemo
from tests.peers.python_omemo import Account, Directory

READING = '[{"n":"t","v":1}]'
MOST_GAP = 1000  # at which python-omemo, and libsignal with a factor of two, give up


class Both:
    """A board and one device of Alice's in one of the dialects, with the test module for that."""

    def __init__(self, module, namespace):
        self.module = module
        self.namespace = namespace
        self.missed = []  # stanzas that wait for Alice

    async def begin(self):
        self.directory = Directory()
        self.alice = await Account.create(self.directory, ALICE, [self.namespace])
        self.board = self.module.Board(self.directory)
        test_oldmemo.pinned(self.board, self.alice)
        self.learn()

    def learn(self):
        for number, part in ((1, self.directory.legacy), (2, self.directory)):
            self.board.engine.on_devices(ALICE, list(part.devices.get(ALICE, {})), number)

    def wrapped(self, text, jid=ALICE):
        return text.encode() if self.namespace == python_omemo.LEGACY else envelope.build(jid, text)

    def send(self, text, records=READING):
        """A reading, or without records an answer, as the agent would send it; whether there was one to send."""
        engine = self.board.engine
        if engine.needs([ALICE]):
            self.board.fetch([ALICE])
        sealed = engine.seal([ALICE], text, records)
        if sealed:
            self.missed.append(to_xml(sealed))
        return sealed is not None

    async def read_all(self):
        """What Alice reads of what waits. What her device answers by itself goes to the board; of what it says in
        sessions that were replaced meanwhile nothing is understood, and nothing is lost.
        """
        texts = [await self.module.read(self.alice, xml) for xml in self.missed]
        self.missed.clear()
        for xml in self.alice.outgoing[:-1]:
            try:
                assert self.board.open(xml) is None
            except RemoteError as error:
                assert error.reason in ("bad-tag", "skip-limit")
        for xml in self.alice.outgoing[-1:]:
            assert self.board.open(xml) is None
        self.alice.outgoing.clear()
        return texts


@pytest.fixture(params=[(test_twomemo, python_omemo.NS), (test_oldmemo, python_omemo.LEGACY)], ids=["omemo2", "legacy"])
async def both(request):
    pair = Both(*request.param)
    await pair.begin()
    yield pair
    await pair.alice.stop()


async def test_owner_who_is_away_for_very_long_reads_all_that_was_sent(both):
    """Her mailbox has kept it all: more messages than a session may miss, in more than one session."""
    both.send("before")
    assert await both.read_all() == ["before"]
    sent = [str(number) for number in range(14000) if both.send(str(number))]
    assert 1700 < len(sent) < 2200
    kinds = [text for _, text in both.board.engine.notices]
    assert kinds == ["stale", "renewed", "renewed"]
    assert await both.read_all() == sent
    assert both.send("after") and both.send("and after")
    assert await both.read_all() == ["after", "and after"]
    assert upkeep.stale(both.board.store) == 0


@pytest.mark.parametrize("count", [100, 879, 890, 3000, 7500])
async def test_owner_whose_mailbox_was_lost_reads_the_next_message(both, count):
    """Nothing of what was sent meanwhile ever arrives: the gap is never too large."""
    both.send("before")
    assert await both.read_all() == ["before"]
    both.send("first of the chain")
    await both.read_all()
    for number in range(count):
        both.send(str(number), None if count < 1000 else READING)
    both.missed.clear()
    assert both.send("here I am", None)
    (last,) = both.missed
    assert both.module.header(last)[0] < MOST_GAP and both.module.header(last)[1] < MOST_GAP
    assert await both.read_all() == ["here I am"]
    assert both.send("normal") and await both.read_all() == ["normal"]


async def test_gap_over_two_chains_is_never_too_large(both):
    """The owner answers the first message of a long chain only, and then loses all the rest."""
    both.send("before")
    await both.read_all()
    both.send("first of the chain", None)
    late = both.missed.pop()
    for number in range(600):
        both.send(str(number), None)
    both.missed.clear()
    assert await both.module.read(both.alice, late) == "first of the chain"
    await both.alice.learn(BOARD)
    both.board.publish()
    answer = await both.alice.encrypt(BOARD, both.wrapped("an answer"))
    assert both.board.open(answer) == "an answer"
    both.alice.outgoing.clear()
    for number in range(600):
        both.send(str(number), None)
    n, pn = both.module.header(both.missed[-1])[:2]
    assert n + pn < 900, "the session was made anew between"
    both.missed[:] = both.missed[-1:]
    assert await both.read_all() == ["599"]


async def test_device_that_does_not_answer_and_has_another_identity_now_is_left_out(both):
    both.send("before")
    await both.read_all()
    other = await Account.create(Directory(), ALICE, [both.namespace])
    assert other.identity_key != both.alice.identity_key
    part = both.directory.of(both.namespace)
    foreign = make_bundle(test_twomemo.Board(Directory()).engine.keys)
    if both.namespace == python_omemo.LEGACY:
        foreign = stanzas.legacy_form(foreign)
    part.bundles[ALICE, both.alice.device] = ET.tostring(stanzas.bundle_to_xml(foreign))
    await other.stop()
    sent = 0
    engine = both.board.engine
    for number in range(920):
        for _, jid, device, dialect in engine.needs([ALICE]):
            with pytest.raises(RemoteError) as caught:
                engine.on_bundle(jid, device, stanzas.bundle_from_xml(ET.fromstring(part.bundles[jid, device])))
            assert caught.value.reason == "untrusted" and dialect
        try:
            engine.seal([ALICE], str(number))
        except Exception as error:
            assert error.reason == "no-devices"
        else:
            sent += 1
    assert 880 < sent < 900
    assert [text for _, text in engine.notices] == ["stale", "left out: untrusted"]


# The signed prekey


@covers("O-002", "O-003", "O-011")
async def test_peers_begin_with_the_new_signed_prekey_and_with_the_former_one(both):
    board = both.board
    early = await Account.create(both.directory, "early@example.org", [both.namespace])
    late = await Account.create(both.directory, "late@example.org", [both.namespace])
    await early.learn(BOARD)
    first = await early.encrypt(BOARD, both.wrapped("to the former one", early.jid))
    before = make_bundle(board.engine.keys).signed_prekey_id
    upkeep.rotate(board.engine.keys)
    assert board.engine.keys.flags & BUNDLE_DIRTY
    board.publish()
    board = both.board = board.restart()
    await late.learn(BOARD)
    second = await late.encrypt(BOARD, both.wrapped("to the new one", late.jid))
    for account, xml, text in ((late, second, "to the new one"), (early, first, "to the former one")):
        opened = board.engine.open(account.jid, stanzas.encrypted_from_xml(ET.fromstring(xml)))
        assert opened.envelope.body == text
        jid, ping = board.engine.next_ping()
        assert jid == account.jid and await account.decrypt(BOARD, to_xml(ping)) is None
    used = [exchange_of(both, xml)[1] for xml in (first, second)]
    assert used == [before, before + 1]
    await early.stop()
    await late.stop()


def exchange_of(both, xml):
    """The fields of the key exchange in a message."""
    _, _, kex, data = stanzas.encrypted_from_xml(ET.fromstring(xml)).keys[0]
    assert kex
    dialect = test_oldmemo.dialect if both.namespace == python_omemo.LEGACY else test_twomemo.OMEMO2
    return dialect.decode_exchange(data)


# Catch-up


@covers("O-124", "O-125", "O-148")
async def test_two_peers_that_picked_the_same_prekey_are_both_read_in_a_catch_up(both):
    board = both.board
    part = both.directory.of(both.namespace)
    own = make_bundle(board.engine.keys)
    if both.namespace == python_omemo.LEGACY:
        own = stanzas.legacy_form(own)
    own.prekeys = own.prekeys[:1]
    part.bundles[BOARD, board.engine.keys.device] = ET.tostring(stanzas.bundle_to_xml(own))
    peers = [await Account.create(both.directory, f"peer{number}@example.org", [both.namespace]) for number in range(2)]
    waiting = []
    for peer in peers:
        await peer.learn(BOARD)
        waiting += [(peer, await peer.encrypt(BOARD, both.wrapped(text, peer.jid))) for text in ("one", "two")]
    assert len({exchange_of(both, xml)[0] for _, xml in waiting}) == 1, "the same prekey"

    board.engine.catching_up = True
    for peer, xml in waiting:
        board.engine.open(peer.jid, stanzas.encrypted_from_xml(ET.fromstring(xml)))
        while ping := board.engine.next_ping():
            assert ping[0] == peer.jid and await peer.decrypt(BOARD, to_xml(ping[1])) is None
    assert board.engine.counters == {}
    for peer in peers:
        assert not stanzas.encrypted_from_xml(
            ET.fromstring(await peer.encrypt(BOARD, both.wrapped("x", peer.jid)))
        ).keys[0][2]
    assert len(board.store.keys(records.USED_PREKEY)) == 1
    upkeep.end_catch_up(board.engine)
    assert bundle.fill(board.engine.keys, 25) == 0 and not board.store.keys(records.USED_PREKEY)
    with pytest.raises(RemoteError) as caught:
        third = await Account.create(both.directory, "third@example.org", [both.namespace])
        await third.learn(BOARD)
        late = await third.encrypt(BOARD, both.wrapped("late", third.jid))
        board.engine.open(third.jid, stanzas.encrypted_from_xml(ET.fromstring(late)))
    assert caught.value.reason == "no-prekey"
    for peer in [*peers, third]:
        await peer.stop()


@covers("O-127")
async def test_late_message_of_a_long_chain_takes_no_heartbeat_from_the_next_one(both):
    board, alice = both.board, both.alice
    both.send("hello")
    await both.read_all()
    await alice.learn(BOARD)
    board.publish()
    chain = [await alice.encrypt(BOARD, both.wrapped(str(number))) for number in range(61)]
    for xml in [*chain[:40], chain[60]]:
        board.open(xml)
    assert await alice.decrypt(BOARD, board.ping()) is None
    assert board.open(await alice.encrypt(BOARD, both.wrapped("next chain"))) == "next chain"
    assert board.open(chain[55]) == "55"
    board.ping()
    beats = []
    for number in range(60):
        xml = await alice.encrypt(BOARD, both.wrapped(str(number)))
        board.open(xml)
        if board.ping():
            beats.append(both.module.header(xml)[0])
    assert beats == [53]

"""The Double Ratchet: conversations with python-omemo had again on every interpreter, and the limits of receiving."""

from motemo.crypto.curve import x25519_public
from motemo.crypto.kdf import hkdf_sha256, hmac_sha256
from motemo.errors import RemoteError, StateError
from motemo.omemo import identity, records, trust, wire
from motemo.omemo.dialects import OMEMO2
from motemo.omemo.elements import Bundle, Encrypted
from motemo.omemo.engine import Engine
from motemo.profile import Profile
from tests.covers import covers
from tests.memory_store import MemoryStore
from tests.raises import raises
from tests.unit import twomemo_conversations as recorded
from tests.unit.test_engine import ALICE, BOARD, Device, befriend, counter_of, frame_of, meet, resealed, session_keys
from tests.unit.test_random import with_source


def drawn(name, function, *args):
    """The result of the function while all randomness is the value of that name."""
    key = recorded.DRAWN.get(name, name)
    return with_source(lambda count: (key * 16)[:count], function, *args)


class Replay:
    """Our side of a recorded conversation."""

    def __init__(self, conversation):
        self.conversation = conversation
        store = MemoryStore()
        drawn(recorded.SEED, identity.create, store, BOARD)
        store.commit(
            [
                (
                    records.SIGNED_PREKEY,
                    records.id_key(1),
                    recorded.SIGNED_PREKEY + x25519_public(recorded.SIGNED_PREKEY) + bytes(64),
                ),
                (records.PREKEY, records.id_key(1), recorded.PREKEY + x25519_public(recorded.PREKEY)),
            ]
        )
        trust.pin(store, ALICE, [conversation["fingerprint"]])
        self.engine = Engine(store, Profile(prekeys=25, padding=12))
        self.engine.on_devices(ALICE, [conversation["device"]])

    def hears(self, name, kex=False):
        """The text of what python-omemo sent."""
        keys = self.engine.keys
        data, payload = self.conversation[name + "_data"], self.conversation[name + "_payload"]
        encrypted = Encrypted(2, self.conversation["device"], [(BOARD, keys.device, kex, data)], payload)
        return drawn("ratchet 1" if kex else "ratchet 2", self.engine.open, ALICE, encrypted).envelope.body

    def says(self, number, text, kex=False):
        """Our message is, byte for byte, the one that python-omemo decrypted."""
        encrypted = drawn("message " + str(number), self.engine.seal, [ALICE], text)
        ((jid, rid, is_kex, data),) = encrypted.keys
        assert (jid, rid, is_kex) == (ALICE, self.conversation["device"], kex)
        assert encrypted.payload == self.conversation["ours_" + str(number) + "_payload"]
        assert data == self.conversation["ours_" + str(number) + "_data"]

    def goes_on(self):
        """The part that both conversations have."""
        assert self.hears("theirs_0") == "two"
        assert self.hears("theirs_2") == "three"
        assert self.hears("theirs_1") == "skip"
        self.says(2, "four")
        raises(RemoteError, "duplicate", self.hears, "theirs_1")


@covers("O-001", "O-008", "O-010", "O-020", "O-026", "O-027", "O-028", "O-029", "O-030", "O-031", "O-033", "O-043")
def test_conversation_that_python_omemo_started():
    replay = Replay(recorded.PEER_STARTS)
    assert replay.hears("kex", True) == "one"
    replay.says(0, "zero")
    replay.says(1, "one")
    replay.goes_on()


@covers("O-001", "O-006", "O-008", "O-010", "O-012", "O-013", "O-020", "O-034", "O-041", "O-042")
def test_conversation_that_we_started():
    sent = recorded.WE_START
    replay = Replay(sent)
    theirs = Bundle(sent["their_ik"], 1, sent["their_spk"], sent["their_spks"], [(1, sent["their_pk"])])
    drawn("ratchet 1", replay.engine.on_bundle, ALICE, sent["device"], theirs)
    replay.says(0, "zero", kex=True)
    replay.says(1, "one", kex=True)
    replay.goes_on()


@covers("O-028", "O-029", "O-030", "O-031", "O-033", "O-087")
def test_empty_message_by_hand():
    """A ping computed from the chain key as the XEP has it, without our ratchet."""
    board, alice = befriend()
    stored = board.session_with(alice)
    message_key = hmac_sha256(stored.cks, b"\x01")
    material = hkdf_sha256(message_key, bytes(32), b"OMEMO Message Key Material", 80)
    sealed = board.seal("next")
    message, tag = frame_of(sealed)
    both = board.engine.keys.identity_key + alice.engine.keys.identity_key  # the board started the session
    assert tag == hmac_sha256(material[32:64], both, message)[:16]
    assert len(OMEMO2.decode_header(message)[3]) == 64, "48 bytes and their padding"
    assert alice.open(sealed) == "next"


@covers("O-022")
def test_counter_far_ahead_is_refused_at_once():
    board, alice = befriend(board_profile=Profile(prekeys=25, max_skip=10, skipped=8))
    board.open(alice.seal("first"))
    before = board.state()
    good = alice.seal("good")
    dh, nr = counter_of(good)
    for n in (nr + 11, 1000, 1 << 31, 0xFFFFFFFF):
        raises(RemoteError, "skip-limit", board.open, resealed(good, n=n))
    new = bytes([9]) + bytes(31)
    for pn, n in ((0, 11), (nr + 5, 1 << 31)):
        raises(RemoteError, "skip-limit", board.open, resealed(good, dh=new, pn=pn, n=n))
    raises(RemoteError, "bad-tag", board.open, resealed(good, n=nr + 10))
    raises(RemoteError, "bad-tag", board.open, resealed(good, dh=new, pn=1 << 31, n=5))
    assert board.state() == before
    assert board.engine.counters == {"skip-limit": 6, "bad-tag": 2}
    assert board.open(good) == "good"


@covers("O-022", "O-021")
def test_gap_of_just_the_limit():
    board, alice = befriend(board_profile=Profile(prekeys=25, max_skip=10, skipped=10))
    board.open(alice.seal("first"))
    lost = [alice.seal(str(n)) for n in range(2)]
    alice.lose(board, 8)
    assert board.open(alice.seal("after ten")) == "after ten"
    assert [board.open(one) for one in reversed(lost)] == ["1", "0"]
    assert board.skipped_keys(alice) == 8, "a key goes with its message"
    for one in lost:
        raises(RemoteError, "duplicate", board.open, one)
    alice.lose(board, 11)
    raises(RemoteError, "skip-limit", board.open, alice.seal("too far"))


@covers("O-023")
def test_oldest_skipped_keys_go_first():
    board, alice = befriend(board_profile=Profile(prekeys=25, max_skip=20, skipped=4))
    board.open(alice.seal("first"))
    lost = [alice.seal(str(n)) for n in range(5)]
    assert board.open(alice.seal("after")) == "after"
    assert board.skipped_keys(alice) == 4
    raises(RemoteError, "key-gone", board.open, lost[0])
    lost.append(alice.seal("5"))
    assert board.open(alice.seal("later")) == "later"
    assert board.skipped_keys(alice) == 4
    raises(RemoteError, "key-gone", board.open, lost[1])
    assert [board.open(one) for one in lost[2:]] == ["2", "3", "4", "5"]


@covers("O-024", "O-025")
def test_skipped_keys_go_after_eight_ratchet_keys():
    board, alice = befriend()
    board.open(alice.seal("first"))
    late = alice.seal("late")
    later = alice.seal("later")
    board.open(alice.seal("now"))
    for turn in range(8):
        assert board.skipped_keys(alice) == 2, turn
        alice.open(board.nudge(alice))
        board.open(alice.nudge(board))
    assert board.open(late) == "late"
    alice.open(board.nudge(alice))
    board.open(alice.nudge(board))
    assert board.skipped_keys(alice) == 0
    try:
        board.open(later)
    except RemoteError as error:
        assert error.reason in ("bad-tag", "duplicate", "key-gone"), error.reason
    else:
        raise AssertionError("its key is gone")
    assert board.open(alice.seal("fine")) == "fine"


def test_messages_across_ratchet_keys_in_any_order():
    board, alice = befriend()
    board.open(alice.seal("first"))
    old = [alice.seal("old " + str(n)) for n in range(3)]
    alice.open(board.seal("turn"))
    new = [alice.seal("new " + str(n)) for n in range(3)]
    for one, text in ((new[2], "new 2"), (old[1], "old 1"), (new[0], "new 0"), (old[2], "old 2"), (old[0], "old 0")):
        assert board.open(one) == text
        raises(RemoteError, "duplicate", board.open, one)
    assert board.open(new[1]) == "new 1"
    assert board.skipped_keys(alice) == 0


@covers("O-032")
def test_the_bytes_that_came_are_authenticated():
    """Fields in another order, an unknown one, a long varint: the same message in other bytes."""
    board, alice = befriend()
    board.open(alice.seal("first"))
    keys = session_keys(alice, board)
    variants = (
        lambda n, pn, dh, text: wire.encode((4, text), (3, dh), (2, pn), (1, n)),
        lambda n, pn, dh, text: wire.encode((1, n), (2, pn), (3, dh), (4, text), (15, b"unknown")),
        lambda n, pn, dh, text: b"\x08" + bytes((n | 128, 0)) + wire.encode((2, pn), (3, dh), (4, text)),
    )
    for number, serialise in enumerate(variants):
        sealed = alice.seal(str(number))
        n, pn, dh, text = OMEMO2.decode_header(frame_of(sealed)[0])
        other = serialise(n, pn, dh, text)
        assert other != frame_of(sealed)[0]
        raises(RemoteError, "bad-tag", board.open, resealed(sealed, message=other))
        assert board.open(resealed(sealed, message=other, tag=keys.tag(n, other))) == str(number)


@covers("O-026", "O-033")
def test_every_part_of_a_message_is_authenticated():
    board, alice = befriend()
    board.open(alice.seal("first"))
    before = board.state()
    good = alice.seal("good")
    message, tag = frame_of(good)
    for at in range(0, len(message), 5):
        spoilt = bytearray(message)
        spoilt[at] ^= 1
        refused(board, resealed(good, message=bytes(spoilt)))
    for at in range(16):
        spoilt = bytearray(tag)
        spoilt[at] ^= 128
        raises(RemoteError, "bad-tag", board.open, resealed(good, tag=bytes(spoilt)))
    for length in (0, 8, 15, 17, 32):
        raises(RemoteError, "format", board.open, resealed(good, tag=(tag + tag)[:length]))
    assert board.state() == before
    assert board.open(good) == "good"


def refused(device, encrypted):
    try:
        device.open(encrypted)
    except RemoteError as error:
        assert error.reason in ("bad-tag", "format", "skip-limit"), error.reason
    else:
        raise AssertionError("it was accepted")


def test_ratchet_keys_of_small_order_are_refused():
    board, alice = befriend()
    board.open(alice.seal("first"))
    before = board.state()
    good = alice.seal("good")
    for u in (b"\x01" + bytes(31), (2**255 - 20).to_bytes(32, "little"), (2**255 - 19).to_bytes(32, "little")):
        raises(RemoteError, "weak-key", board.open, resealed(good, dh=u))
    assert board.state() == before
    assert board.open(good) == "good"


@covers("O-034")
def test_key_exchanges_until_the_first_answer():
    board, alice = meet()
    board.start(alice)
    sealed = [board.seal(str(n)) for n in range(12)]
    assert all(one.keys[0][2] for one in sealed)
    board = board.restart()
    assert board.seal("after a restart").keys[0][2]
    for n in (3, 0, 11):
        assert alice.open(sealed[n]) == str(n)
    answer = alice.seal("?")
    assert not answer.keys[0][2], "the other side never sends one"
    board.open(answer)
    assert not board.restart().seal("!").keys[0][2]
    assert not board.seal("!").keys[0][2]


def test_each_ratchet_key_and_message_key_serves_once():
    board, alice = befriend()
    seen = []
    for n in range(12):
        sealed = board.seal(str(n))
        assert counter_of(sealed) not in seen
        seen.append(counter_of(sealed))
        assert alice.open(sealed) == str(n)
        if n % 4 == 3:
            board.open(alice.nudge(board))
        if n % 5 == 4:
            board = board.restart()
    ratchet_keys = {dh for dh, _ in seen}
    assert len(ratchet_keys) == 3


def test_leased_chain_costs_one_commit_for_many_messages():
    board, alice = befriend(board_profile=Profile(prekeys=25, lease=4))
    board.open(alice.seal("?"))
    commits = board.store.commits
    for n in range(8):
        assert alice.open(board.seal(str(n))) == str(n)
    assert board.store.commits == commits + 2
    again = board.restart()
    n = counter_of(again.seal("after a power cut"))[1]
    assert n == 8
    board.engine.flush()
    n = counter_of(board.restart().seal("after an orderly end"))[1]
    assert n == 8


def test_orderly_end_skips_no_key_and_a_power_cut_at_most_a_lease():
    for orderly, next_counter in ((True, 3), (False, 8)):
        board, alice = befriend(board_profile=Profile(prekeys=25, lease=8))
        board.open(alice.seal("?"))
        for _ in range(3):
            alice.open(board.seal("reading"))
        if orderly:
            board.engine.flush()
        board = board.restart()
        sealed = board.seal("after")
        assert counter_of(sealed)[1] == next_counter
        assert alice.open(sealed) == "after"


def test_a_session_record_that_is_spoilt_is_told():
    board, alice = befriend()
    board.open(alice.seal("hello"))
    key = board.key_of(alice)
    record = board.store.get(records.SESSION, key)
    for spoilt in (record[:-1], b"", b"\xff" + record[1:]):
        board.store.commit([(records.SESSION, key, spoilt)])
        raises(StateError, "corrupt", Engine, board.store, board.profile)


def test_two_devices_that_never_met():
    stranger = Device("eve@example.org")
    board, alice = befriend()
    sealed = alice.seal("for the board")
    sealed.keys = [("eve@example.org", stranger.engine.keys.device, sealed.keys[0][2], sealed.keys[0][3])]
    raises(RemoteError, "no-prekey" if sealed.keys[0][2] else "no-session", stranger.engine.open, ALICE, sealed)

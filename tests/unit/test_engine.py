"""The engine with itself: what it lets in and out, what it keeps, what it does when the flash fails.

That others understand it is shown by tests/interop/test_twomemo.py and by the recorded conversations of test_ratchet.
"""

from motemo import overlay
from motemo.crypto.ed25519 import ed25519_sign
from motemo.crypto.kdf import hkdf_sha256, hmac_sha256
from motemo.errors import RemoteError, StateError
from motemo.omemo import admission, bundle, identity, ratchet, records, trust, wire
from motemo.omemo.dialects import OMEMO2
from motemo.omemo.elements import Bundle, Encrypted
from motemo.omemo.engine import Engine
from motemo.omemo.keys import BUNDLE_DIRTY
from motemo.omemo.skipped import Skipped
from motemo.profile import Profile
from tests.bundles import make_bundle, note_published
from tests.covers import covers
from tests.memory_store import MemoryStore
from tests.raises import raises

BOARD = "board@example.org"
ALICE = "alice@example.org"
EVE = "eve@example.org"


# Here MicroPython would compile the source of an overlay for each call: they stay loaded, but for one test.
overlay._UNLOADS, _UNLOADS = False, overlay._UNLOADS

_made = {}  # stores that were expensive to make, by what they are


def made(name, make, *args):
    """A copy of the store that `make(*args)` returned for this name, once."""
    if name not in _made:
        _made[name] = make(*args)
    return _made[name].copy()


def new_store(jid):
    """A store with an identity and three prekeys."""
    store = MemoryStore()
    identity.create(store, jid)
    bundle.fill(Engine(store, Profile()).keys, 3)
    return store


class Device:
    """One device with its engine: `which` of those of the account. peer: the account that it talks with."""

    def __init__(self, jid, profile=None, which=0, store=None, peer=None):
        self.jid = jid
        self.peer = peer or (ALICE if jid == BOARD else BOARD)
        self.profile = profile or Profile(prekeys=3)
        self.store = store or made((jid, which), new_store, jid)
        self.engine = Engine(self.store, self.profile)

    @property
    def id(self):
        return self.engine.keys.device

    def restart(self):
        """What a power cut leaves."""
        return Device(self.jid, self.profile, store=self.store.copy(), peer=self.peer)

    def state(self):
        """All that is stored."""
        return dict(self.store._records)

    def bundle(self):
        """Our bundle as a server hands it out: one prekey of it."""
        own = make_bundle(self.engine.keys)
        own.prekeys = own.prekeys[:1]
        return own

    def pin(self, *others):
        fingerprints = [other.engine.keys.fingerprint for other in others]
        trust.pin(self.store, others[0].jid, fingerprints)

    def list(self, *others):
        self.engine.on_devices(others[0].jid, [other.id for other in others])

    def start(self, other):
        """Starts a session from the other's bundle."""
        self.engine.on_bundle(other.jid, other.id, other.bundle())

    def seal(self, text):
        return self.engine.seal([self.peer], text)

    def lose(self, other, count):
        """Sends empty messages that never arrive."""
        session = self.session_with(other)
        for _ in range(count):
            session.lease(1)
            session.encrypt(bytes(32), self.engine.keys.identity_key)

    def open(self, encrypted, sender=None):
        """The text, None for an empty message."""
        opened = self.engine.open(sender or self.peer, encrypted)
        return opened.envelope and opened.envelope.body

    def ping(self):
        ping = self.engine.next_ping()
        return ping and ping[1]

    def nudge(self, other):
        """An empty message, due or not."""
        self.session_with(other).flags |= ratchet.PING
        self.engine._pings.append(self.key_of(other))
        return self.ping()

    def key_of(self, other):
        return records.device_key(other.jid, other.id)

    def session_with(self, other):
        return self.engine.session(self.key_of(other))

    def skipped_keys(self, other):
        return len(Skipped(self.store.get(records.SKIPPED, self.key_of(other)), 1000))


def meet(board_profile=None, alice_profile=None):
    """A board and a device of Alice's that have pinned and listed each other; there is no session yet."""
    board, alice = Device(BOARD, board_profile), Device(ALICE, alice_profile)
    board.pin(alice)
    board.list(alice)
    alice.pin(board)
    alice.list(board)
    return board, alice


def befriend(board_profile=None, alice_profile=None):
    """The same with a session that the board has started and Alice has completed by a ping."""
    board = Device(BOARD, board_profile, store=made("board", _shake_hands))
    return board, Device(ALICE, alice_profile, store=made("alice", None))


def _shake_hands():
    board, alice = meet()
    board.start(alice)
    assert alice.open(board.seal("hello")) == "hello"
    assert board.open(alice.ping()) is None
    for device in (board, alice):
        device.engine.flush()
    _made["alice"] = alice.store
    return board.store


def frame_of(encrypted):
    """(message, tag) of the ratchet message for the first device."""
    _, _, kex, data = encrypted.keys[0]
    if kex:
        data = OMEMO2.decode_exchange(data)[4]
    return OMEMO2.unseal(data)


def counter_of(encrypted):
    """(ratchet key, counter) of the message for the first device."""
    n, _, dh, _ = OMEMO2.decode_header(frame_of(encrypted)[0])
    return dh, n


def resealed(encrypted, message=None, tag=None, n=None, pn=None, dh=None):
    """The message for the first device with parts of it exchanged."""
    jid, rid, kex, data = encrypted.keys[0]
    assert not kex
    old, old_tag = OMEMO2.unseal(data)
    if message is None:
        had = OMEMO2.decode_header(old)
        message = OMEMO2.encode_header(
            had[0] if n is None else n, had[1] if pn is None else pn, had[2] if dh is None else dh, had[3]
        )
    data = wire.encode((1, old_tag if tag is None else tag), (2, message))
    return Encrypted(encrypted.dialect, encrypted.sid, [(jid, rid, kex, data)], encrypted.payload)


def spoilt(encrypted):
    """The same with the last bit of its data turned."""
    jid, rid, kex, data = encrypted.keys[0]
    data = data[:-1] + bytes([data[-1] ^ 1])
    return Encrypted(encrypted.dialect, encrypted.sid, [(jid, rid, kex, data)], encrypted.payload)


class session_keys:
    """Computes tags of messages of a device's present sending chain, by the XEP and not by our ratchet."""

    def __init__(self, device, other):
        session = device.session_with(other)
        self._chain, self._n = session.cks, session.ns
        self._both = other.engine.keys.identity_key + device.engine.keys.identity_key  # the other one has started

    def tag(self, n, message):
        chain = self._chain
        for _ in range(n - self._n):
            chain = hmac_sha256(chain, b"\x02")
        material = hkdf_sha256(hmac_sha256(chain, b"\x01"), bytes(32), b"OMEMO Message Key Material", 80)
        return hmac_sha256(material[32:64], self._both, message)[:16]


# Who gets something


@covers("O-084", "O-085", "O-086", "O-140")
def test_only_pinned_and_listed_devices_get_something():
    board = Device(BOARD)
    pinned, unpinned, unlisted = [Device(ALICE, which=which) for which in range(3)]
    board.pin(pinned, unlisted)
    board.list(pinned, unpinned, unlisted)
    board.start(pinned)
    board.start(unlisted)
    raises(RemoteError, "untrusted", board.start, unpinned)
    board.list(pinned, unpinned)
    sealed = board.seal("secret")
    assert sealed.sid == board.id and sealed.dialect == 2 and sealed.payload
    assert [(jid, rid, kex) for jid, rid, kex, _ in sealed.keys] == [(ALICE, pinned.id, True)]
    assert pinned.open(sealed) == "secret"
    raises(RemoteError, "not-for-us", unpinned.open, sealed)


@covers("O-140")
def test_nothing_for_a_device_that_is_pinned_no_more():
    board, alice = befriend()
    board.seal("before")
    trust.pin(board.store, ALICE, [])
    raises(StateError, "no-devices", board.seal, "after")


@covers("O-140", "O-143", "O-120", "O-141", "O-142")
def test_stranger_is_read_and_marked_and_gets_pings_only():
    board, eve = Device(BOARD), Device(EVE)
    eve.pin(board)
    eve.list(board)
    board.list(eve)
    eve.start(board)
    opened = board.engine.open(EVE, eve.seal("set relay on"))
    assert opened.envelope.body == "set relay on"
    assert not opened.trusted and (opened.jid, opened.device) == (EVE, eve.id)
    ping = board.ping()
    assert ping.payload is None and eve.open(ping) is None
    raises(StateError, "no-devices", board.engine.seal, [EVE], "reading")
    board.pin(eve)
    assert board.engine.open(EVE, eve.seal("again")).trusted
    assert eve.open(board.engine.seal([EVE], "reading")) == "reading"


@covers("O-084")
def test_own_other_devices_get_it_and_the_sending_one_does_not():
    board, other = Device(BOARD, peer=BOARD), Device(BOARD, which=1, peer=BOARD)
    board.pin(board, other)
    board.list(board, other)
    assert board.engine.needs([BOARD]) == [("bundle", BOARD, other.id, 2)]
    board.start(other)
    sealed = board.seal("note")
    assert [key[1] for key in sealed.keys] == [other.id]
    assert other.open(sealed) == "note"
    raises(RemoteError, "duplicate", board.open, Encrypted(2, board.id, [(BOARD, board.id, False, b"")], b""))


def test_more_devices_than_the_profile_has():
    board = Device(BOARD, Profile(prekeys=1, devices=2, cached=1))
    devices = [Device(ALICE, which=which) for which in range(3)]
    board.pin(*devices)
    board.list(*devices)
    for device in devices:
        board.start(device)
    sealed = board.seal("to two")
    assert len(sealed.keys) == 2 and board.engine.counters == {"too-large": 1}


@covers("O-085", "O-043")
def test_one_payload_for_all_and_a_session_each():
    profile = Profile(prekeys=1, cached=1, lease=4)  # the cache is smaller than the message
    board = Device(BOARD, profile)
    devices = [Device(ALICE), Device(ALICE, which=1), Device(EVE)]
    board.pin(*devices[:2])
    board.pin(devices[2])
    board.list(*devices[:2])
    board.list(devices[2])
    for device in devices:
        board.start(device)
    for number in range(6):
        sealed = board.engine.seal([ALICE, EVE], str(number))
        assert sorted((jid, rid) for jid, rid, _, _ in sealed.keys) == sorted((one.jid, one.id) for one in devices)
        for device in devices:
            assert device.open(sealed) == str(number)
        assert OMEMO2.decode_header(frame_of(sealed)[0])[0] == number, "a session that leaves the cache skips no key"
        assert len(board.engine._cache) == 1


@covers("O-040")
def test_fresh_key_for_each_message():
    board, alice = befriend()
    first, second = board.seal("same"), board.seal("same")
    assert first.payload != second.payload
    secrets = [OMEMO2.encrypt_payload(b"same")[0][:32] for _ in range(3)]
    assert len(set(secrets)) == 3


@covers("O-041", "O-042", "O-043")
def test_payload_by_hand():
    secret, ciphertext = OMEMO2.encrypt_payload(b"text")
    assert len(secret) == 48 and len(ciphertext) == 16
    material = hkdf_sha256(secret[:32], bytes(32), b"OMEMO Payload", 80)
    assert secret[32:] == hmac_sha256(material[32:64], ciphertext)[:16]
    assert OMEMO2.decrypt_payload(secret, ciphertext) == b"text"


@covers("O-044")
def test_payload_with_a_wrong_tag():
    board, alice = befriend()
    sealed = alice.seal("good")
    sealed.payload = sealed.payload[:-1] + bytes([sealed.payload[-1] ^ 1])
    raises(RemoteError, "payload", board.open, sealed)
    raises(RemoteError, "payload", OMEMO2.decrypt_payload, bytes(32), b"x" * 16)
    assert board.engine.counters == {"payload": 1}
    assert board.open(alice.seal("next")) == "next"


# Device lists and bundles


@covers("O-052", "O-117", "O-118")
def test_a_list_starts_no_session_and_sending_asks_for_bundles():
    board, alice = Device(BOARD), Device(ALICE)
    board.pin(alice)
    assert board.engine.devices(ALICE) is None
    assert board.engine.needs([ALICE]) == [("devices", ALICE)]
    board.list(alice)
    assert board.store.keys(records.SESSION) == [] and board.engine.needs([]) == []
    assert board.engine.needs([ALICE]) == [("bundle", ALICE, alice.id, 2)]
    board.start(alice)
    assert board.engine.needs([ALICE]) == []
    board.engine.on_devices(ALICE, [7, 5, 7])
    assert board.restart().engine.devices(ALICE) == [5, 7]
    board.engine.on_devices(ALICE, [])
    assert board.engine.devices(ALICE) == [] and board.engine.needs([ALICE]) == []


@covers("P-09")
def test_device_without_a_bundle_is_left_out_until_the_list_changes():
    board, alice = Device(BOARD), Device(ALICE)
    board.pin(alice)
    board.list(alice)
    board.engine.on_no_bundle(ALICE, alice.id)
    assert board.engine.needs([ALICE]) == []
    board.list(alice)
    assert board.engine.needs([ALICE]) == [("bundle", ALICE, alice.id, 2)]


@covers("O-006", "O-011", "O-012")
def test_bundles_that_are_refused():
    board, alice = Device(BOARD), Device(ALICE)
    board.pin(alice)
    good = alice.bundle()
    eve = Device(EVE).bundle()
    weak = bytes(32)
    weak_signature = ed25519_sign(alice.store.get(records.IDENTITY, b"")[:32], weak)
    signed = good.signed_prekey_id, good.signed_prekey
    for reason, bad in (
        ("no-prekey", Bundle(good.identity_key, signed[0], signed[1], good.signature, [])),
        ("bad-signature", Bundle(good.identity_key, signed[0], signed[1], eve.signature, good.prekeys)),
        ("bad-signature", Bundle(good.identity_key, signed[0], eve.signed_prekey, good.signature, good.prekeys)),
        ("bad-signature", Bundle(eve.identity_key, signed[0], signed[1], good.signature, good.prekeys)),
        ("weak-key", Bundle(good.identity_key, signed[0], signed[1], good.signature, [(1, weak)])),
        ("weak-key", Bundle(good.identity_key, signed[0], weak, weak_signature, good.prekeys)),
        ("untrusted", eve),
    ):
        board.list(alice)
        raises(RemoteError, reason, board.engine.on_bundle, ALICE, alice.id, bad)
        assert board.store.keys(records.SESSION) == []
        assert board.engine.needs([ALICE]) == [], "unusable until the list changes"
    assert sum(board.engine.counters.values()) == 7
    board.list(alice)
    board.start(alice)


@covers("O-070")
def test_prekey_is_picked_at_random():
    board, alice = Device(BOARD), Device(ALICE)
    board.pin(alice)
    theirs = alice.bundle()
    theirs.prekeys = [(number, theirs.prekeys[0][1]) for number in range(1, 101)]
    picked = []
    for _ in range(5):
        board.engine.on_bundle(ALICE, alice.id, theirs)
        picked.append(board.session_with(alice).prekey_id)
    assert len(set(picked)) > 2 and all(1 <= number <= 100 for number in picked)


# Key exchanges that come


@covers("O-092", "O-094", "O-119", "O-014", "O-149")
def test_prekey_goes_with_its_use_and_another_one_comes():
    board, alice = meet()
    note_published(board.engine.keys)
    assert not board.engine.keys.flags & BUNDLE_DIRTY
    alice.start(board)
    kex = alice.seal("hello")
    used = OMEMO2.decode_exchange(kex.keys[0][3])[0]
    before = [number for number, _ in make_bundle(board.engine.keys).prekeys]
    commits = board.store.commits
    assert board.open(kex) == "hello"
    assert board.store.commits == commits + 1, "session, prekeys and ids change together"
    board = board.restart()
    after = [number for number, _ in make_bundle(board.engine.keys).prekeys]
    assert used in before and used not in after and len(after) == len(before)
    assert max(after) == max(before) + 1
    assert board.engine.keys.flags & BUNDLE_DIRTY
    board.engine = Engine(board.store, board.profile)
    eve = Device(EVE)
    eve.pin(board)
    eve.engine.on_devices(BOARD, [board.id])
    own = make_bundle(board.engine.keys)
    own.prekeys = [(used, own.prekeys[0][1])]
    eve.engine.on_bundle(BOARD, board.id, own)
    raises(RemoteError, "no-prekey", board.open, eve.seal("with the same one"), EVE)


@covers("O-007", "O-069")
def test_key_exchanges_that_name_no_prekey():
    board, alice = meet()
    alice.start(board)
    kex = alice.seal("hello")
    before = board.state()
    _, spk, ik, ek, inner = OMEMO2.decode_exchange(kex.keys[0][3])
    for reason, fields in (
        ("no-prekey", ((2, spk), (3, ik), (4, ek), (5, inner))),
        ("no-prekey", ((1, 0), (2, spk), (3, ik), (4, ek), (5, inner))),
        ("no-prekey", ((1, 999), (2, spk), (3, ik), (4, ek), (5, inner))),
        ("no-prekey", ((1, 1), (2, 999), (3, ik), (4, ek), (5, inner))),
        ("format", ((1, 1 << 31), (2, spk), (3, ik), (4, ek), (5, inner))),
        ("format", ((1, 1), (2, 0), (3, ik), (4, ek), (5, inner))),
        ("format", ((1, 1), (2, spk), (3, ik + b"x"), (4, ek), (5, inner))),
        ("format", ((1, 1), (2, spk), (3, ik), (4, b"\x05" + ek), (5, inner))),
        ("format", ((1, 1), (2, spk), (3, ik), (4, ek))),
        ("weak-key", ((1, 1), (2, spk), (3, ik), (4, bytes(32)), (5, inner))),
        ("bad-point", ((1, 1), (2, spk), (3, b"\x02" + bytes(31)), (4, ek), (5, inner))),
    ):
        bad = Encrypted(2, alice.id, [(BOARD, board.id, True, wire.encode(*fields))], kex.payload)
        raises(RemoteError, reason, board.open, bad)
        assert board.state() == before
    raises(RemoteError, "format", board.open, Encrypted(3, alice.id, kex.keys, kex.payload))
    assert board.ping() is None
    assert board.engine.needs([]) == [("bundle", ALICE, alice.id, 2)], "prekeys that are gone: she needs a session"
    assert board.open(kex) == "hello"


@covers("O-147")
def test_forged_key_exchange_changes_nothing():
    board, alice = meet()
    alice.start(board)
    kex = alice.seal("hello")
    before = board.state()
    raises(RemoteError, "bad-tag", board.open, spoilt(kex))
    assert board.state() == before and board.ping() is None and board.engine.needs([]) == []
    assert board.open(kex) == "hello"
    # the same where there is a session: it stays
    alice.engine.store.commit([(records.SESSION, alice.key_of(board), None)])
    alice = alice.restart()
    alice.start(board)
    before = board.state()
    raises(RemoteError, "bad-tag", board.open, spoilt(alice.seal("forged")))
    assert board.state() == before
    assert board.engine.counters == {"bad-tag": 2}


@covers("O-093", "O-035")
def test_new_key_exchange_replaces_the_session_and_an_old_one_goes_on():
    board, alice = meet()
    alice.start(board)
    first, second = alice.seal("one"), alice.seal("two")
    assert board.open(second) == "two"
    prekeys = board.store.keys(records.PREKEY)
    assert board.open(first) == "one", "the same ephemeral key: only the inner message counts"
    assert board.store.keys(records.PREKEY) == prekeys
    raises(RemoteError, "duplicate", board.open, first)
    fields = list(OMEMO2.decode_exchange(alice.seal("by another").keys[0][3]))
    fields[2] = Device(EVE).engine.keys.identity_key
    other = Encrypted(2, alice.id, [(BOARD, board.id, True, OMEMO2.encode_exchange(*fields))], first.payload)
    raises(RemoteError, "no-prekey", board.open, other)
    old = board.session_with(alice).ephemeral
    lost = alice.seal("lost")
    admission.replace_sessions(alice.engine)
    alice.start(board)
    third = alice.seal("three")
    assert board.open(third) == "three"
    assert board.session_with(alice).ephemeral != old and len(board.store.keys(records.SESSION)) == 1
    assert alice.open(board.ping()) is None
    assert alice.open(board.seal("answer")) == "answer"
    assert board.open(lost) == "lost", "the former session can still receive"
    raises(RemoteError, "duplicate", board.open, lost)


def test_unpinned_identity_cannot_replace_a_pinned_session():
    board, alice = befriend()
    eve = Device(ALICE, which=1)
    identity_record = eve.store.get(records.IDENTITY, b"")
    device = alice.store.get(records.IDENTITY, b"")[128:132]
    eve.store.commit([(records.IDENTITY, b"", identity_record[:128] + device + identity_record[132:])])
    eve = eve.restart()
    assert eve.id == alice.id
    eve.pin(board)
    eve.list(board)
    eve.start(board)
    before = board.state()
    raises(RemoteError, "untrusted", board.open, eve.seal("it is me"))
    raises(RemoteError, "untrusted", board.engine.on_bundle, ALICE, eve.id, eve.bundle())
    assert board.state() == before
    assert board.open(alice.seal("no, me")) == "no, me"
    assert alice.open(board.seal("yes")) == "yes"


def test_full_table_of_sessions():
    board = Device(BOARD, Profile(prekeys=3, sessions=2))
    alice = Device(ALICE)
    board.pin(alice)
    board.list(alice)
    board.start(alice)
    strangers = [Device("stranger" + str(n) + "@example.org") for n in range(3)]
    for stranger in strangers:
        stranger.pin(board)
        stranger.list(board)
        stranger.start(board)
        assert board.open(stranger.seal("let me in"), stranger.jid) == "let me in"
        assert len(board.store.keys(records.SESSION)) == 2
    kept = sorted(records.split_device_key(key)[0] for key in board.store.keys(records.SESSION))
    assert kept == [ALICE, strangers[2].jid], "the oldest that is not pinned goes"
    board.pin(strangers[2])
    before = board.state()
    own = board.bundle()
    strangers[1].engine.on_bundle(BOARD, board.id, own)
    raises(StateError, "full", board.open, strangers[1].seal("again"), strangers[1].jid)
    assert board.state() == before
    assert board.engine.counters == {"full": 1}
    assert board.open(strangers[2].seal("still in"), strangers[2].jid) == "still in"


@covers("O-090", "O-091")
def test_message_for_others_is_counted():
    board, alice = befriend()
    sealed = alice.seal("hello")
    jid, rid, kex, data = sealed.keys[0]
    for keys in ([], [(jid, rid ^ 1, kex, data)], [("other@example.org", rid, kex, data)]):
        raises(RemoteError, "not-for-us", board.open, Encrypted(2, alice.id, keys, sealed.payload))
    assert board.engine.counters == {"not-for-us": 3}
    others = [("other@example.org", rid, kex, b"theirs"), (jid, rid ^ 1, kex, b"another")]
    assert board.open(Encrypted(2, alice.id, others + sealed.keys, sealed.payload)) == "hello"


@covers("O-095", "O-122", "O-123", "O-147")
def test_failures_are_told_apart_and_counted():
    board, alice = befriend()
    sealed = alice.seal("hello")
    before = board.state()
    raises(RemoteError, "bad-tag", board.open, spoilt(sealed))
    assert board.state() == before
    assert board.ping() is None and board.engine.needs([]) == [], "a bad tag asks for nothing"
    assert board.open(sealed) == "hello"
    before = board.state()
    raises(RemoteError, "duplicate", board.open, sealed)
    assert board.state() == before
    raises(RemoteError, "no-session", board.engine.open, EVE, sealed)
    assert board.engine.counters == {"bad-tag": 1, "duplicate": 1, "no-session": 1}


@covers("S-06", "S-04")
def test_envelope_that_does_not_fit_its_stanza():
    board, alice = befriend()
    alice.engine.keys.jid = "bob@example.org"
    raises(RemoteError, "envelope", board.open, alice.seal("from bob"))
    alice.engine.keys.jid = ALICE
    for sent, fits in ((1700000000, True), (1700003000, True), (1700009000, False), (None, True)):
        sealed = alice.engine.seal([BOARD], "timed", stamp=1700000000)
        if fits:
            assert board.engine.open(ALICE, sealed, sent).envelope.body == "timed"
        else:
            raises(RemoteError, "envelope", board.engine.open, ALICE, sealed, sent)
    assert board.engine.counters == {"envelope": 2}


def test_content_that_is_too_large():
    board, alice = befriend(Profile(prekeys=3, body=400))
    raises(RemoteError, "too-large", board.open, alice.seal("x" * 400))
    assert board.open(alice.seal("short")) == "short"


@covers("O-083")
@covers("O-083", "S-05")
def test_recipient_of_a_group_chat():
    board, alice = befriend()
    room = "room@conference.example.org"

    def seal(to):
        return alice.engine.seal([BOARD], "to all", to=to)

    assert board.engine.open(ALICE, seal(room), room=room).envelope.body == "to all"
    assert board.engine.open(ALICE, seal(BOARD)).envelope.body == "to all"
    # Said elsewhere and brought here: into another room, to us alone, or what was for us alone into a room.
    for to, came_through in ((room, "other@conference.example.org"), (room, None), (BOARD, room), (None, room)):
        raises(RemoteError, "envelope", board.engine.open, ALICE, seal(to), None, came_through)
    assert board.engine.counters["envelope"] == 4


# Pings


@covers("O-120", "O-087", "O-125")
def test_one_ping_for_each_key_exchange_also_after_a_restart():
    board, alice = meet()
    assert board.ping() is None
    alice.start(board)
    first, second = alice.seal("one"), alice.seal("two")
    board.open(first)
    board = board.restart()
    jid, ping = board.engine.next_ping()
    assert jid == ALICE and ping.payload is None and not ping.keys[0][2]
    assert alice.session_with(board) and alice.open(ping) is None
    assert board.ping() is None and board.restart().ping() is None
    board.open(second)
    assert board.ping() is None, "the key exchange is the same"
    assert not alice.seal("three").keys[0][2]


def test_any_message_is_as_good_as_a_ping():
    board, alice = meet()
    alice.start(board)
    board.open(alice.seal("one"))
    alice.open(board.seal("answer"))
    assert board.ping() is None and board.restart().ping() is None


@covers("O-127")
def test_heartbeat_once_for_each_ratchet_key():
    board, alice = befriend()
    for turn in range(2):
        alice.lose(board, 54 - alice.session_with(board).ns)
        board = board.restart()
        assert board.open(alice.seal("the first beyond 53")) == "the first beyond 53"
        board = board.restart()
        ping = board.ping()
        assert ping.payload is None
        for _ in range(2):
            board.open(alice.seal("more"))
            assert board.ping() is None
        assert alice.open(ping) is None
        assert alice.session_with(board).ns == 0, turn
        board.open(alice.seal("on a new ratchet key"))


@covers("O-127")
def test_no_heartbeat_before_counter_53():
    board, alice = befriend()
    alice.lose(board, 52 - alice.session_with(board).ns)
    early = alice.seal("the one with 52")
    last = alice.seal("the one with 53")
    board.open(early)
    assert counter_of(early)[1] == 52 and board.ping() is None
    board.open(last)
    assert board.ping() is not None


@covers("O-121")
def test_message_without_a_session_asks_for_one():
    board, alice = befriend()
    board.store.commit([(records.SESSION, board.key_of(alice), None)])
    board = board.restart()
    raises(RemoteError, "no-session", board.open, alice.seal("lost"))
    raises(RemoteError, "no-session", board.open, alice.seal("lost too"))
    assert board.engine.needs([]) == [("bundle", ALICE, alice.id, 2)]
    board.start(alice)
    assert board.engine.needs([]) == []
    ping = board.ping()
    assert ping.payload is None and ping.keys[0][2]
    assert alice.open(ping) is None
    assert board.open(alice.seal("found")) == "found"
    assert not board.seal("!").keys[0][2]


@covers("O-121", "O-143")
def test_an_owners_unpinned_device_is_told_too_and_a_stranger_asks_for_nothing():
    board, alice = meet()
    other = Device(ALICE, which=1)
    lost = Encrypted(2, other.id, [(BOARD, board.id, False, b"whatever")], b"")
    raises(RemoteError, "no-session", board.open, lost, EVE)
    assert board.engine.needs([]) == []
    raises(RemoteError, "no-session", board.open, lost)
    assert board.engine.needs([]) == [("bundle", ALICE, other.id, 2)]
    board.start(other)
    ping = board.ping()
    assert ping.keys[0][1] == other.id and other.open(ping) is None
    assert board.engine.needs([ALICE]) == [("bundle", ALICE, alice.id, 2)]
    board.list(alice, other)
    board.start(alice)
    assert [key[1] for key in board.seal("secret").keys] == [alice.id]


def test_answers_that_are_due_are_bounded():
    board, alice = meet(Profile(prekeys=3, devices=4))
    for number in range(1, 20):
        lost = Encrypted(2, number, [(BOARD, board.id, False, b"whatever")], b"")
        raises(RemoteError, "no-session", board.open, lost)
    assert len(board.engine.needs([])) == 4
    board.engine.on_no_bundle(ALICE, 1)
    assert len(board.engine.needs([])) == 3


@covers("O-126")
def test_sessions_are_replaced_at_the_owners_wish():
    board, alice = befriend()
    eve = Device(EVE)
    eve.pin(board)
    eve.list(board)
    eve.start(board)
    board.open(eve.seal("hi"), EVE)
    old = board.session_with(alice).ephemeral
    under_way = alice.seal("under way")
    assert admission.replace_sessions(board.engine, ALICE, alice.id + 1) == 0
    assert admission.replace_sessions(board.engine, ALICE, alice.id) == 1
    assert admission.replace_sessions(board.engine, ALICE) == 1
    assert board.engine.needs([]) == [("bundle", ALICE, alice.id, 2)]
    assert board.session_with(alice).ephemeral == old, "it stays until there is another"
    board.start(alice)
    assert board.open(under_way) == "under way"
    stranger = board.session_with(eve).ephemeral
    ping = board.ping()
    while ping.keys[0][1] != alice.id:
        ping = board.ping()
    assert alice.open(ping) is None
    assert alice.session_with(board).ephemeral != old
    assert alice.open(board.seal("new")) == "new"
    assert board.session_with(eve).ephemeral == stranger
    assert admission.replace_sessions(board.engine) == 2
    assert board.session_with(eve) is None, "who is not pinned gets no new one"
    assert board.engine.needs([]) == [("bundle", ALICE, alice.id, 2)]


# A store that fails


def failing(device, function, *args):
    """The flash is full just now."""
    device.store.fail = StateError("full")
    raises(StateError, "full", function, *args)
    assert device.store.fail is None, "it was not asked to commit anything"


def test_flash_is_full_while_sending():
    board, alice = befriend(Profile(prekeys=3, lease=4))
    seen = [counter_of(board.seal("fine")) for _ in range(4)]
    failing(board, board.seal, "does not leave")
    seen.append(counter_of(board.seal("later")))
    board = board.restart()
    for _ in range(4):
        sealed = board.seal("after a power cut")
        assert counter_of(sealed) not in seen
        seen.append(counter_of(sealed))
    assert alice.open(sealed) == "after a power cut"


def test_flash_is_full_while_receiving():
    board, alice = befriend()
    for number in range(3):
        alice.open(board.seal("turn"))
        sealed = alice.seal("on a new ratchet key")
        before = board.state()
        failing(board, board.open, sealed)
        assert board.state() == before
        if number == 1:
            board = board.restart()
        assert board.open(sealed) == "on a new ratchet key"
        assert alice.open(board.seal("understood")) == "understood"


def test_flash_is_full_at_a_key_exchange():
    board, alice = meet()
    alice.start(board)
    kex = alice.seal("hello")
    before = board.state()
    failing(board, board.open, kex)
    assert board.state() == before and board.ping() is None
    assert board.open(kex) == "hello"
    assert alice.open(board.ping()) is None


def test_flash_is_full_at_a_prekey():
    board = Device(BOARD)
    failing(board, bundle.fill, board.engine.keys, 4)
    own = make_bundle(board.engine.keys)
    assert len(own.prekeys) == 3
    note_published(board.engine.keys, own)
    assert not board.engine.keys.flags & BUNDLE_DIRTY, "an id that was not stored is not waited for"


def test_flash_is_full_at_a_ping():
    board, alice = meet()
    alice.start(board)
    board.open(alice.seal("hello"))
    failing(board, board.ping)
    assert alice.open(board.ping()) is None, "it is still due"


def test_flash_is_full_at_a_bundle():
    board, alice = meet()
    failing(board, board.start, alice)
    assert board.session_with(alice) is None
    assert board.engine.needs([ALICE]) == [("bundle", ALICE, alice.id, 2)]
    board.start(alice)
    assert alice.open(board.seal("hello")) == "hello"


def test_needs_an_identity():
    raises(StateError, "not-provisioned", Engine, MemoryStore(), Profile())


def test_orderly_end_writes_once():
    board, alice = befriend(Profile(prekeys=3, lease=4))
    board.seal("one")
    commits = board.store.commits
    board.engine.flush()
    board.engine.flush()
    assert board.store.commits == commits + 1
    assert ratchet.restore(board.store.get(records.SESSION, board.key_of(alice))).ns == board.session_with(alice).ns


def test_with_overlays_that_leave():
    overlay._UNLOADS = _UNLOADS
    try:
        board, alice = meet()
        alice.start(board)
        assert board.open(alice.seal("hello")) == "hello"
        assert alice.open(board.ping()) is None
        assert alice.open(board.seal("?")) == "?"
        assert board.open(alice.seal("!")) == "!"
    finally:
        overlay._UNLOADS = False

"""The legacy dialect: conversations with python-omemo (oldmemo) had again on every interpreter, and its framing."""

from motemo.crypto.curve import x25519_public
from motemo.crypto.ed25519 import ed25519_sign
from motemo.crypto.gcm import gcm_encrypt
from motemo.crypto.kdf import hkdf_sha256, hmac_sha256
from motemo.errors import RemoteError
from motemo.omemo import dialects, identity, legacy, records, trust, wire
from motemo.omemo.elements import LEGACY, OMEMO2, Bundle, Encrypted
from motemo.omemo.engine import Engine
from motemo.profile import Profile
from tests.covers import covers
from tests.memory_store import MemoryStore
from tests.raises import raises
from tests.unit import oldmemo_conversations as recorded
from tests.unit.test_engine import ALICE, BOARD
from tests.unit.test_ratchet import drawn
from tests.unit.twomemo_conversations import PREKEY, SEED, SIGNED_PREKEY

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))


class Replay:
    """Our side of a recorded conversation."""

    def __init__(self, conversation):
        self.conversation = conversation
        self.store = MemoryStore()
        drawn(SEED, identity.create, self.store, BOARD)
        public = x25519_public(SIGNED_PREKEY)
        signature = ed25519_sign(SEED, b"\5" + public)
        self.store.commit(
            [
                (records.SIGNED_PREKEY, records.id_key(1), SIGNED_PREKEY + public + bytes(64) + signature),
                (records.PREKEY, records.id_key(1), PREKEY + x25519_public(PREKEY)),
            ]
        )
        trust.pin(self.store, ALICE, [conversation["fingerprint"]])
        self.engine = Engine(self.store, Profile(prekeys=25))
        self.engine.on_devices(ALICE, [conversation["device"]], LEGACY)
        self.engine.on_devices(ALICE, [], OMEMO2)

    def message(self, name, kex=False):
        """What python-omemo sent."""
        data, iv, payload = self.conversation[name]
        return Encrypted(LEGACY, self.conversation["device"], [("", self.engine.keys.device, kex, data)], payload, iv)

    def hears(self, name, kex=False):
        """The text of what python-omemo sent."""
        encrypted = self.message(name, kex)
        return drawn("ratchet 1" if kex else "ratchet 2", self.engine.open, ALICE, encrypted).envelope.body

    def says(self, number, text, kex=False):
        """Our message is, byte for byte, the one that python-omemo decrypted."""
        encrypted = drawn("message " + str(number), self.engine.seal, [ALICE], text)
        ((jid, rid, is_kex, data),) = encrypted.keys
        assert encrypted.dialect == LEGACY
        assert (jid, rid, is_kex) == (ALICE, self.conversation["device"], kex)
        assert (data, encrypted.iv, encrypted.payload) == self.conversation["ours_" + str(number)]

    def goes_on(self):
        """The part that both conversations have."""
        assert self.hears("theirs_0") == "two"
        assert self.hears("theirs_2") == "three"
        assert self.hears("theirs_1") == "skip"
        self.says(2, "four")
        raises(RemoteError, "duplicate", self.hears, "theirs_1")


def peer_starts():
    replay = Replay(recorded.PEER_STARTS)
    assert replay.hears("kex", True) == "one"
    return replay


@covers("O-010", "O-020", "O-028", "O-029", "O-031", "O-032", "O-033")
def test_conversation_that_python_omemo_started():
    replay = peer_starts()
    replay.says(0, "zero")
    replay.says(1, "one")
    replay.goes_on()


@covers("O-006", "O-009", "O-010", "O-020", "O-034")
def test_conversation_that_we_started():
    sent = recorded.WE_START
    replay = Replay(sent)
    assert replay.engine.needs([ALICE]) == [("bundle", ALICE, sent["device"], LEGACY)]
    theirs = Bundle(sent["fingerprint"], 1, sent["their_spk"], sent["their_spks"], [(1, sent["their_pk"])], LEGACY)
    drawn("ratchet 1", replay.engine.on_bundle, ALICE, sent["device"], theirs)
    replay.says(0, "zero", kex=True)
    replay.says(1, "one", kex=True)
    replay.goes_on()


@covers("O-033", "O-087")
def test_key_transport_message_by_hand():
    """A ping computed from the chain key as libsignal has it: 8 bytes of MAC over the sender's key, then ours."""
    replay = peer_starts()
    key = records.device_key(ALICE, replay.conversation["device"], LEGACY)
    chain = replay.engine.session(key).cks
    jid, ping = replay.engine.next_ping()
    assert jid == ALICE and ping.payload is None and len(ping.iv) == 12
    data = ping.keys[0][3]
    assert data[0] == 0x33
    material = hkdf_sha256(hmac_sha256(chain, b"\x01"), bytes(32), b"WhisperMessageKeys", 80)
    sender_first = b"\5" + replay.engine.keys.fingerprint + b"\5" + replay.conversation["fingerprint"]
    assert data[-8:] == hmac_sha256(material[32:64], sender_first + data[:-8])[:8]
    n, pn, dh, ciphertext = legacy.decode_header(data[:-8])
    assert (n, pn) == (0, 0) and len(dh) == 32
    assert len(ciphertext) == 32, "a key of 16 bytes, no tag, and the padding"


@covers("O-147")
def test_every_byte_of_a_message_counts():
    replay = peer_starts()
    before = dict(replay.store._records)
    data, iv, payload = replay.conversation["theirs_0"]
    for at in (0, 1, 2, 3, 4, 20, 36, 37, 40, len(data) - 9, len(data) - 8, len(data) - 1):
        bad = bytearray(data)
        bad[at] ^= 1
        message = replay.message("theirs_0")
        message.keys[0] = message.keys[0][:3] + (bytes(bad),)
        try:
            raise AssertionError(replay.engine.open(ALICE, message))
        except RemoteError as error:
            assert error.reason in ("bad-tag", "format", "weak-key", "skip-limit"), error
    assert replay.store._records == before
    assert replay.hears("theirs_0") == "two"


@covers("O-069")
def test_key_exchange_with_what_others_write():
    """A registration id of any size, fields that nobody knows, prekey id 0; in any order, since protobuf leaves it."""
    sealed = b"\x33" + bytes(97)
    for more in ((), ((5, 0),), ((5, 0xFFFFFFFF),), ((5, (1 << 64) - 1),), ((5, 77), (9, b"new"), (10, 3))):
        for prekey in (0, 1, 0xFFFFFF):
            fields = ((1, prekey), (2, b"\5" + KEY), (3, b"\5" + OTHER), (4, sealed), (6, 7)) + more
            for ordered in (fields, tuple(reversed(fields))):
                read = legacy.decode_exchange(b"\x33" + wire.encode(*ordered))
                assert read == (prekey, 7, OTHER, KEY, sealed)
    assert legacy.decode_exchange(legacy.encode_exchange(3, 7, KEY, OTHER, sealed)) == (3, 7, KEY, OTHER, sealed)


@covers("O-007")
def test_refuses_what_is_no_legacy_message():
    exchange = legacy.encode_exchange(3, 7, KEY, KEY, b"sealed")
    header = legacy.encode_header(0, 0, KEY, b"c" * 16)
    for version in (b"", b"\x22", b"\x32", b"\x34", b"\x43"):
        raises(RemoteError, "format", legacy.decode_exchange, version + exchange[1:])
        raises(RemoteError, "format", legacy.decode_header, version + header[1:])
    without = b"\x33" + wire.encode((2, b"\5" + KEY), (3, b"\5" + KEY), (4, b"sealed"), (6, 7))
    raises(RemoteError, "no-prekey", legacy.decode_exchange, without)
    for ids in ((1 << 32, 7), (3, 1 << 32)):
        raises(RemoteError, "format", legacy.decode_exchange, legacy.encode_exchange(*ids, KEY, KEY, b"sealed"))
    for key in (b"\6" + KEY, b"\0" + KEY):
        raises(RemoteError, "format", legacy.decode_header, b"\x33" + wire.encode((1, key), (2, 0), (3, 0), (4, b"c")))


@covers("O-044")
def test_payload():
    key, ciphertext, iv = legacy.encrypt_payload(b"21.5")
    assert len(key) == 32 and len(iv) == 12 and len(ciphertext) == 4
    assert legacy.decrypt_payload(key, ciphertext, iv) == b"21.5"
    ciphertext, tag = gcm_encrypt(KEY[:16], KEY[:16], b"from an old sender")
    assert legacy.decrypt_payload(KEY[:16] + tag, ciphertext, KEY[:16]) == b"from an old sender"
    raises(RemoteError, "payload", legacy.decrypt_payload, KEY[:16] + tag, ciphertext[:-1] + b"\0", KEY[:16])
    for keys in (KEY[:16], KEY[:16] + tag[:8], KEY + tag):
        raises(RemoteError, "payload", legacy.decrypt_payload, keys, ciphertext, KEY[:16])
    for iv, reason in ((None, "payload"), (b"", "payload"), (KEY[:13], "length")):
        raises(RemoteError, reason, legacy.decrypt_payload, KEY[:16] + tag, ciphertext, iv)


@covers("O-033")
def test_order_of_the_identity_keys_turns_with_the_direction():
    ours, theirs = KEY, OTHER
    for initiator in (True, False):
        sent = legacy.associated_data(initiator, ours, theirs, True)
        assert sent == b"\5" + ours + b"\5" + theirs
        assert legacy.associated_data(initiator, ours, theirs, False) == b"\5" + theirs + b"\5" + ours


@covers("O-052")
def test_each_device_is_kept_in_its_best_dialect():
    engine = Replay(recorded.PEER_STARTS).engine
    engine.on_devices(ALICE, [3, 0x7FFFFFFF], LEGACY)
    engine.on_devices(ALICE, [3, 4], OMEMO2)
    assert engine.needs([ALICE]) == [
        ("bundle", ALICE, 3, OMEMO2),
        ("bundle", ALICE, 4, OMEMO2),
        ("bundle", ALICE, 0x7FFFFFFF, LEGACY),
    ]
    engine.on_devices(ALICE, [4], OMEMO2)
    assert ("bundle", ALICE, 3, LEGACY) in engine.needs([ALICE])
    engine.on_devices(ALICE, [], LEGACY)
    assert engine.devices(ALICE) == [4]


@covers("O-052")
def test_device_list_that_an_older_version_has_stored():
    engine = Replay(recorded.PEER_STARTS).engine
    engine.store.commit([(records.DEVICES, ALICE.encode(), b"\5\0\0\0\xff\xff\xff\x7f")])
    assert engine.devices(ALICE) == [5, 0x7FFFFFFF]
    assert engine.needs([ALICE]) == [("bundle", ALICE, 5, OMEMO2), ("bundle", ALICE, 0x7FFFFFFF, OMEMO2)]


@covers("O-086")
def test_an_empty_text_has_a_payload():
    assert peer_starts().engine.seal([ALICE], "").payload


def test_dialects_by_number():
    assert dialects.by_number(1).tag_length == 8 and dialects.by_number(2).tag_length == 16
    for number in (0, 3):
        raises(RemoteError, "format", dialects.by_number, number)

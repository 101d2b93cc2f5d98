"""Identity, prekeys and bundle: what is made, what never comes back, what the server is known to have."""

from motemo.crypto.curve import x25519_public
from motemo.crypto.ed25519 import ed25519_public, ed25519_verify
from motemo.crypto.xeddsa import xeddsa_verify
from motemo.errors import RemoteError, StateError
from motemo.omemo import bundle, identity, records
from motemo.omemo.keys import ANNOUNCED, BUNDLE_DIRTY, Keys
from motemo.profile import Profile, host_profile
from tests.bundles import make_bundle, note_published
from tests.covers import covers
from tests.memory_store import MemoryStore
from tests.raises import raises
from tests.unit.test_random import with_source

BOARD = "board@example.org"


def provisioned():
    store = MemoryStore()
    identity.create(store, BOARD)
    return store


@covers("O-009", "O-010", "O-011", "O-012", "O-050", "O-145")
def test_identity():
    for _ in range(4):
        store = provisioned()
        own = Keys(store)
        assert own.jid == BOARD and 1 <= own.device <= 0x7FFFFFFF
        assert own.identity_key == ed25519_public(store.get(records.IDENTITY, b"")[:32])
        assert own.identity_key[31] < 128, "one secret serves both dialects"
        assert x25519_public(own.scalar) == own.fingerprint
        y = int.from_bytes(own.identity_key, "little")
        u = int.from_bytes(own.fingerprint, "little")
        p = 2**255 - 19
        assert (u * (1 - y) - (1 + y)) % p == 0, "the map of RFC 7748"
        assert store.commits == 1, "there is no half of an identity"
        assert Keys(store.copy()).identity_key == own.identity_key


def test_identity_is_drawn_until_its_sign_bit_is_0():
    """SHA-256("motemo seed 0") has a public key with sign bit 1, that of "motemo seed 1" has 0."""
    negative = bytes.fromhex("d759e8d5fae2e5bc5a5c2ad8ff30b3f2f36d2cb8b2ba28d2b0ef8c3ec0e4e44c")
    while ed25519_public(negative)[31] < 128:
        negative = bytes([negative[0] + 1 & 255]) + negative[1:]
    drawn = []

    def source(count):
        if count == 32 and not drawn:
            drawn.append(negative)
            return negative
        return bytes([len(drawn)]) * count if count == 4 else _urandom(count)

    from motemo.crypto import random

    _urandom = random._source
    store = MemoryStore()
    with_source(source, identity.create, store, BOARD)
    assert drawn and store.get(records.IDENTITY, b"")[:32] != negative
    assert Keys(store).identity_key[31] < 128


def test_there_is_one_identity():
    store = provisioned()
    before = store.get(records.IDENTITY, b"")
    raises(StateError, "provisioned", identity.create, store, "other@example.org")
    assert store.get(records.IDENTITY, b"") == before
    raises(StateError, "not-provisioned", Keys, MemoryStore())


def test_no_randomness_no_identity():
    store = MemoryStore()
    raises(StateError, "random", with_source, None, identity.create, store, BOARD)
    assert store.commits == 0


@covers("O-050")
def test_device_id_is_never_0_and_never_above_31_bits():
    from motemo.crypto import random

    real = random._source
    draws = [bytes(4), b"\0\0\0\x80", b"\xff\xff\xff\xff"]

    def source(count):
        return draws.pop(0) if count == 4 else real(count)

    store = MemoryStore()
    with_source(source, identity.create, store, BOARD)
    assert Keys(store).device == 0x7FFFFFFF and not draws


@covers("O-116")
def test_device_id_is_drawn_again_until_it_was_announced():
    store = provisioned()
    own = Keys(store)
    old = own.device
    bundle.published(own, own.newest_signed_prekey, b"")
    assert not own.flags & BUNDLE_DIRTY
    identity.draw_device_again(own)
    assert own.device != old
    again = Keys(store.copy())
    assert again.flags & BUNDLE_DIRTY, "the bundle is under the former id"
    assert again.device == own.device and again.identity_key == own.identity_key and again.jid == BOARD
    bundle.announced(own)
    raises(StateError, "provisioned", identity.draw_device_again, own)
    assert Keys(store).device == own.device and Keys(store).flags & ANNOUNCED


@covers("O-004", "O-005", "O-062", "O-069", "O-013", "O-012")
def test_bundle_has_what_was_made_and_stored():
    store = provisioned()
    own = Keys(store)
    assert bundle.fill(own, 25, 10) == 15
    assert len(make_bundle(own).prekeys) == 10
    assert bundle.fill(own, 25, 0) == 15
    assert bundle.fill(own, 25) == 0 and bundle.fill(own, 25) == 0
    made = make_bundle(own)
    assert [number for number, _ in made.prekeys] == list(range(1, 26)), "ids begin at 1"
    assert made.identity_key == own.identity_key and made.signed_prekey_id == 1
    ed25519_verify(made.identity_key, made.signed_prekey, made.signature)
    xeddsa_verify(own.fingerprint, b"\5" + made.signed_prekey, made.legacy_signature)
    after_restart = Keys(store.copy())
    for number, public in made.prekeys:
        assert x25519_public(after_restart.private(records.PREKEY, number)) == public
    assert x25519_public(after_restart.private(records.SIGNED_PREKEY, 1)) == made.signed_prekey
    assert len({public for _, public in made.prekeys}) == 25
    raises(RemoteError, "no-prekey", own.private, records.PREKEY, 26)
    raises(RemoteError, "no-prekey", own.private, records.PREKEY, 0)


@covers("O-004", "O-005")
def test_profiles_offer_25_to_100_prekeys():
    assert 25 <= Profile().prekeys <= 100
    assert 25 <= host_profile().prekeys <= 100


@covers("O-011", "O-062")
def test_signature_that_an_older_version_has_not_stored_is_made_once():
    store = provisioned()
    signed_prekey = records.id_key(1)
    whole = store.get(records.SIGNED_PREKEY, signed_prekey)
    store.commit([(records.SIGNED_PREKEY, signed_prekey, whole[:128])])
    own = Keys(store)
    bundle.fill(own, 2)
    note_published(own)
    bundle.complete(own)
    after_restart = Keys(store.copy())
    assert after_restart.flags & BUNDLE_DIRTY, "it is due although the server had it"
    made = make_bundle(after_restart)
    assert store.get(records.SIGNED_PREKEY, signed_prekey)[:128] == whole[:128]
    xeddsa_verify(own.fingerprint, b"\5" + made.signed_prekey, made.legacy_signature)
    note_published(own)
    commits = store.commits
    bundle.complete(own)
    assert store.commits == commits and not own.flags & BUNDLE_DIRTY


@covers("O-069", "O-119")
def test_ids_grow_across_restarts_and_never_come_back():
    store = provisioned()
    seen = []
    for _ in range(3):
        own = Keys(store)
        bundle.fill(own, 4)
        numbers = [number for number, _ in make_bundle(own).prekeys]
        new = [number for number in numbers if number not in seen]
        assert not seen or min(new) > max(seen)
        seen += new
        store.commit([(records.PREKEY, records.id_key(number), None) for number in numbers[-3:]])
        store = store.copy()
    assert seen == list(range(1, 11))


@covers("O-092")
def test_bundle_is_due_until_the_server_has_the_newest():
    store = provisioned()
    own = Keys(store)
    bundle.fill(own, 2)
    assert own.flags & BUNDLE_DIRTY
    old = make_bundle(own)
    bundle.fill(own, 3)
    note_published(own, old)
    assert Keys(store.copy()).flags & BUNDLE_DIRTY, "there is a newer one"
    note_published(own)
    assert not own.flags & BUNDLE_DIRTY and not Keys(store.copy()).flags & BUNDLE_DIRTY
    commits = store.commits
    note_published(own)
    bundle.announced(own)
    bundle.announced(own)
    assert store.commits == commits + 1
    bundle.fill(own, 4)
    restarted = Keys(store.copy())
    assert restarted.flags & BUNDLE_DIRTY and restarted.flags & ANNOUNCED

"""Makes the identity: seldom needed, so apart from `motemo.omemo.keys`.

One Ed25519 seed is the identity (O-011, O-012). It is drawn again until the public key's sign bit is 0, so that the
Curve25519 form names the same key in both dialects.
"""

import struct

from motemo.crypto.curve import x25519_public
from motemo.crypto.ed25519 import ed25519_public, ed25519_sign, identity_scalar
from motemo.crypto.points import edwards_to_montgomery
from motemo.crypto.random import random_bytes
from motemo.errors import StateError
from motemo.omemo import keys, records


def create(store, jid):
    """Makes the identity and the first signed prekey of account `jid`, with a random device id (O-050).

    Raises StateError "provisioned" when there is an identity.
    """
    if store.get(records.IDENTITY, b"") is not None:
        raise StateError("provisioned")
    while True:
        seed = random_bytes(32)
        public = ed25519_public(seed)
        if public[31] < 128:
            break
    # The scalar and the Curve25519 form follow from the seed; they stand here so that SHA-512 is not needed again.
    secrets = seed + identity_scalar(seed)
    device = struct.pack("<I", _draw_device())
    store.commit(
        [
            (records.IDENTITY, b"", secrets + public + edwards_to_montgomery(public) + device + jid.encode()),
            keys.counters_record(1, 1, keys.BUNDLE_DIRTY),
            signed_prekey(seed, 1),
        ]
    )


def draw_device_again(own):
    """Takes another device id, since the account has a device of this one (O-116). own: the device's `Keys`.

    Raises StateError "provisioned" once the id was announced.
    """
    if own.flags & keys.ANNOUNCED:
        raise StateError("provisioned", "the device id is in use")
    own.device = _draw_device()
    own.flags |= keys.BUNDLE_DIRTY  # one that was published is under the former id
    record = own.store.get(records.IDENTITY, b"")
    identity = record[:128] + struct.pack("<I", own.device) + record[132:]
    own.store.commit([(records.IDENTITY, b"", identity), own.counters()])


def _draw_device():
    while True:
        number = struct.unpack("<I", random_bytes(4))[0] & 0x7FFFFFFF
        if number:
            return number


def signed_prekey(seed, number):
    """The change that adds a new signed prekey of that id, with its signatures for both dialects (O-011)."""
    private = random_bytes(32)
    public = x25519_public(private)
    # The legacy dialect signs the key with its type byte; our sign bit is 0, so the form is that of Ed25519.
    signatures = ed25519_sign(seed, public) + ed25519_sign(seed, b"\5" + public)
    return records.SIGNED_PREKEY, records.id_key(number), private + public + signatures

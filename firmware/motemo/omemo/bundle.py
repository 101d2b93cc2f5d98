"""The bundle: enough prekeys, their public parts for the server, and what the server is known to have.

Seldom needed, so apart from `motemo.omemo.keys`. Functions take the device's `Keys`.
"""

import struct

from motemo import overlay
from motemo.omemo import elements, records
from motemo.omemo.keys import ANNOUNCED, BUNDLE_DIRTY


def fill(keys, wanted, most=1000) -> int:
    """Makes up to `most` prekeys until there are `wanted`; returns how many are missing (O-004, O-005)."""
    missing = wanted - len(keys.store.keys(records.PREKEY))
    while missing > 0 and most > 0:
        keys.store.commit(keys.replacement())
        missing -= 1
        most -= 1
    return max(missing, 0)


def complete(keys):
    """Makes the signature for the legacy dialect that the store of an older version lacks; the bundle is due then."""
    key = records.id_key(keys.newest_signed_prekey)
    record = keys.store.get(records.SIGNED_PREKEY, key)
    if len(record) == 128:
        record += sign(keys.store, b"\5" + record[32:64])
        keys.flags |= BUNDLE_DIRTY
        keys.store.commit([(records.SIGNED_PREKEY, key, record), keys.counters()])


def sign(store, data):
    """The signature of the identity key in the store over the data (O-011)."""
    seed = store.get(records.IDENTITY, b"")[:32]
    return overlay.call("motemo.crypto.ed25519", "ed25519_sign", seed, data)


def pack(keys):
    """What is to be published (O-062): a `Bundle` without prekeys, and these as bytes, in the order of their ids.

    For each prekey 4 bytes of id, big-endian, and 32 bytes of public key: a board has hardly room for a list of them.
    """
    signed = keys.store.get(records.SIGNED_PREKEY, records.id_key(keys.newest_signed_prekey))
    own = elements.Bundle(keys.identity_key, keys.newest_signed_prekey, signed[32:64], signed[64:128], [])
    own.legacy_signature = signed[128:]
    prekeys = bytearray()
    for key in sorted(keys.store.keys(records.PREKEY)):
        prekeys.extend(key)
        prekeys.extend(keys.store.get(records.PREKEY, key)[32:])
    return own, bytes(prekeys)


def unpack(prekeys):
    """The list [(id, key), …] of packed prekeys."""
    return [(struct.unpack_from(">I", prekeys, at)[0], prekeys[at + 4 : at + 36]) for at in range(0, len(prekeys), 36)]


def published(keys, signed_prekey_id, prekeys):
    """Notes that the server has the bundle with these packed prekeys; a newer one stays due."""
    offered = [prekeys[at : at + 4] for at in range(0, len(prekeys), 36)]
    if signed_prekey_id == keys.newest_signed_prekey and offered == sorted(keys.store.keys(records.PREKEY)):
        _set(keys, keys.flags & ~BUNDLE_DIRTY)


def announced(keys):
    """Notes that the device id is about to be on the account's list."""
    _set(keys, keys.flags | ANNOUNCED)


def _set(keys, flags):
    if flags != keys.flags:
        keys.flags = flags
        keys.store.commit([keys.counters()])

"""The bundle: enough prekeys, their public parts for the server, and what the server is known to have.

Seldom needed, so apart from `motemo.omemo.keys`. Functions take the device's `Keys`.
"""

import struct

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


def make(keys):
    """The `Bundle` to publish (O-062), prekeys in the order of their ids."""
    signed = keys.store.get(records.SIGNED_PREKEY, records.id_key(keys.newest_signed_prekey))
    prekeys = []
    for key in sorted(keys.store.keys(records.PREKEY)):
        prekeys.append((struct.unpack(">I", key)[0], keys.store.get(records.PREKEY, key)[32:]))
    return elements.Bundle(keys.identity_key, keys.newest_signed_prekey, signed[32:64], signed[64:], prekeys)


def published(keys, bundle):
    """Notes that the server has that bundle; a newer one stays due."""
    offered = [records.id_key(number) for number, _ in bundle.prekeys]
    if bundle.signed_prekey_id == keys.newest_signed_prekey and offered == sorted(keys.store.keys(records.PREKEY)):
        _set(keys, keys.flags & ~BUNDLE_DIRTY)


def announced(keys):
    """Notes that the device id is on the account's list."""
    _set(keys, keys.flags | ANNOUNCED)


def _set(keys, flags):
    if flags != keys.flags:
        keys.flags = flags
        keys.store.commit([keys.counters()])

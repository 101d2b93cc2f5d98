"""The keys of this device, as far as receiving and sending need them all the time.

Ids start at 1, grow across reboots and never come back (O-069). A private part is on flash before anybody sees the
public part. Making them is `motemo.omemo.identity`, publishing them `motemo.omemo.bundle`.
"""

import struct

from motemo.crypto.curve import x25519_public
from motemo.crypto.random import random_bytes
from motemo.errors import RemoteError, StateError
from motemo.omemo import records

BUNDLE_DIRTY = 1  # the published bundle is not this one
ANNOUNCED = 2  # the device id is, was or may be on the account's list

_COUNTERS = "<III"


class Keys:
    """The device's keys in `store`. Raises StateError "not-provisioned" when there is no identity.

    jid: own bare JID. device: own device id. identity_key: Ed25519 form. fingerprint: Curve25519 form. scalar: the
    identity's private key for X25519. next_prekey, newest_signed_prekey: ids. flags: those of this module.
    """

    def __init__(self, store):
        self.store = store
        record = store.get(records.IDENTITY, b"")
        if record is None:
            raise StateError("not-provisioned")
        self.scalar = record[32:64]
        self.identity_key = record[64:96]
        self.fingerprint = record[96:128]
        self.device = struct.unpack_from("<I", record, 128)[0]
        self.jid = record[132:].decode()
        counters = struct.unpack(_COUNTERS, store.get(records.COUNTERS, b""))
        self.next_prekey, self.newest_signed_prekey, self.flags = counters

    def replacement(self):
        """The changes that add a new prekey (O-092); the caller commits them, alone or with others."""
        private = random_bytes(32)
        number = self.next_prekey
        self.next_prekey += 1
        self.flags |= BUNDLE_DIRTY
        return [(records.PREKEY, records.id_key(number), private + x25519_public(private)), self.counters()]

    def counters(self):
        """The change that stores ids and flags."""
        return counters_record(self.next_prekey, self.newest_signed_prekey, self.flags)

    def private(self, kind, number) -> bytes:
        """The private key of a record of kind PREKEY or SIGNED_PREKEY; raises RemoteError "no-prekey"."""
        record = self.store.get(kind, records.id_key(number))
        if record is None and kind == records.PREKEY:
            record = self.store.get(records.USED_PREKEY, records.id_key(number))
        if record is None:
            raise RemoteError("no-prekey", "it was used or never made")
        return record[:32]


def counters_record(next_prekey, signed_prekey, flags):
    """The change that stores the counters."""
    return records.COUNTERS, b"", struct.pack(_COUNTERS, next_prekey, signed_prekey, flags)

"""The kinds of record that the engine keeps in the store; keys are as the comments say."""

import struct

IDENTITY = 1  # b"": seed, device id, own bare JID
COUNTERS = 2  # b"": the next prekey id, the newest signed prekey id, flags
SIGNED_PREKEY = 3  # id, 4 bytes: private, public, signature
PREKEY = 4  # id, 4 bytes: private, public
SESSION = 5  # device_key: ratchet.Session
SKIPPED = 6  # device_key: ratchet.Skipped
DEVICES = 7  # bare JID: device ids, 4 bytes each
PIN = 8  # bare JID: fingerprints, 32 bytes each
PIN_ORIGIN = 10  # bare JID: how each of them was pinned, one byte each (motemo.pinning)

ALL = (IDENTITY, COUNTERS, SIGNED_PREKEY, PREKEY, SESSION, SKIPPED, DEVICES, PIN, PIN_ORIGIN)


def id_key(number) -> bytes:
    """The key of a record that has an id."""
    return struct.pack(">I", number)


def device_key(jid, device) -> bytes:
    """The key of a record about one device of an account."""
    return struct.pack(">I", device) + jid.encode()


def split_device_key(key):
    """(bare JID, device id) of a `device_key`."""
    return key[4:].decode(), struct.unpack_from(">I", key, 0)[0]

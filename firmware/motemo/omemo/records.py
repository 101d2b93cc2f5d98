"""The kinds of record that the engine keeps in the store; keys are as the comments say."""

import struct

IDENTITY = 1  # b"": seed, device id, own bare JID
COUNTERS = 2  # b"": the next prekey id, the newest signed prekey id, flags
SIGNED_PREKEY = 3  # id, 4 bytes: private, public, signature, legacy signature
PREKEY = 4  # id, 4 bytes: private, public
SESSION = 5  # device_key: ratchet.Session
SKIPPED = 6  # device_key: ratchet.Skipped
DEVICES = 7  # bare JID: the ids of its devices, each in its best dialect (bit 31: LEGACY), little-endian
PIN = 8  # bare JID: fingerprints, 32 bytes each
LEGACY_DEVICES = 9  # as DEVICES, all that are on the legacy list
PIN_ORIGIN = 10  # bare JID: how each of them was pinned, one byte each (motemo.pinning)
FORMER = 14  # device_key: the session that SESSION has replaced, and its skipped keys (motemo.omemo.former)
USED_PREKEY = 20  # id, 4 bytes: private, public, the ephemeral keys of the key exchanges that used it (O-124)
OPT_OUT = 21  # bare JID: nothing; the account asked for plain text

ALL = (
    IDENTITY,
    COUNTERS,
    SIGNED_PREKEY,
    PREKEY,
    SESSION,
    SKIPPED,
    DEVICES,
    PIN,
    LEGACY_DEVICES,
    PIN_ORIGIN,
    FORMER,
    USED_PREKEY,
    OPT_OUT,
)


def id_key(number) -> bytes:
    """The key of a record that has an id."""
    return struct.pack(">I", number)


def device_key(jid, device, dialect=2) -> bytes:
    """The key of a record about one device of an account in one dialect; the highest bit marks LEGACY."""
    return struct.pack(">I", device | (dialect & 1) << 31) + jid.encode()


def split_device_key(key):
    """(bare JID, device id, dialect) of a `device_key`."""
    number = struct.unpack_from(">I", key, 0)[0]
    return key[4:].decode(), number & 0x7FFFFFFF, 2 - (number >> 31)

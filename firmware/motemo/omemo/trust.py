"""Pinned trust: owners are bare JIDs with the fingerprints of their devices (design section 5, O-140).

A fingerprint is an identity key in Curve25519 form (O-145), 32 bytes; in text 64 lower-case hex digits.
"""

from motemo.errors import LocalError
from motemo.omemo import records


def pins(store, jid):
    """The pinned fingerprints of an account."""
    record = store.get(records.PIN, jid.encode()) or b""
    return [record[at : at + 32] for at in range(0, len(record), 32)]


def owners(store):
    """The accounts that have pins."""
    return sorted(key.decode() for key in store.keys(records.PIN))


def pin(store, jid, fingerprints, origins=b""):
    """Replaces the pins of an account; an empty list removes the account.

    origins: how each was pinned, one byte each, as motemo.pinning reads them; none where that is nobody's concern.
    """
    for fingerprint in fingerprints:
        if len(fingerprint) != 32:
            raise LocalError("length", "fingerprint")
    key = jid.encode()
    changes = [(records.PIN, key, b"".join(fingerprints) or None)]
    if origins or store.get(records.PIN_ORIGIN, key):
        changes.append((records.PIN_ORIGIN, key, origins or None))
    store.commit(changes)


def has_opted_out(store, jid) -> bool:
    """Whether the account asked for plain text: it gets nothing until it is back (O-103)."""
    return store.get(records.OPT_OUT, jid.encode()) is not None


def note_opt_out(store, jid, out):
    """Notes that the account has opted out, or that it is back (O-105); returns whether that is news."""
    if out == has_opted_out(store, jid):
        return False
    store.commit([(records.OPT_OUT, jid.encode(), b"" if out else None)])
    return True


def is_pinned(store, jid, fingerprint) -> bool:
    """Whether that identity key, in Curve25519 form, is one of the account's pins."""
    return fingerprint in pins(store, jid)

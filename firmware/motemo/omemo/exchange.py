"""Where sessions begin and end: key exchanges (XEP-0384 section "Key Exchange"), admission, replacement.

Seldom needed and large, so apart from `motemo.omemo.engine` and `motemo.omemo.ratchet`.
"""

from motemo.crypto.curve import x25519_public
from motemo.crypto.ed25519 import ed25519_verify, edwards_to_montgomery
from motemo.crypto.random import random_bytes
from motemo.errors import MotemoError, RemoteError, StateError
from motemo.omemo import dialects, ratchet, records, trust, x3dh
from motemo.omemo.records import device_key, split_device_key


def initiate(dialect, keys, bundle):
    """A session that we start, with one of the bundle's prekeys at random (O-006, O-070).

    Raises RemoteError "no-prekey", "bad-signature", "bad-point" or "weak-key".
    """
    if not bundle.prekeys:
        raise RemoteError("no-prekey", "the bundle has none")
    ed25519_verify(bundle.identity_key, bundle.signed_prekey, bundle.signature)
    prekey_id, prekey = bundle.prekeys[int.from_bytes(random_bytes(2), "big") % len(bundle.prekeys)]
    ephemeral = random_bytes(32)
    theirs = edwards_to_montgomery(bundle.identity_key)
    session = ratchet.Session(dialect, bundle.identity_key, theirs, x25519_public(ephemeral))
    session.prekey_id = prekey_id
    session.signed_prekey_id = bundle.signed_prekey_id
    secret = x3dh.initiate(dialect, keys.scalar, ephemeral, theirs, bundle.signed_prekey, prekey)
    session.start_sending(secret, bundle.signed_prekey)
    return session


def respond(dialect, keys, prekey_id, signed_prekey_id, identity_key, ephemeral):
    """A session from the fields of a key exchange, ready to decrypt its message.

    Raises RemoteError "no-prekey", "bad-point" or "weak-key".
    """
    signed_prekey = keys.private(records.SIGNED_PREKEY, signed_prekey_id)
    prekey = keys.private(records.PREKEY, prekey_id)
    theirs = edwards_to_montgomery(identity_key)
    session = ratchet.Session(dialect, identity_key, theirs, ephemeral)
    session.rk = x3dh.respond(dialect, keys.scalar, signed_prekey, prekey, theirs, ephemeral)
    session.dhs = signed_prekey
    session.flags = ratchet.CONFIRMED
    return session


def on_bundle(engine, jid, device, bundle):
    """Starts a session from a fetched bundle; see `Engine.on_bundle`."""
    key = device_key(jid, device)
    answer = key in engine.rebuild
    if answer:
        engine.rebuild.remove(key)
    try:
        session = initiate(dialects.OMEMO2, engine.keys, bundle)
        pinned = trust.is_pinned(engine.store, jid, session.fingerprint)
        if not pinned and not answer:
            raise RemoteError("untrusted")
        changes = admit(engine, key, session, pinned)
    except MotemoError as error:
        engine.unusable[key] = error.reason
        raise
    if answer:
        session.flags |= ratchet.PING
    changes.append((records.SKIPPED, key, None))
    engine.keep(key, session, changes)


def admit(engine, key, session, pinned):
    """The changes that make room for a new session, which is numbered by age.

    An identity that is not pinned takes the place of no pinned one: RemoteError "untrusted". When the table is full the
    oldest session that is not pinned goes; without one, StateError "full".
    """
    if not pinned and engine.is_trusted(key):
        raise RemoteError("untrusted", "another identity for a pinned device")
    others = engine.store.keys(records.SESSION)
    oldest = None
    for other in others:
        age = ratchet.restore(engine.store.get(records.SESSION, other)).age
        session.age = max(session.age, age + 1)
        if not engine.is_trusted(other) and (oldest is None or age < oldest[0]):
            oldest = age, other
    if key in others or len(others) < engine.profile.sessions:
        return []
    if oldest is None:
        raise StateError("full", "sessions")
    engine.forget(oldest[1])
    return [(records.SESSION, oldest[1], None), (records.SKIPPED, oldest[1], None)]


def replace_sessions(engine, jid=None):
    """Drops the sessions with one account's devices, or all, and asks for new ones (O-126).

    Returns how many there were. `needs` then names the bundles, and a ping tells each device.
    """
    dropped = []
    for key in engine.store.keys(records.SESSION):
        if jid in (None, split_device_key(key)[0]):
            if engine.is_trusted(key) and key not in engine.rebuild:
                engine.rebuild.append(key)
            engine.forget(key)
            dropped.append((records.SESSION, key, None))
            dropped.append((records.SKIPPED, key, None))
    engine.store.commit(dropped)
    return len(dropped) // 2

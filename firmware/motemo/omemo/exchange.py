"""Key exchanges: a session from a bundle, or from a key exchange that came (XEP-0384 section "Key Exchange").

Seldom needed and large, so apart from `motemo.omemo.engine` and `motemo.omemo.ratchet`.
"""

from motemo import overlay
from motemo.crypto.curve import x25519_public
from motemo.crypto.points import edwards_to_montgomery
from motemo.crypto.random import random_bytes
from motemo.errors import RemoteError, StateError
from motemo.omemo import dialects, ratchet, records, trust, x3dh
from motemo.omemo.elements import LEGACY
from motemo.omemo.records import split_device_key

_FREE = 8
_SURE_SKIP = 200  # messages in a row that every receiver can have missed


def initiate(dialect, keys, bundle):
    """A session that we start, with one of the prekeys of a checked bundle at random (O-006, O-070).

    Raises RemoteError "no-prekey", "bad-point" or "weak-key".
    """
    if not bundle.prekeys:
        raise RemoteError("no-prekey", "the bundle has none")
    prekey_id, prekey = bundle.prekeys[int.from_bytes(random_bytes(2), "big") % len(bundle.prekeys)]
    ephemeral = random_bytes(32)
    theirs = fingerprint(bundle.identity_key, bundle.dialect)
    session = ratchet.Session(dialect, bundle.identity_key, theirs, x25519_public(ephemeral))
    session.prekey_id = prekey_id
    session.signed_prekey_id = bundle.signed_prekey_id
    secret = x3dh.initiate(dialect, keys.scalar, ephemeral, theirs, bundle.signed_prekey, prekey)
    session.start_sending(secret, bundle.signed_prekey)
    return session


def respond(engine, key, exchange):
    """A session from the fields of a key exchange (see `decode_exchange`) of that device, ready to decrypt.

    Anybody can send key exchanges, and each is much work. So the first `_FREE` are tried that come to nothing, then one
    of so many: per pinned identity, and for all others together. What comes of a pinned identity lets more in. The rule
    counts events, not time, and lets the owner's in at last, whatever came before.
    Raises RemoteError "rate-limit", "no-prekey", "bad-point" or "weak-key".
    """
    prekey_id, signed_prekey_id, identity_key, ephemeral, _ = exchange
    jid, _, number = split_device_key(key)
    theirs = fingerprint(identity_key, number)
    pinned = trust.is_pinned(engine.store, jid, theirs)
    tries = engine.tries
    who = (jid, theirs) if pinned else None
    tries[who] = count = tries.get(who, 0) + 1
    if count > _FREE and count % _FREE:
        raise RemoteError("rate-limit")
    dialect = dialects.by_number(number)
    keys = engine.keys
    signed_prekey = keys.private(records.SIGNED_PREKEY, signed_prekey_id)
    prekey = keys.private(records.PREKEY, prekey_id)
    session = ratchet.Session(dialect, identity_key, theirs, ephemeral)
    session.rk = x3dh.respond(dialect, keys.scalar, signed_prekey, prekey, theirs, ephemeral)
    session.dhs = signed_prekey
    session.flags = ratchet.CONFIRMED
    return session


def fingerprint(identity_key, dialect):
    """The Curve25519 form of an identity key as it travels in that dialect (a number). RemoteError "bad-point"."""
    return identity_key if dialect == LEGACY else edwards_to_montgomery(identity_key)


def on_bundle(engine, key, bundle, answer):
    """Starts a session from a checked bundle; see `Engine.on_bundle`. answer: an empty message is due to the device."""
    session = initiate(dialects.by_number(bundle.dialect), engine.keys, bundle)
    pinned = trust.is_pinned(engine.store, split_device_key(key)[0], session.fingerprint)
    if not pinned and not answer:
        raise RemoteError("untrusted")
    current = engine.session(key)
    if current and not current.is_answered() and current.is_like(session) and current.ns < _SURE_SKIP:
        engine.offer(key)  # with the same prekey there is no hope for a second one where the first has arrived
        return
    if current and pinned:  # a new session is no answer: a stale device stays one
        session.unanswered = current.unanswered
        session.flags |= current.flags & ratchet.STALE
        if current.is_set(ratchet.STALE):
            engine.notices.append((key, "renewed"))
    try:
        changes = overlay.call("motemo.omemo.admission", "admit", engine, key, session, pinned)
    except StateError as error:
        engine.unusable[key] = error.reason  # else its bundle would be fetched for every message
        engine.count(error.reason)
        raise
    changes += overlay.call("motemo.omemo.former", "keep", engine, key, session)
    if answer:
        session.flags |= ratchet.PING
    engine.keep(key, session, changes)

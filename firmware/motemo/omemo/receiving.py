"""Receiving: from an `Encrypted` to the plaintext of its ratchet message (XEP-0384 section "Double Ratchet").

A message is tried in scratch space; state changes only once its tag is right, and is stored before this returns.
Loaded when a message comes, apart from `motemo.omemo.engine`.
"""

from motemo import overlay
from motemo.crypto.cipher import cbc_decrypt
from motemo.crypto.kdf import equal, hmac_sha256
from motemo.errors import RemoteError
from motemo.omemo import dialects, ratchet, records, trust
from motemo.omemo.elements import LEGACY
from motemo.omemo.forms import key_for
from motemo.omemo.records import device_key, split_device_key
from motemo.omemo.skipped import Skipped

_HEARTBEAT_COUNTER = 53
_FORMER = "motemo.omemo.former"


def receive(engine, sender, encrypted):
    """(session, plaintext, pinned) of the key for this device; see `Engine.open` for the errors."""
    own = key_for(encrypted, engine.keys.jid, engine.keys.device)
    if own is None:
        raise RemoteError("not-for-us")
    kex, data = own
    if sender == engine.keys.jid and encrypted.sid == engine.keys.device:
        raise RemoteError("duplicate", "our own message")
    key = device_key(sender, encrypted.sid, encrypted.dialect)
    session = engine.session(key)
    exchange = None
    if kex:
        exchange = dialects.by_number(encrypted.dialect).decode_exchange(data)
        data = exchange[4]
    elif session is None:
        want_answer(engine, sender, key)
        raise RemoteError("no-session")
    identity_key = engine.keys.fingerprint if encrypted.dialect == LEGACY else engine.keys.identity_key
    found = None
    new = exchange and not (session and session.is_of(exchange))
    if new:
        found = _in_former(engine, key, exchange, data, identity_key)
    if not found:
        try:
            found = _in_current(engine, key, exchange if new else None, data, identity_key)
        except RemoteError as error:
            if not exchange:
                found = _in_former(engine, key, None, data, identity_key)
            if not found:
                _on_unreadable(engine, key, session, exchange if new else None, error.reason)
                raise
    session, plaintext, current, changes = found
    engine.keep(key, current, changes)
    if new and key in engine.rebuild:
        engine.rebuild.remove(key)  # the device has made a new session itself
    pinned = trust.is_pinned(engine.store, sender, session.fingerprint)
    tries = engine.tries  # see `motemo.omemo.exchange.respond`
    tries.pop(key, None)
    if pinned:
        tries.pop((sender, session.fingerprint), None)
        if tries.get(None):
            tries[None] -= 1
    return session, plaintext, pinned


def _in_current(engine, key, exchange, data, identity_key):
    """(session, plaintext, current session, changes): in the current session, or in a new one of a key exchange."""
    profile = engine.profile
    changes = []
    if exchange:
        session = overlay.call("motemo.omemo.exchange", "respond", engine, key, exchange)
        record = None
    else:
        session = engine.session(key)
        record = engine.store.get(records.SKIPPED, key)
    skipped = Skipped(record, profile.skipped)
    dh = session.dhr
    plaintext = decrypt(session, data, identity_key, skipped, profile.max_skip)
    if exchange:
        pinned = trust.is_pinned(engine.store, split_device_key(key)[0], session.fingerprint)
        changes += overlay.call("motemo.omemo.admission", "admit", engine, key, session, pinned)
        changes += overlay.call(_FORMER, "keep", engine, key, session)
        changes += overlay.call("motemo.omemo.upkeep", "use_prekey", engine, exchange[0], exchange[3])
        session.flags |= ratchet.PING
    elif dh != session.dhr and session.is_old() and engine.store.get(records.FORMER, key):
        changes.append((records.FORMER, key, None))
    if skipped.changed:
        changes.append((records.SKIPPED, key, skipped.record() or None))
    return session, plaintext, session, changes


def _on_unreadable(engine, key, session, exchange, reason):
    """Helps a device to a session with us; exchange: of a new one. Nothing of this is due to a tag in a session that
    stands (O-147), and it happens once until the device is heard again.
    """
    tries = engine.tries
    jid = split_device_key(key)[0]
    if exchange and reason in ("no-prekey", "skip-limit"):
        # The device is in a session that we cannot have.
        if session is None or session.their_identity == exchange[2] and tries.get((jid, session.fingerprint)) == 1:
            want_answer(engine, jid, key)
    elif session and key not in tries:
        # Our key exchange is offered again; or our ratchet key, as the device may not have it: in the chain that goes
        # with the one before we are left behind.
        if not session.is_answered() or reason == "skip-limit":
            tries[key] = 1
            engine.offer(key)


def _in_former(engine, key, exchange, data, identity_key):
    """The same for the former session; None when the message is none of its."""
    if engine.store.get(records.FORMER, key) is None:
        return None
    return overlay.call(_FORMER, "receive", engine, key, exchange, data, identity_key)


def decrypt(session, data, identity_key, skipped, max_skip):
    """The plaintext of a framed ratchet message; changes `session` and `skipped` only when its tag is right.

    Raises RemoteError "format", "weak-key", "bad-tag", "duplicate" (O-122), "key-gone" or "skip-limit" (O-022).
    """
    message, tag = session.dialect.unseal(data)
    n, pn, dh, ciphertext = session.dialect.decode_header(message)
    key = skipped.find(dh, n)
    if key is not None:
        plaintext = _open(session, key, message, tag, ciphertext, identity_key)
        skipped.remove(dh, n)
        _received(session, n, dh == session.dhr)
        return plaintext

    rk, chain, start = session.rk, session.ckr, session.nr
    receiving = session.flags & ratchet.RECEIVING
    new_step = not receiving or dh != session.dhr
    former_end = start
    former_count = 0
    if new_step:
        if session.is_past(dh):
            raise _seen(session)
        start = 0
        if receiving and pn > session.nr:
            former_count = pn - session.nr
            # What is too much of the chain before is given up: nothing else depends on it.
            former_end = min(pn, session.nr + max(max_skip - n, 0))
    elif n < start:
        raise _seen(session)
    if n - start > max_skip:
        raise RemoteError("skip-limit")
    if new_step:
        rk, chain = ratchet.root_step(session.dialect, rk, session.dhs, dh)
    chain, keys = _skip(chain, start, n, skipped.limit)
    plaintext = _open(session, hmac_sha256(chain, b"\x01"), message, tag, ciphertext, identity_key)

    # The tag is right: from here on the state changes.
    former = _skip(session.ckr, session.nr, former_end, skipped.limit)[1]
    whole = skipped.add(session.dhr, former_end, former, former_count)
    whole = skipped.add(dh, n, keys, n - start) and whole
    session.ckr = hmac_sha256(chain, b"\x02")
    session.nr = n + 1
    if new_step:
        session.turn(rk, dh)
        skipped.retire(session.is_current)
    if not whole:
        session.flags |= ratchet.DROPPED
    _received(session, n, True)
    return plaintext


def _open(session, message_key, message, tag, ciphertext, identity_key):
    cipher_key, mac_key, iv = dialects.message_keys(session.dialect, message_key)
    if not equal(session.tag(mac_key, message, identity_key, False), tag):
        raise RemoteError("bad-tag")
    return cbc_decrypt(cipher_key, iv, ciphertext)


def _received(session, n, current):
    """Notes a good message; current: whether it is of the present receiving chain."""
    flags = session.flags & ~(ratchet.ASIDE | ratchet.STALE | ratchet.LEFT_OUT) | ratchet.CONFIRMED
    if n >= _HEARTBEAT_COUNTER and current and not flags & ratchet.HEARTBEAT:
        flags |= ratchet.HEARTBEAT | ratchet.PING
    elif n >= _HEARTBEAT_COUNTER and not current:
        flags |= ratchet.PING  # the first one of its ratchet key, as far as anybody remembers
    session.flags = flags
    session.unanswered = 0
    session.received += 1


def _seen(session):
    return RemoteError("key-gone" if session.flags & ratchet.DROPPED else "duplicate")


def _skip(chain, start, end, keep):
    """(chain key at `end`, the last `keep` message keys from `start` on), O-029."""
    keys = bytearray()
    for n in range(start, end):
        if end - n <= keep:
            keys.extend(hmac_sha256(chain, b"\x01"))
        chain = hmac_sha256(chain, b"\x02")
    return chain, keys


def want_answer(engine, jid, key):
    """Asks for a session with a device that has lost its own, if its account has pins (O-121)."""
    if key in engine.rebuild or key in engine.unusable or len(engine.rebuild) >= engine.profile.devices:
        return
    if trust.pins(engine.store, jid):
        engine.rebuild.append(key)

"""The former session with a device, kept beside the one that replaced it, so that no message is lost meanwhile.

Key exchanges can cross, and messages of a replaced session can be under way. So a device has up to two sessions: the
current one, in which we send, and the former one, which can still receive. Rules:
- A new session makes the current one the former, if the identity is the same and the peer may have it (O-093).
- A message that the current session cannot read is tried in the former one, by its tag, as any other.
- Both sides have to come to send in the same session, whatever the peer does: python-omemo has one session only and
  reads no other, libsignal sends in the one that has received last. So we send in the former one again when the peer
  answers our key exchange in it; when it has the greater ephemeral key, which both sides see alike; or when two
  messages in a row came in it. A message whose key was skipped is an old one and does not count.
- It goes when the ratchet of the current session turns and has turned eight times before, as skipped keys do (O-025).

It takes flash, no heap. Record: the session, then its skipped keys.
"""

from motemo.errors import RemoteError
from motemo.omemo import ratchet, receiving, records
from motemo.omemo.skipped import Skipped


def keep(engine, key, session):
    """The changes that make the current session the former one, as `session` takes its place."""
    current = engine.session(key)
    if current is None:
        return []
    changes = [(records.SKIPPED, key, None)]
    record = engine.store.get(records.FORMER, key)
    former = record and ratchet.restore(record[: ratchet.SIZE])
    if current.their_identity != session.their_identity:
        changes.append((records.FORMER, key, None))
    elif former and not former.is_answered() and _may_be_answered(former, current, session):
        pass  # it stays
    elif current.is_answered() or current.ns:  # else the peer has never seen it
        changes.append(_set_aside(engine, key, current))
    return changes


def _may_be_answered(former, current, session):
    """Whether an answer to an offer of ours is more likely to come than anything in the current session."""
    if former.is_like(session):
        return True  # a prekey is good for one of the two
    # What the peer has had and replaced is at an end, as messages mostly come in their order.
    return not session.is_set(ratchet.INITIATOR) and current.is_answered()


def receive(engine, key, exchange, data, identity_key):
    """(session, plaintext, current session, changes) of a message in the former session; None if it is none of its.

    exchange: the fields of the key exchange that it came in, or None. Raises RemoteError for a message of its that is
    wrong or came before.
    """
    record = engine.store.get(records.FORMER, key)
    session = ratchet.restore(record[: ratchet.SIZE])
    if exchange and not session.is_of(exchange):
        return None
    skipped = Skipped(record[ratchet.SIZE :], engine.profile.skipped)
    was_answered = session.is_answered()
    place = session.dhr, session.nr
    try:
        plaintext = receiving.decrypt(session, data, identity_key, skipped, engine.profile.max_skip)
    except RemoteError as error:
        if exchange or error.reason in ("duplicate", "key-gone"):
            raise
        return None
    current = engine.session(key)
    late = place == (session.dhr, session.nr)
    if not late and _returns(current, session, was_answered):
        changes = [_set_aside(engine, key, current), (records.SKIPPED, key, skipped.record() or None)]
        return session, plaintext, session, changes
    current.flags &= ~(ratchet.STALE | ratchet.LEFT_OUT)
    current.unanswered = 0
    if not late and current.ns | current.received:
        current.flags |= ratchet.ASIDE
        if not current.is_answered():
            current.flags |= ratchet.PING  # offer it again
    return session, plaintext, current, [(records.FORMER, key, session.exact_state() + skipped.record())]


def _set_aside(engine, key, current):
    skipped = engine.store.get(records.SKIPPED, key)
    return records.FORMER, key, current.exact_state() + (skipped or b"")


def _returns(current, former, was_answered):
    """Whether we send in the former session from now on, as a new message came in it."""
    if current.is_set(ratchet.ASIDE) or not was_answered:
        return True
    return current.is_answered() and former.ephemeral > current.ephemeral

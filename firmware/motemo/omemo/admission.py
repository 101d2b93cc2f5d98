"""Which sessions are kept: admission of new ones, replacement of all. Seldom needed, so apart from the engine."""

from motemo.errors import RemoteError, StateError
from motemo.omemo import ratchet, records
from motemo.omemo.records import split_device_key


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
    return _removal(oldest[1])


def replace_sessions(engine, jid=None, device=None):
    """Asks for a new session with one device, with all of an account, or with all (O-126); returns how many there are.

    `needs` names the bundles; when they are there a ping tells each device. Until then, and as the former one after
    that, the session stays for what is under way. One with a device that is not pinned goes at once.
    """
    dropped = []
    count = 0
    for key in engine.store.keys(records.SESSION):
        owner, number, _ = split_device_key(key)
        if jid in (None, owner) and device in (None, number):
            count += 1
            if not engine.is_trusted(key):
                engine.forget(key)
                dropped.extend(_removal(key))
            elif key not in engine.rebuild:
                engine.rebuild.append(key)
    engine.store.commit(dropped)
    return count


def _removal(key):
    return [(kind, key, None) for kind in (records.SESSION, records.SKIPPED, records.FORMER)]

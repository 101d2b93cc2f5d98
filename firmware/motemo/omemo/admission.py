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
            dropped.extend(_removal(key))
    engine.store.commit(dropped)
    return len(dropped) // 3


def _removal(key):
    return [(kind, key, None) for kind in (records.SESSION, records.SKIPPED, records.FORMER)]

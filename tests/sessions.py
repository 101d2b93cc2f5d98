"""Sessions that a device has lost; runs on every interpreter."""

from motemo.omemo import records


def lose_sessions(engine):
    """What a backup without sessions leaves: none with anybody. Returns how many there were."""
    keys = engine.store.keys(records.SESSION)
    for key in keys:
        engine.forget(key)
        engine.store.commit([(kind, key, None) for kind in (records.SESSION, records.SKIPPED, records.FORMER)])
    return len(keys)

"""When the signed prekey is to be replaced (O-002): its age, over reboots and without a clock. Seldom needed.

The age is what the device counts while it runs, or, where the Unix time is known at both ends of an interval, the
longer one of the two: a device without a clock of its own counts no time in which it is off, until somebody tells it
the time. It is stored every six hours.
"""

from motemo import overlay, settings

_STORE_SECONDS = 6 * 3600
_DAY = 86400


def look(keys, days, elapsed, now) -> bool:
    """Replaces the signed prekey when it is older than `days`. keys: the device's `Keys`.

    elapsed: seconds since the last look that returned True, or since the start. now: Unix seconds, 0 when they are not
    known. Returns whether the age was stored: the caller counts from here on. Raises StateError of the store.
    """
    age, known = [int(part) for part in settings.read(keys.store, "signed_prekey").split()]
    if now and known:
        elapsed = max(elapsed, now - known)
    age += elapsed
    if age >= days * _DAY:
        overlay.call("motemo.omemo.upkeep", "rotate", keys, [_change(0, now)])
    elif elapsed >= _STORE_SECONDS or (now and not known):
        keys.store.commit([_change(age, now)])
    else:
        return False
    return True


def _change(age, now):
    return settings.change("signed_prekey", "{} {}".format(age, now))

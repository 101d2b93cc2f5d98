"""Takes device lists, of both dialects, so that each device is kept in its best one. Apart from the engine, for lists
change seldom."""

import struct

from motemo.omemo import records
from motemo.omemo.elements import LEGACY, OMEMO2
from motemo.omemo.records import split_device_key

_LEGACY_BIT = 1 << 31


def on_devices(engine, jid, devices, dialect):
    """Takes the newest list of an account in one dialect; see `Engine.on_devices`."""
    name = jid.encode()
    store = engine.store
    former = store.get(records.DEVICES, name)
    known = [number & ~_LEGACY_BIT for number in _unpack(former) + _unpack(store.get(records.LEGACY_DEVICES, name))]
    changes = []
    if dialect == LEGACY:
        old = _numbers(devices, _LEGACY_BIT)
        new = [number for number in _unpack(former) if number < _LEGACY_BIT]
        changes.append((records.LEGACY_DEVICES, name, _pack(old)))
    else:
        old = _unpack(store.get(records.LEGACY_DEVICES, name))
        new = _numbers(devices, 0)
    if dialect == OMEMO2 or former is not None:  # without the best list the account is not known
        merged = new + [number for number in old if number - _LEGACY_BIT not in new]
        changes.append((records.DEVICES, name, _pack(merged)))
    changes = [change for change in changes if change[2] != store.get(change[0], name)]
    if changes:
        store.commit(changes)
    for key in list(engine.unusable):
        if split_device_key(key)[0] == jid:
            del engine.unusable[key]
    return [device for device in sorted(set(devices)) if device not in known]


def _numbers(devices, bit):
    return [bit + device for device in sorted(set(devices))]


def _pack(numbers):
    return struct.pack("<" + "I" * len(numbers), *numbers)


def _unpack(record):
    return struct.unpack("<" + "I" * (len(record or b"") // 4), record or b"")

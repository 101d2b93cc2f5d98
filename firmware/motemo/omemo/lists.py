"""Takes device lists, of both dialects, so that each device is kept in its best one. Apart from the engine, for lists
change seldom."""

from motemo.omemo import records
from motemo.omemo.elements import LEGACY, OMEMO2
from motemo.omemo.records import device_key, split_device_key


def on_devices(engine, jid, devices, dialect):
    """Takes the newest list of an account in one dialect; see `Engine.on_devices`."""
    name = jid.encode()
    store = engine.store
    former = store.get(records.DEVICES, name)
    changes = []
    if dialect == LEGACY:
        old = _keys(devices, LEGACY)
        new = [key for key in _parts(former) if key[0] < 128]
        changes.append((records.LEGACY_DEVICES, name, b"".join(old)))
    else:
        old = _parts(store.get(records.LEGACY_DEVICES, name))
        new = _keys(devices, OMEMO2)
    if dialect == OMEMO2 or former is not None:  # without the best list the account is not known
        merged = new + [key for key in old if device_key("", split_device_key(key)[1]) not in new]
        changes.append((records.DEVICES, name, b"".join(merged)))
    changes = [change for change in changes if change[2] != store.get(change[0], name)]
    if changes:
        store.commit(changes)
    for key in list(engine.unusable):
        if split_device_key(key)[0] == jid:
            del engine.unusable[key]


def _keys(devices, dialect):
    return [device_key("", device, dialect) for device in sorted(set(devices))]


def _parts(record):
    return [record[at : at + 4] for at in range(0, len(record or b""), 4)]

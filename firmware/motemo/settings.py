"""Named settings of the agent in the store: short text values that provisioning and the owner's commands change."""

SETTING = 64  # the kind of record; the engine has those below (motemo.omemo.records)

# name: what it is when nobody has set it
DEFAULTS = {
    "state": "",  # "ready" once provisioning is finished, "retiring" from the farewell until the wipe
    "label": "",
    "mode": "linked",
    "every": "60",  # seconds between readings
    "room": "",  # bare JID of the group chat that the readings go to
    "life": "0",  # counts the boots in which a message was sent
    "signed_prekey": "0 0",  # its age in seconds, and the Unix time at which it had that age (motemo.rotation)
}


def read(store, name) -> str:
    """The setting's value, or its default."""
    value = store.get(SETTING, name.encode())
    return DEFAULTS[name] if value is None else value.decode()


def change(name, value):
    """The change that sets it, for `store.commit`."""
    DEFAULTS[name]  # a name that is not in the table is a mistake of ours
    return SETTING, name.encode(), value.encode()

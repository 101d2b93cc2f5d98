"""Which form of a message is for a device, when a stanza has two."""


def key_for(encrypted, jid, device):
    """(kex, data) of the key for that device in an `Encrypted`, or None (O-090)."""
    for to, rid, kex, data in encrypted.keys:
        if rid == device and to in (jid, ""):
            return kex, data
    return None


def form_for(encrypted, jid, device):
    """The newest form of an `Encrypted` that has a key for that device; without one, the newest of all."""
    legacy = encrypted.legacy
    if legacy and not key_for(encrypted, jid, device) and key_for(legacy, jid, device):
        return legacy
    return encrypted

"""What only the gateway gets: the keys of a message, with what the board has cut out put back (see messages.py), and
the legacy forms.
"""

from motemo.errors import RemoteError
from motemo.link import names
from motemo.link.messages import fits, is_slot, jid_in


def keys_in(value, message, context):
    """Return [(jid, rid, kex, data), ...] for `value`, the `keys` that came with `message`; None if they break a rule.

    Sets the message's sid and to where the keys tell them. RemoteError "protocol" for an empty slot.
    """
    if type(value) is not list:
        return None
    keys = []
    for entry in value:
        key = None
        if type(entry) is list:
            key = _from_slot(entry, message, context) if len(entry) == 3 else _whole(entry, message, context)
        if not key:
            return None
        keys.append(key)
    if keys and all(len(entry) == 3 for entry in value):
        message.setdefault("to", keys[0][0])
    return keys or None


def legacy_in(value, kind):
    """Return the `legacy` map of a message of type `kind`, without what this version does not know; None if it breaks
    a rule.
    """
    if type(value) is not dict:
        return None
    legacy = {}
    for name in ("spks",) if kind == "publish-bundle" else ("keys", "payload", "iv"):
        part = value.get(name)
        if name == "keys":
            part = _legacy_keys(part)
        if not fits(names.entry(names.number(name))[1], part):
            return None
        legacy[name] = part
    return legacy


def _legacy_keys(value):
    if type(value) is not list or not value:
        return None
    keys = []
    for entry in value:
        if type(entry) is not list or len(entry) != 4 or not all(map(fits, "jifb", entry)):
            return None
        keys.append(tuple(entry))
    return keys


def _from_slot(entry, message, context):
    slot, start, rest = entry
    if not is_slot(slot) or type(start) is not int or type(rest) is not bytes or not 0 <= start <= len(rest):
        return None
    if slot not in context.runs:
        raise RemoteError("protocol", "key slot")
    sid, jid, rid, run = context.runs[slot]
    if message.setdefault("sid", sid) != sid:
        return None
    return (jid, rid, False, rest[:start] + run + rest[start:])


def _whole(entry, message, context):
    if len(entry) not in (4, 7):
        return None
    jid = jid_in(entry[0], context)
    rid, kex, data = entry[1:4]
    if not (fits("j", jid) and fits("i", rid) and fits("f", kex) and fits("b", data)):
        return None
    if len(entry) == 7:
        slot, start, end = entry[4:]
        if kex or "sid" not in message or not is_slot(slot) or type(start) is not int or type(end) is not int:
            return None
        if not 0 <= start < end <= len(data):
            return None
        context.runs[slot] = (message["sid"], jid, rid, data[start:end])
    return (jid, rid, kex, data)

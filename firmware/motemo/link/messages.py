"""Messages of the link (docs/link-protocol.md, "Messages"): dicts with names here, CBOR maps with numbers on the line.

`pack` and `unpack` check every field; names.py says which message has which. What has been said once in a context is
then left out: a JID goes by its slot, and of the OMEMO messages to a device the part that stays the same.
"""

from motemo.errors import LocalError, RemoteError
from motemo.link import names
from motemo.link.frame import LIMIT

SLOTS = 16  # of each table of a context
_DEFAULTS = {"dialect": 2, "kex": False}  # fields that stand for this when they are missing


class Context:
    """What both ends have told each other in this session; `reset` it at every "up".

    codec: an object with `dumps` and `loads`: the module motemo.link.cbor or motemo_host.hostcbor.

    The sender of an entry names its slot, so the receiver's table is right or lacks the entry, never wrong: an end that
    fails to send or to read a message empties its tables for that direction.
    """

    def __init__(self, codec):
        self.codec = codec
        self.reset()

    def reset(self):
        """Forget all, as the peer does."""
        self.sent_jids = []
        self.sent_runs = []  # (sid, jid, rid, run)
        self.jids = {}
        self.runs = {}
        self._next = 0

    def slot(self, table, entry):
        """Put `entry` into the sender's `table`, round and round; return its slot."""
        if len(table) < SLOTS:
            table.append(entry)
            return len(table) - 1
        self._next = (self._next + 1) % SLOTS
        table[self._next] = entry
        return self._next


def pack(message: dict, context: Context) -> bytes:
    """Return `message`, {"type": name, field: value, ...}, as bytes for the next place in this session.

    The bytes lean on what was packed before them: pack when the message's turn has come (see Session).
    LocalError "format" names the field that does not fit, is missing or not known; "too-large": above frame.LIMIT.
    """
    try:
        data = context.codec.dumps(_wire(message, context))
        if len(data) > LIMIT:
            raise LocalError("too-large", "message")
        return data
    except Exception:
        # The peer will never see the entries that this message may have made.
        context.sent_jids.clear()
        context.sent_runs.clear()
        raise


def _wire(message, context):
    number = names.number(message.get("type"))
    rules = names.fields(message["type"], "from" in message) if number >= 0 else None
    if not rules:
        raise LocalError("format", "type of message")
    _require(message, rules, LocalError)
    wire: dict = {0: number}
    for name in sorted(message, key=names.number):  # in the order in which the peer reads, for the tables
        value = message[name]
        if name == "type" or (name in _DEFAULTS and value == _DEFAULTS[name]):
            continue
        number = names.number(name)
        if number >= 0 and _allowed(name, rules):
            kind = names.entry(number)[1]
            if kind == "n":
                value = names.number(value)
                kind = "u"
            elif kind == "y":
                value = _keys_out(value, message, context)
            if fits(kind, value):
                wire[number] = _jid_out(value, context) if kind == "j" else value
                continue
        raise LocalError("format", "field " + str(name))
    if 6 in wire and all(len(key) == 3 for key in wire[6]):
        del wire[5]  # the slots of the keys tell the sid
        if type(wire[2]) is int and message["to"] == message["keys"][0][0]:
            del wire[2]
    return wire


def unpack(data: bytes, context: Context) -> dict:
    """Return the message in `data`. Fields that this version does not know are left out, defaults filled in; the name
    of an operation that is not known is "unknown".

    RemoteError "format" for what breaks the rules, "protocol" for a type or a slot that is not known here.
    """
    wire = context.codec.loads(data)
    if type(wire) is not dict or any(type(number) is not int for number in wire) or type(wire.get(0)) is not int:
        raise RemoteError("format", "message")
    field = names.entry(wire[0])
    rules = names.fields(field[0], 3 in wire) if field else None
    if not rules:
        raise RemoteError("protocol", "type of message")
    message = {"type": field[0]}
    try:
        _read_fields(wire, rules, message, context)
        _require(message, rules, RemoteError)
    except RemoteError:
        # Entries of this message may be lost: a slot is better empty than wrong.
        context.jids.clear()
        context.runs.clear()
        raise
    return message


def _read_fields(wire, rules, message, context):
    for number in sorted(wire):
        name, kind = names.entry(number) or ("type", "")
        if name != "type" and _allowed(name, rules):
            value = wire[number]
            if kind == "j":
                value = jid_in(value, context)
            elif kind == "y":
                from motemo.link.keys import keys_in  # the gateway gets keys; a board does not load this

                value = keys_in(value, message, context)
            elif kind == "z":
                from motemo.link.keys import legacy_in

                value = legacy_in(value, message["type"])
            if not fits("u" if kind == "n" else kind, value):
                raise RemoteError("format", "field " + name)
            message[name] = value if kind != "n" else (names.entry(value) or ("unknown",))[0]
    for name in _DEFAULTS:
        if name + "?" in rules:
            message.setdefault(name, _DEFAULTS[name])


def _require(message, rules, error):
    for rule in rules:
        if rule[-1] not in "?*" and rule not in message:
            raise error("format", "no " + rule)


def _allowed(name, rules):
    return name in rules or name + "?" in rules or "*" in rules


def fits(kind, value):
    """True if `value` is of the kind (see names.py)."""
    have = type(value)
    if have is int:
        return (value >= 0 if kind == "u" else kind in "id" and value > 0) and value <= (
            2 if kind == "d" else 0xFFFFFFFF if kind == "u" else 0x7FFFFFFF
        )
    if have is bytes and kind == "p":
        return len(value) % 36 == 0 and all(value[at] < 128 for at in range(0, len(value), 36))
    if have is bytes:
        return len(value) == (32 if kind == "k" else 64) if kind in "ks" else kind == "b" and value != b""
    if have is str:
        return kind == "t" or (kind == "j" and value != "")
    if have is bool or have is dict:
        return kind == "f" if have is bool else kind in "mz"
    if have not in (list, tuple):
        return False
    return kind == "y" or (kind in "lhr" and all(fits("ikt"["lhr".find(kind)], item) for item in value))


def is_slot(value):
    """True if `value` can be the place of an entry in a table."""
    return type(value) is int and 0 <= value < SLOTS


def jid_in(value, context):
    """Return the JID that `value` stands for, None if it is no JID. RemoteError "protocol" for an empty slot."""
    if type(value) is list and len(value) == 2 and is_slot(value[0]) and fits("j", value[1]):
        context.jids[value[0]] = value[1]
        return value[1]
    if not is_slot(value):
        return None
    if value not in context.jids:
        raise RemoteError("protocol", "JID slot")
    return context.jids[value]


def _jid_out(jid, context):
    if jid in context.sent_jids:
        return context.sent_jids.index(jid)
    return [context.slot(context.sent_jids, jid), jid]


def _keys_out(keys, message, context):
    """Return the `keys` of a message as they travel; None if one does not fit.

    From one message to the next the ratchet's public key stays the same, with the bytes around it: this run is told
    once and then cut out (docs/link-protocol.md, "Keys").
    """
    out = []
    runs = context.sent_runs
    for jid, rid, kex, data in keys:
        if not (fits("j", jid) and fits("i", rid) and fits("f", kex) and fits("b", data)):
            return None
        start, end = 1, 36  # LEGACY: dh_pub is the first field
        if message.get("dialect", 2) == 2:
            start = data.find(b"\x1a\x20", 20) - 2  # pn, dh_pub, head of the ciphertext; 20: after the MAC
            end = start + 38
        entry = [jid, rid, kex, data]
        if not kex and 0 < start and end <= len(data):
            run = (message["sid"], jid, rid, data[start:end])
            if run in runs:
                out.append([runs.index(run), start, data[:start] + data[end:]])
                continue
            for slot in range(len(runs)):
                if runs[slot][:3] == run[:3]:
                    runs[slot] = run
                    break
            else:
                slot = context.slot(runs, run)
            entry += slot, start, end
        entry[0] = _jid_out(jid, context)
        out.append(entry)
    return out or None

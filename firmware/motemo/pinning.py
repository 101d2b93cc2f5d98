"""Pins of a board that runs: the operations of the link and the words of an owner's chat (design section 5).

Who is unpinned gets nothing from then on: no message that is sealed later, nothing of one that still waits here, and
no answer to a command that has not run yet. Seldom needed, so an overlay.
"""

from binascii import hexlify, unhexlify

from motemo import address
from motemo.errors import LocalError, StateError
from motemo.omemo import records, trust
from motemo.omemo.records import split_device_key

MOST_PINS = 32  # of one account, so that a list of them is one message of the link
MOST_OWNERS = 16

# How a key was pinned: the index is what is stored. Append only.
ORIGINS = ("provisioning", "first use", "link", "chat")

_MOST_SHOWN = 8  # pins in one answer of the chat


def perform(agent, request):
    """Does what a `request` message asks for; returns the fields of the answer. Raises MotemoError."""
    if agent.engine is None:
        raise StateError("not-provisioned")
    operation, jid = request["op"], request.get("jid")
    if jid is None:
        if operation != "list-pins":
            raise LocalError("format", "no jid")
        return {"owners": trust.owners(agent.store)}
    if operation == "list-pins":
        pins = listed(agent.store, jid)
        return {"fingerprints": [pin[0] for pin in pins], "how": [ORIGINS[pin[1]] for pin in pins]}
    fingerprints = request.get("fingerprints", ())
    if operation == "add-pins":
        return {"count": add(agent, jid, fingerprints, "link")}
    return {"count": remove(agent, jid, fingerprints, request.get("force", False))}


def listed(store, jid):
    """[(fingerprint, index in `ORIGINS`), …] of an account."""
    pins = trust.pins(store, jid)
    return list(zip(pins, store.get(records.PIN_ORIGIN, jid.encode()) or bytes(len(pins))))


def replace(store, jid, fingerprints, origin):
    """Replaces the pins of an account, as provisioning does; without fingerprints it is an owner no more.

    origin: one of `ORIGINS`. First use does not take from a key that somebody has named that it was named.
    Raises LocalError "format" or "length", StateError "full".
    """
    address.check(jid)
    if origin not in ORIGINS:
        raise LocalError("format", "how")
    number = ORIGINS.index(origin)
    known = dict(listed(store, jid)) if origin == "first use" else {}
    _keep(store, jid, [(pin, known.get(pin, number)) for pin in fingerprints])


def add(agent, jid, fingerprints, origin):
    """Pins more devices of an account; returns how many are new. Raises LocalError and StateError as `replace`."""
    address.check(jid)
    if not fingerprints:
        raise LocalError("format", "no fingerprint")
    pins = listed(agent.store, jid)
    known = [pin[0] for pin in pins]
    new = [pin for pin in fingerprints if pin not in known]
    if new:
        _keep(agent.store, jid, pins + [(pin, ORIGINS.index(origin)) for pin in new])
        agent.log("{}: {} keys pinned by {}".format(jid, len(new), origin))
        agent.engine.look_again(jid)
        agent.wake()
    if trust.note_opt_out(agent.store, jid, False):  # O-105: who pins again wants to hear of the board
        agent.log("{}: back from its opt-out by {}".format(jid, origin))
        agent.wake()
    return len(new)


def remove(agent, jid, fingerprints, force=False):
    """Unpins these devices of an account, or all of them; returns how many they were.

    Raises StateError "not-found" for what is not pinned, "refused" when nobody would be left, unless `force` is set.
    """
    store = agent.store
    pins = listed(store, jid)
    gone = fingerprints or [pin[0] for pin in pins]
    left = [pin for pin in pins if pin[0] not in gone]
    count = len(pins) - len(left)
    if not count or count != len(set(gone)):
        raise StateError("not-found", "not pinned for " + jid)
    if not left and trust.owners(store) == [jid] and not force:
        raise StateError("refused", "nobody would be left whom the board obeys")
    _keep(store, jid, left)
    agent.log("{}: {} keys unpinned".format(jid, count))
    _end(agent, jid, gone)
    return count


def _keep(store, jid, pins):
    if len(pins) > MOST_PINS or (pins and jid not in trust.owners(store) and len(trust.owners(store)) >= MOST_OWNERS):
        raise StateError("full", "at most {} owners with {} keys each".format(MOST_OWNERS, MOST_PINS))
    trust.pin(store, jid, [pin[0] for pin in pins], bytes([pin[1] for pin in pins]))


def _end(agent, jid, fingerprints):
    """Takes back what is under way between us and the devices with these keys."""
    engine = agent.engine
    devices = []
    for key in engine.store.keys(records.SESSION):
        device = split_device_key(key)[:2]
        if device[0] == jid and engine.fingerprint(key) in fingerprints:
            devices.append(device)
    agent.forget_devices(devices)


# In the chat


def say(agent, words):
    """The answer to the words after `trust`."""
    verb = words[0].lower() if words else ""
    jid = words[1].lower() if len(words) > 1 else ""  # keyboards like to begin with a capital letter
    text = "".join(words[2:]).replace(":", "")
    if verb == "list" and not text:
        return _list(agent.store, jid)
    if verb == "pin" and text:
        address.check(jid)
        new = add(agent, jid, [_fingerprint(text)], "chat")
        return ("Pinned for " if new else "Already pinned for ") + jid + "."
    if verb == "unpin" and jid:
        count = remove(agent, jid, [_fingerprint(text)] if text else ())
        return "Unpinned for {}: {}. They get nothing from now on.".format(jid, count)
    return "Say: trust list [JID], trust pin JID FINGERPRINT, or trust unpin JID [FINGERPRINT]"


def _fingerprint(text):
    try:
        fingerprint = unhexlify(text)
    except ValueError:
        fingerprint = b""
    if len(fingerprint) != 32:
        raise LocalError("format", "a fingerprint has 64 hex digits")
    return fingerprint


def _list(store, jid):
    lines = []
    shown = hidden = 0
    for owner in [jid] if jid else trust.owners(store):
        lines.append(owner + ":")
        for fingerprint, origin in listed(store, owner):
            if shown == _MOST_SHOWN:
                hidden += 1
                continue
            shown += 1
            digits = hexlify(fingerprint).decode()
            groups = [digits[at : at + 8] for at in range(0, 64, 8)]
            lines.append(" ".join(groups) + " (" + ORIGINS[origin] + ")")
    if not shown:
        return jid + " has no pins." if jid else "Nobody is pinned."
    if hidden:
        lines.append("and {} more; motemo trust list shows all".format(hidden))
    return "\n".join(lines)

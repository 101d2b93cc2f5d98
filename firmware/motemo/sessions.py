"""Sessions of a board that runs: listed and replaced over the link and in an owner's chat. An overlay."""

from motemo import overlay
from motemo.errors import LocalError, StateError
from motemo.omemo import ratchet, records
from motemo.omemo.records import split_device_key


def perform(agent, request):
    """Does what a `request` message asks for; returns the fields of the answer. Raises MotemoError."""
    if agent.engine is None:
        raise StateError("not-provisioned")
    jid, device = request.get("jid"), request.get("device")
    if request["op"] == "list-sessions":
        return {"sessions": listed(agent.engine, jid)}
    return {"count": reset(agent, jid, device)}


def listed(engine, jid=None):
    """The sessions with one account, or all, as maps: who, and how it stands."""
    found = []
    for key in sorted(engine.store.keys(records.SESSION)):
        owner, device, dialect = split_device_key(key)
        if jid in (None, owner):
            session = ratchet.restore(engine.store.get(records.SESSION, key))
            found.append(
                {
                    "jid": owner,
                    "device": device,
                    "dialect": dialect,
                    "pinned": engine.is_trusted(key),
                    "answered": session.is_answered(),
                    "received": session.received,
                    "unanswered": session.unanswered,
                    "former": engine.store.get(records.FORMER, key) is not None,
                }
            )
    return found


def reset(agent, jid=None, device=None):
    """Replaces the session with one device, all with one account, or all (O-126); returns how many.

    Raises LocalError "format" for a device without its account, StateError "not-found" when there is none.
    """
    if device is not None and jid is None:
        raise LocalError("format", "no jid")
    count = overlay.call("motemo.omemo.admission", "replace_sessions", agent.engine, jid, device)
    if not count and jid is not None:
        raise StateError("not-found", "no session with " + jid + (" device " + str(device) if device else ""))
    agent.log("{} sessions are replaced".format(count))
    agent.wake()
    return count


def say(agent, jid, words):
    """The answer to the words after `reset` of somebody at `jid`."""
    if not 0 < len(words) < 4 or words[0].lower() != "session" or (len(words) == 3 and not words[2].isdigit()):
        return "Say: reset session [JID [DEVICE]], or reset session all"
    whose = words[1].lower() if len(words) > 1 else jid  # keyboards like to begin with a capital letter
    count = reset(agent, None if whose == "all" else whose, int(words[2]) if len(words) == 3 else None)
    return "New sessions are being made with {} ({}).".format(
        "your devices" if whose == jid else "all devices" if whose == "all" else whose, count
    )

"""Provisioning over the link: each step can be given again, so that an interrupted one is simply run anew.

Order: `provision` makes the identity, `keys` the prekeys a few at a time, `pin` an owner's fingerprints, `finish`
starts the engine. The private keys are made here and never leave.
"""

from motemo import address, overlay, settings
from motemo.errors import LocalError, StateError
from motemo.omemo import keys, records, trust

MOST_LABEL = 52  # code points (O-056)

_MOST_KEYS = 8  # for each request, so that the link is not left without an answer


def perform(agent, request):
    """Does what a `request` message asks for; returns the fields of the answer. Raises MotemoError."""
    operation = _OPERATIONS.get(request["op"])
    if operation is None:
        raise LocalError("protocol", "operation")
    try:
        return operation(agent, request)
    except KeyError:
        raise LocalError("format", "a field is missing")


def _provision(agent, request):
    """Makes the identity of the account, or goes on where it was; StateError "provisioned" for another account."""
    jid, label, every, mode = request["jid"], request["label"], request["interval"], request["mode"]
    address.check(jid)
    if len(label) > MOST_LABEL or min(label or " ") < " ":
        raise LocalError("too-large", "a label is one line of at most {} characters".format(MOST_LABEL))
    room = request.get("room", "")
    if room:
        address.check(room)
    store = agent.store
    if store.get(records.IDENTITY, b"") is None:
        overlay.call("motemo.omemo.identity", "create", store, jid)
    own = keys.Keys(store)
    if own.jid != jid:
        raise StateError("provisioned", "this board is " + own.jid)
    if mode != "linked":
        raise LocalError("refused", "this agent knows the linked mode only")
    if not 1 <= every <= 86400:
        raise LocalError("format", "interval")
    changes = [("label", label), ("mode", mode), ("every", str(every)), ("room", room)]
    store.commit([settings.change(name, value) for name, value in changes])
    agent.reload_settings()
    return {"device": own.device, "fingerprint": own.fingerprint}


def _keys(agent, request):
    """Makes up to `count` prekeys; tells how many are missing."""
    own = agent.engine.keys if agent.engine else keys.Keys(agent.store)
    most = min(request["count"], _MOST_KEYS)
    return {"missing": overlay.call("motemo.omemo.bundle", "fill", own, agent.profile.prekeys, most)}


def _pin(agent, request):
    """Replaces the pins of an owner; without fingerprints the account is one no more."""
    pins = agent.store, request["jid"], request["fingerprints"], request.get("how", "provisioning")
    overlay.call("motemo.pinning", "replace", *pins)
    return {}


def _finish(agent, request):
    """Ends provisioning and starts the engine; there has to be an owner."""
    if not trust.owners(agent.store):
        raise LocalError("no-devices", "no owner is pinned")
    if _keys(agent, {"count": 0})["missing"]:
        raise StateError("not-provisioned", "prekeys are missing")
    agent.store.commit([settings.change("state", "ready")])
    agent.start_engine()
    return {}


def _wipe(agent, request):
    """Erases keys, sessions, pins and settings; the board is as it was before provisioning."""
    agent.stop_engine()
    store = agent.store
    changes = []
    for kind in records.ALL + (settings.SETTING,):
        changes += [(kind, key, None) for key in store.keys(kind)]
    store.commit(changes)
    store.compact()  # what was deleted is not in the new file
    overlay.call("motemo.store.scrub", "scrub", store.directory)
    agent.reload_settings()
    return {}


_OPERATIONS = {
    "provision": _provision,
    "keys": _keys,
    "pin": _pin,
    "finish": _finish,
    "wipe": _wipe,
}

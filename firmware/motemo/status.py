"""What a board is and how it is, without secrets: for the link and for the owner's chat."""

import gc
import time

from motemo import __version__, overlay, settings
from motemo.omemo import records, trust


def perform(agent, request) -> dict:
    """The fields of the answer to a request "status" or "log"."""
    return {"lines": agent.log_lines} if request["op"] == "log" else fields(agent)


def fields(agent) -> dict:
    """The agent's status by name."""
    agent.collect()
    free = gc.mem_free() if hasattr(gc, "mem_free") else 0
    engine = agent.engine
    found = {
        "version": __version__,
        "state": settings.read(agent.store, "state") or "bare",
        "label": settings.read(agent.store, "label"),
        "mode": settings.read(agent.store, "mode"),
        "every": agent.every,
        "room": agent.room,
        "members": agent.members,
        "uptime": int(time.time() - agent.started),
        "outbox": len(agent.outbox),
        "dropped": agent.outbox.dropped,
        "flash_used": agent.store.size,
        "heap_least": agent.heap_least,
        "heap_free": free,
        "sensors": sorted(agent.sensors),
        "commands": sorted(agent.commands),
        "sessions": len(agent.store.keys(records.SESSION)),
        "counters": agent.counters,
    }
    if engine:
        found["jid"] = engine.keys.jid
        found["device"] = engine.keys.device
        found["fingerprint"] = engine.keys.fingerprint
        found["owners"] = trust.owners(agent.store)
        found["opted_out"] = sorted([jid.decode() for jid in agent.store.keys(records.OPT_OUT)])
        found["stale"] = overlay.call("motemo.omemo.upkeep", "stale", agent.store)
        found["own_devices"] = sum([device != engine.keys.device for device in engine.devices(engine.keys.jid) or ()])
    return found

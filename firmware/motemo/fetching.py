"""Fetching what the engine needs to reach accounts. Seldom needed, so apart from `motemo.agent`."""

from motemo.errors import MotemoError, RemoteError
from motemo.omemo.elements import LEGACY, OMEMO2

_ROUNDS = 3  # a list names bundles; a list may change meanwhile


async def fetch(agent, jids):
    """Fetches it; what cannot be had is logged and left out. Raises MotemoError "offline" or "timeout"."""
    refused = []
    for _ in range(_ROUNDS):
        needs = [need for need in agent.engine.needs(jids) if need not in refused]
        if not needs:
            return
        for need in needs:
            if need[0] == "devices":
                if not await _fetch_devices(agent, need[1]):
                    refused.append(need)
            else:
                await _fetch_bundle(agent, *need[1:])


async def _fetch_devices(agent, jid):
    """Whether the list of omemo:2 came; a list that the server does not give is as it was."""
    for dialect in (LEGACY, OMEMO2):
        try:
            found = await _list(agent, jid, dialect)
        except MotemoError as error:
            _log(agent, jid, error)
            if error.reason != "not-found":
                if dialect == OMEMO2:
                    return False
                continue
            found = []
        # The own list is looked at too (O-060).
        taker = agent if jid == agent.engine.keys.jid else agent.engine
        taker.on_devices(jid, found, dialect)
    return True


async def _list(agent, jid, dialect):
    for _ in range(_ROUNDS):
        told = agent.lists_told
        found = await agent.request("fetch_devices", jid, None, dialect)
        if agent.lists_told == told:  # else the answer may be older than what came unasked meanwhile
            return found
    raise RemoteError("timeout", "the lists of {} change all the time".format(jid))


async def _fetch_bundle(agent, jid, device, dialect):
    try:
        agent.engine.on_bundle(jid, device, await agent.request("fetch_bundle", jid, device, dialect))
    except MotemoError as error:
        _log(agent, jid, error)
        if error.reason == "not-found":
            agent.engine.on_no_bundle(jid, device, dialect)


def _log(agent, jid, error):
    if error.reason in ("offline", "timeout"):
        raise error
    agent.log("keys of {}: {}".format(jid, error.reason))

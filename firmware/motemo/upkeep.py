"""What the agent does to stay reachable: its keys and its id on the server, sessions with its owners' devices.

Seldom needed, so apart from `motemo.agent`.
"""

from motemo import overlay
from motemo.errors import MotemoError
from motemo.omemo import bundle
from motemo.omemo.keys import ANNOUNCED, BUNDLE_DIRTY


async def publish(agent):
    """Bundle first, then the list (design section 8); the own id is drawn again on a clash (O-116)."""
    keys = agent.engine.keys
    northbound = agent.northbound
    requests = _requests(northbound)
    if not keys.flags & ANNOUNCED:
        while keys.device in await requests.fetch_devices(northbound, keys.jid):
            overlay.call("motemo.omemo.identity", "draw_device_again", keys)
    if keys.flags & BUNDLE_DIRTY:
        own = bundle.make(keys)
        await requests.publish_bundle(northbound, own)
        bundle.published(keys, own)
    if agent.announce:
        agent.announce = False
        try:
            await requests.publish_devices(northbound, keys.device)
        except MotemoError:
            agent.announce = True
            raise
        bundle.announced(keys)


async def fetch(agent, jids):
    """Fetches what the engine needs to reach these accounts; what cannot be had is logged and left out."""
    for _ in range(3):  # a list names bundles; a list may change meanwhile
        needs = agent.engine.needs(jids)
        if not needs:
            return
        for need in needs:
            await _fetch_one(agent, need)


async def _fetch_one(agent, need):
    engine = agent.engine
    requests = _requests(agent.northbound)
    jid = need[1]
    try:
        if need[0] == "devices":
            engine.on_devices(jid, await requests.fetch_devices(agent.northbound, jid))
        else:
            engine.on_bundle(jid, need[2], await requests.fetch_bundle(agent.northbound, jid, need[2]))
    except MotemoError as error:
        if error.reason in ("offline", "timeout"):
            raise
        agent.log("keys of {}: {}".format(jid, error.reason))
        if need[0] == "devices":
            engine.on_devices(jid, [])
        elif error.reason == "not-found":
            engine.on_no_bundle(jid, need[2])


def _requests(northbound):
    return __import__(northbound.requests, None, None, ("fetch_devices",))

"""Publishing: the agent's keys and its id on the server. Seldom needed, so apart from `motemo.agent`."""

from motemo import overlay
from motemo.errors import MotemoError
from motemo.omemo import bundle
from motemo.omemo.keys import ANNOUNCED, BUNDLE_DIRTY


async def publish(agent):
    """Bundle first, then the list (design section 8); the own id is drawn again on a clash (O-116)."""
    keys = agent.engine.keys
    northbound = agent.northbound
    requests = __import__(northbound.requests, None, None, ("publish_bundle",))
    if not keys.flags & ANNOUNCED:
        while keys.device in await requests.fetch_devices(northbound, keys.jid):
            overlay.call("motemo.omemo.identity", "draw_device_again", keys)
    if keys.flags & BUNDLE_DIRTY:
        own, prekeys = bundle.pack(keys)
        await requests.publish_bundle(northbound, own, prekeys)
        bundle.published(keys, own.signed_prekey_id, prekeys)
    if agent.announce:
        agent.announce = False
        # Before the id is on the list: if the answer got lost, our own id there would be taken for another device's.
        bundle.announced(keys)
        try:
            await requests.publish_devices(northbound, keys.device)
        except MotemoError:
            agent.announce = True
            raise

"""Publishing: the agent's keys and its id on the server. Seldom needed, so apart from `motemo.agent`."""

from motemo import overlay, settings
from motemo.errors import MotemoError
from motemo.omemo.elements import DIALECTS
from motemo.omemo.keys import ANNOUNCED, BUNDLE_DIRTY

_BUNDLE = "motemo.omemo.bundle"


async def publish(agent):
    """Bundle first, then the list (design section 8); the own id is drawn again on a clash (O-116)."""
    keys = agent.engine.keys
    if not keys.flags & ANNOUNCED:
        taken = []
        for dialect in DIALECTS:
            taken += await agent.request("fetch_devices", keys.jid, None, dialect)
        while keys.device in taken:
            overlay.call("motemo.omemo.identity", "draw_device_again", keys)
    overlay.call(_BUNDLE, "complete", keys)
    if keys.flags & BUNDLE_DIRTY:
        own, prekeys = overlay.call(_BUNDLE, "pack", keys)
        await agent.request("publish_bundle", own, prekeys)
        overlay.call(_BUNDLE, "published", keys, own.signed_prekey_id, prekeys)
    if agent.announce:
        agent.announce = False
        # Before the id is on the list: if the answer got lost, our own id there would be taken for another device's.
        overlay.call(_BUNDLE, "announced", keys)
        try:
            await agent.request("publish_devices", keys.device, *_label(agent.store))
        except MotemoError:
            agent.announce = True
            raise


def _label(store):
    """The label and the identity key's signature over its bytes (O-057), the same at each time; "" without a label."""
    label = settings.read(store, "label")
    return label, overlay.call(_BUNDLE, "sign", store, label.encode()) if label else b""

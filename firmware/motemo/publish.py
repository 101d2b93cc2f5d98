"""Publishing: the agent's keys and its id on the server. Seldom needed, so apart from `motemo.agent`."""

from motemo import overlay, settings
from motemo.errors import MotemoError
from motemo.omemo import records
from motemo.omemo.elements import DIALECTS
from motemo.omemo.keys import ANNOUNCED, BUNDLE_DIRTY

_BUNDLE = "motemo.omemo.bundle"


async def publish(agent):
    """Bundle first, then the list (design section 8); the own id is drawn again on a clash (O-116)."""
    keys = agent.engine.keys
    if not keys.flags & ANNOUNCED:
        taken = []
        for dialect in DIALECTS:
            taken += await _request(agent, "fetch_devices", keys.jid, None, dialect)
        while keys.device in taken:
            overlay.call("motemo.omemo.identity", "draw_device_again", keys)
    overlay.call(_BUNDLE, "complete", keys)
    if keys.flags & BUNDLE_DIRTY:
        own, prekeys = overlay.call(_BUNDLE, "pack", keys)
        await _request(agent, "publish_bundle", own, prekeys)
        overlay.call(_BUNDLE, "published", keys, own.signed_prekey_id, prekeys)
    if agent.announce:
        agent.announce = False
        # Before the id is on the list: if the answer got lost, our own id there would be taken for another device's.
        overlay.call(_BUNDLE, "announced", keys)
        try:
            await _request(agent, "publish_devices", keys.device, *_label(agent.store))
        except MotemoError:
            agent.announce = True
            raise


def _label(store):
    """The label and the identity key's signature over its bytes (O-057), the same at each time; "" without a label."""
    label = settings.read(store, "label")
    if not label:
        return "", b""
    seed = store.get(records.IDENTITY, b"")[:32]
    return label, overlay.call("motemo.crypto.ed25519", "ed25519_sign", seed, label.encode())


def _request(agent, function, *arguments):
    return overlay.call(agent.northbound.requests, function, agent.northbound, *arguments)

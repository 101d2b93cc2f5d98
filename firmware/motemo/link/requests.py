"""What the agent fetches and publishes through the gateway. Seldom needed, so apart from `motemo.linked`."""

from motemo.omemo.elements import Bundle


async def fetch_devices(linked, jid, _, dialect):
    """The device ids of an account in that dialect; empty when it has none."""
    return (await linked.request({"type": "fetch-devices", "jid": jid, "dialect": dialect}))["devices"]


async def fetch_bundle(linked, jid, device, dialect):
    """A device's `Bundle` with one prekey; raises RemoteError "not-found"."""
    answer = await linked.request({"type": "fetch-bundle", "jid": jid, "rid": device, "dialect": dialect})
    prekeys = [(answer["pk_id"], answer["pk"])]
    return Bundle(answer["ik"], answer["spk_id"], answer["spk"], answer["spks"], prekeys, dialect)


async def publish_bundle(linked, bundle, prekeys):
    """Publishes our bundle in both dialects; returns when the server has it. prekeys: as `motemo.omemo.bundle.pack`."""
    await linked.request(
        {
            "type": "publish-bundle",
            "ik": bundle.identity_key,
            "spk_id": bundle.signed_prekey_id,
            "spk": bundle.signed_prekey,
            "spks": bundle.signature,
            "prekeys": prekeys,
            "legacy": {"spks": bundle.legacy_signature},
        }
    )


async def enter_room(linked, room, nick, accounts):
    """Has the gateway enter a room ("": leave the former one); returns its `room` message, without fields for "".

    accounts: those whose membership matters to us. Raises RemoteError "refused" or "not-found" with the cause.
    """
    return await linked.request({"type": "enter-room", "room": room, "text": nick, "members": accounts})


async def publish_devices(linked, device, label, signature):
    """Puts our id into the account's lists of both dialects; returns when it is there. label: "" for none."""
    message = {"type": "publish-devices", "device": device}
    if label:
        message["label"] = label
        message["labelsig"] = signature
    await linked.request(message)

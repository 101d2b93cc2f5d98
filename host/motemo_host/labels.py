"""Labels of devices: names that their owners gave them, signed by the identity key (XEP-0384, "Announcing support").

A label counts only with a good signature (O-058).
"""

from motemo.crypto.ed25519 import ed25519_verify
from motemo.crypto.points import edwards_to_montgomery
from motemo.errors import RemoteError, StateError
from motemo.omemo.elements import OMEMO2

from .pins import Owners
from .stanzas import Device
from .xmpp import Account

__all__ = ["add_to", "valid"]


def valid(device: Device, identity_key: bytes) -> str:
    """The label of a device whose identity key this is, in Ed25519 form; "" without one that it has signed."""
    if device.label is None or device.label_signature is None:
        return ""
    try:
        ed25519_verify(identity_key, device.label.encode(), device.label_signature)
    except RemoteError:
        return ""
    return device.label


async def add_to(owners: Owners, account: Account) -> Owners:
    """Puts a `label` to each pinned key whose device has one on its account's list; without a server, none."""
    for jid, pins in owners.items():
        try:
            devices = [one for one in await account.pep.fetch_devices(jid, OMEMO2) if one.label]
        except (RemoteError, StateError):
            continue
        for device in devices:
            try:
                key = (await account.pep.fetch_bundle(jid, device.id)).identity_key
                label, fingerprint = valid(device, key), edwards_to_montgomery(key).hex()
            except (RemoteError, StateError):
                continue
            for pin in pins:
                if label and pin["fingerprint"] == fingerprint:
                    pin["label"] = label
    return owners

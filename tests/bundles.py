"""A device's bundle whole, with its prekeys as a list, as peers see it; runs on every interpreter."""

from motemo.omemo import bundle


def make_bundle(keys):
    """The `Bundle` that `keys` would publish."""
    own, prekeys = bundle.pack(keys)
    own.prekeys = bundle.unpack(prekeys)
    return own


def note_published(keys, made=None):
    """Tells `keys` that the server has the bundle `made`, by default the newest."""
    made = made or make_bundle(keys)
    packed = b"".join([number.to_bytes(4, "big") + key for number, key in made.prekeys])
    bundle.published(keys, made.signed_prekey_id, packed)

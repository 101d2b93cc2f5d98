"""Checks the signature of a peer's bundle. Apart from `motemo.omemo.exchange`, which then need not be in memory."""

from motemo import overlay
from motemo.omemo.elements import LEGACY


def check_signature(bundle):
    """Returns if the signed prekey is the identity key's; RemoteError "bad-signature", "bad-point" or "length"."""
    key, signed, signature = bundle.identity_key, bundle.signed_prekey, bundle.signature
    if bundle.dialect == LEGACY:
        overlay.call("motemo.crypto.xeddsa", "xeddsa_verify", key, b"\5" + signed, signature)
    else:
        overlay.call("motemo.crypto.ed25519", "ed25519_verify", key, signed, signature)

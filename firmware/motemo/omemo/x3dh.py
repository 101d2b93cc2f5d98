"""X3DH, the key agreement of XEP-0384 section "Key Exchange" (O-001).

Names as in the X3DH paper: IK identity key, SPK signed prekey, OPK one-time prekey, EK ephemeral key. All public keys
are 32-byte Curve25519 u coordinates, all private keys 32-byte scalars.
"""

from motemo.crypto.curve import x25519
from motemo.crypto.kdf import hkdf_sha256


def initiate(dialect, identity, ephemeral, their_identity, their_signed_prekey, their_prekey) -> bytes:
    """The 32-byte shared secret on the side that starts. Raises RemoteError "weak-key"."""
    return _secret(
        dialect,
        x25519(identity, their_signed_prekey),
        x25519(ephemeral, their_identity),
        x25519(ephemeral, their_signed_prekey),
        x25519(ephemeral, their_prekey),
    )


def respond(dialect, identity, signed_prekey, prekey, their_identity, their_ephemeral) -> bytes:
    """The 32-byte shared secret on the side that answers. Raises RemoteError "weak-key"."""
    return _secret(
        dialect,
        x25519(signed_prekey, their_identity),
        x25519(identity, their_ephemeral),
        x25519(signed_prekey, their_ephemeral),
        x25519(prekey, their_ephemeral),
    )


def _secret(dialect, dh1, dh2, dh3, dh4):
    return hkdf_sha256(b"\xff" * 32 + dh1 + dh2 + dh3 + dh4, bytes(32), dialect.x3dh_info, 32)

"""Signatures of the legacy OMEMO dialect: Ed25519 by keys known in Curve25519 form (libsignal's XEdDSA).

The signer's Curve25519 key leaves the sign of its Ed25519 form open; the signature carries it in bit 7 of its last
byte, which Ed25519 leaves 0. So a signature of a key whose sign bit is 0, as ours is, is an ordinary Ed25519 signature.
Seldom needed.
"""

from motemo.crypto._portable import P
from motemo.crypto.ed25519 import ed25519_verify
from motemo.crypto.points import check_length
from motemo.errors import RemoteError


def xeddsa_verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Returns if the 64-byte signature is right for the Curve25519 key `public` (32 bytes).

    RemoteError "length", "bad-point" for a key that is not canonical, or "bad-signature".
    """
    check_length(signature, 64)
    last = signature[63]
    ed25519_verify(montgomery_to_edwards(public, last >> 7), message, signature[:63] + bytes((last & 127,)))


def montgomery_to_edwards(public: bytes, sign: int) -> bytes:
    """The Ed25519 key with that sign bit (0 or 1) of a Curve25519 key: y = (u - 1) / (u + 1) (RFC 7748 section 4.1).

    The result need not be on the curve. RemoteError "length", or "bad-point" for a key that is not canonical.
    """
    check_length(public, 32)
    u = int.from_bytes(public, "little")
    if u >= P:
        raise RemoteError("bad-point")
    return ((u - 1 + P) * pow(u + 1, P - 2, P) % P | sign << 255).to_bytes(32, "little")

"""X25519 (RFC 7748), the same on every interpreter.

A u coordinate that is not canonical is accepted: bit 255 is ignored and the rest taken modulo p (RFC 7748 section 5).
A point of small order shows in an all-zero result, which is refused (section 6.1).
"""

from motemo import overlay
from motemo.crypto import NATIVE
from motemo.errors import LocalError, RemoteError

if NATIVE:
    from motemo.crypto import _native as backend
else:
    from motemo.crypto import _portable as backend

_PUBLIC = "motemo.crypto._native" if NATIVE else "motemo.crypto._portable_comb"


def x25519(scalar: bytes, u: bytes) -> bytes:
    """The shared secret of our private key and a peer's public key, all 32 bytes (RFC 7748 section 6.1).

    RemoteError "length" for `u`, "weak-key" where the result is all zero; LocalError "length" for `scalar`.
    """
    if len(scalar) != 32:
        raise LocalError("length", "a private key has 32 bytes")
    if len(u) != 32:
        raise RemoteError("length", "a public key has 32 bytes")
    shared = backend.x25519(scalar, u)
    if not any(shared):
        raise RemoteError("weak-key")
    return shared


def x25519_public(scalar: bytes) -> bytes:
    """The public key (u coordinate) of a private key, both 32 bytes; LocalError "length"."""
    if len(scalar) != 32:
        raise LocalError("length", "a private key has 32 bytes")
    return overlay.call(_PUBLIC, "x25519_public", scalar)

"""Ed25519 keys and signatures on a board (RFC 8032). Arguments are `bytes` that `ed25519` has checked.

SHA-512 and the comb are loaded by turns: there is hardly room for both.
"""

from motemo import overlay
from motemo.crypto._portable import clamp
from motemo.crypto.points import L


def ed25519_public(seed: bytes) -> bytes:
    """The public key of a 32-byte seed (RFC 8032 section 5.1.5)."""
    return _multiple(clamp(_sha512(seed)[:32]))


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature (RFC 8032 section 5.1.6)."""
    expanded = _sha512(seed)
    a = clamp(expanded[:32])
    r = int.from_bytes(_sha512(expanded[32:], message), "little") % L
    # The public key is made anew: a signature that is made with a wrong one gives the private key away.
    public = _multiple(a)
    point = _multiple(r)
    k = int.from_bytes(_sha512(point, public, message), "little") % L
    return point + ((r + k * a) % L).to_bytes(32, "little")


def _sha512(*parts):
    return overlay.call("motemo.crypto.sha512", "sha512", *parts)


def _multiple(k):
    return overlay.call("motemo.crypto._portable_comb", "encoded_multiple", k)

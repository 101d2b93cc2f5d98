"""Ed25519 keys and signatures on a board (RFC 8032). Arguments are `bytes` that `ed25519` has checked."""

from motemo.crypto._portable import clamp
from motemo.crypto._portable_comb import multiply_base
from motemo.crypto._portable_edwards import encode
from motemo.crypto.points import L
from motemo.crypto.sha512 import sha512


def ed25519_public(seed: bytes) -> bytes:
    """The public key of a 32-byte seed (RFC 8032 section 5.1.5)."""
    return encode(*multiply_base(clamp(sha512(seed)[:32])))


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature (RFC 8032 section 5.1.6)."""
    expanded = sha512(seed)
    a = clamp(expanded[:32])
    r = int.from_bytes(sha512(expanded[32:], message), "little") % L
    # The public key is made anew: a signature that is made with a wrong one gives the private key away.
    public = encode(*multiply_base(a))
    point = encode(*multiply_base(r))
    k = int.from_bytes(sha512(point, public, message), "little") % L
    return point + ((r + k * a) % L).to_bytes(32, "little")

"""Ed25519 (RFC 8032) and its map to Curve25519 (RFC 7748), with the same verdicts on every interpreter.

What RFC 8032 leaves open is decided here, before a backend is asked. A public key that is not canonical (y >= p) or of
small order is refused, and so is a signature with s >= L. The equation is checked without the cofactor and R compared
as bytes, so that a non-canonical R never passes. A public key with a component of small order beside the large one is
accepted: it does no harm here, and finding it out takes as long as a signature.
"""

from motemo.crypto import NATIVE
from motemo.crypto._portable import L, P, clamp
from motemo.crypto._portable_ed25519 import D
from motemo.errors import LocalError, RemoteError

if NATIVE:
    from motemo.crypto import _native as backend
else:
    from motemo.crypto import _portable_ed25519 as backend


def ed25519_public(seed: bytes) -> bytes:
    """The public key of a seed, both 32 bytes (RFC 8032 section 5.1.5); LocalError "length"."""
    _check_seed(seed)
    return backend.ed25519_public(seed)


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature of `message` (RFC 8032 section 5.1.6); LocalError "length"."""
    _check_seed(seed)
    return backend.ed25519_sign(seed, message)


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Returns if the 64-byte signature is right (RFC 8032 section 5.1.7, strict as the module says).

    RemoteError "length", or "bad-signature" for all else, an unusable public key included.
    """
    _check_length(public, 32)
    _check_length(signature, 64)
    if (
        _usable_y(public) is None
        or int.from_bytes(signature[32:], "little") >= L
        or not backend.ed25519_verify(public, message, signature)
    ):
        raise RemoteError("bad-signature")


def identity_scalar(seed: bytes) -> bytes:
    """The X25519 private key (32 bytes, clamped) that belongs to the Ed25519 key of a seed; LocalError "length"."""
    _check_seed(seed)
    return clamp(backend.sha512(seed)[:32]).to_bytes(32, "little")


def edwards_to_montgomery(public: bytes) -> bytes:
    """The u coordinate of a public key, u = (1 + y) / (1 - y) (RFC 7748 section 4.1), both 32 bytes.

    RemoteError "length", or "bad-point" where the key is not canonical, not on the curve or of small order.
    """
    _check_length(public, 32)
    y = _usable_y(public)
    # x^2 = (y^2 - 1) / (d y^2 + 1) must be a square.
    if y is None or pow((y * y - 1) * (D * y * y + 1) % P, (P - 1) // 2, P) != 1:
        raise RemoteError("bad-point")
    return ((1 + y) * pow(1 - y + P, P - 2, P) % P).to_bytes(32, "little")


def _check_seed(seed):
    if len(seed) != 32:
        raise LocalError("length", "a seed has 32 bytes")


def _check_length(value, length):
    if len(value) != length:
        raise RemoteError("length", "a public key has 32 bytes, a signature 64")


def _usable_y(public):
    """The y coordinate of a public key, or None if it is not canonical or belongs to a point of small order.

    The points of order 1, 2 and 4 have y = 1, -1 and 0. Those of order 8 double to one with y = 0, so they have
    y^2 = -x^2, which the curve's equation makes d y^4 + 2 y^2 = 1.
    """
    y = int.from_bytes(public, "little") & ((1 << 255) - 1)
    square = y * y
    if y >= P or y * (square - 1) * (D * square * square + 2 * square - 1) % P == 0:
        return None
    return y

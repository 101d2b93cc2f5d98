"""Ed25519 (RFC 8032), with the same verdicts on every interpreter.

What RFC 8032 leaves open is decided here, before a backend is asked. A public key that is not canonical (y >= p) or of
small order is refused, and so is a signature with s >= L. The equation is checked without the cofactor and R compared
as bytes, so that a non-canonical R never passes. A public key with a component of small order beside the large one is
accepted: it does no harm here, and finding it out takes as long as a signature.
"""

from motemo import overlay
from motemo.crypto import NATIVE
from motemo.crypto._portable import clamp
from motemo.crypto.points import L, check_length, usable_y
from motemo.errors import LocalError, RemoteError

_SIGN = "motemo.crypto._native" if NATIVE else "motemo.crypto._portable_sign"
_VERIFY = "motemo.crypto._native" if NATIVE else "motemo.crypto._portable_verify"


def ed25519_public(seed: bytes) -> bytes:
    """The public key of a seed, both 32 bytes (RFC 8032 section 5.1.5); LocalError "length"."""
    _check_seed(seed)
    return overlay.call(_SIGN, "ed25519_public", seed)


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature of `message` (RFC 8032 section 5.1.6); LocalError "length"."""
    _check_seed(seed)
    return overlay.call(_SIGN, "ed25519_sign", seed, message)


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> None:
    """Returns if the 64-byte signature is right (RFC 8032 section 5.1.7, strict as the module says).

    RemoteError "length", or "bad-signature" for all else, an unusable public key included.
    """
    check_length(public, 32)
    check_length(signature, 64)
    if (
        usable_y(public) is None
        or int.from_bytes(signature[32:], "little") >= L
        or not overlay.call(_VERIFY, "ed25519_verify", public, message, signature)
    ):
        raise RemoteError("bad-signature")


def identity_scalar(seed: bytes) -> bytes:
    """The X25519 private key (32 bytes, clamped) that belongs to the Ed25519 key of a seed; LocalError "length"."""
    _check_seed(seed)
    return clamp(overlay.call("motemo.crypto.sha512", "sha512", seed)[:32]).to_bytes(32, "little")


def _check_seed(seed):
    if len(seed) != 32:
        raise LocalError("length", "a seed has 32 bytes")

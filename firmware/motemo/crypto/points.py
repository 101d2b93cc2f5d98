"""Ed25519 public keys as points: which are usable, and their map to Curve25519 (RFC 7748), on every interpreter.

A public key that is not canonical (y >= p) or of small order is refused.
"""

from motemo.crypto._portable import P
from motemo.errors import RemoteError

L = (1 << 252) + 27742317777372353535851937790883648493  # the order of the base point
D = 37095705934669439343138083508754565189542113879843219016388785533085940283555  # -121665 / 121666


def edwards_to_montgomery(public: bytes) -> bytes:
    """The u coordinate of a public key, u = (1 + y) / (1 - y) (RFC 7748 section 4.1), both 32 bytes.

    RemoteError "length", or "bad-point" where the key is not canonical, not on the curve or of small order.
    """
    check_length(public, 32)
    y = usable_y(public)
    # x^2 = (y^2 - 1) / (d y^2 + 1) must be a square.
    if y is None or pow((y * y - 1) * (D * y * y + 1) % P, (P - 1) // 2, P) != 1:
        raise RemoteError("bad-point")
    return ((1 + y) * pow(1 - y + P, P - 2, P) % P).to_bytes(32, "little")


def usable_y(public):
    """The y coordinate of a public key, or None if it is not canonical or belongs to a point of small order.

    The points of order 1, 2 and 4 have y = 1, -1 and 0. Those of order 8 double to one with y = 0, so they have
    y^2 = -x^2, which the curve's equation makes d y^4 + 2 y^2 = 1.
    """
    y = int.from_bytes(public, "little") & ((1 << 255) - 1)
    square = y * y
    if y >= P or y * (square - 1) * (D * square * square + 2 * square - 1) % P == 0:
        return None
    return y


def check_length(value, length):
    """Raises RemoteError "length" for a peer's key or signature that is too short or too long."""
    if len(value) != length:
        raise RemoteError("length", "a public key has 32 bytes, a signature 64")

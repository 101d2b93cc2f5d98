"""Verification of Ed25519 signatures on a board (RFC 8032). Arguments are `bytes` that `ed25519` has checked.

Nothing here is secret. Both multiples are taken in one pass (Straus), with signed digits in non-adjacent form.
"""

from motemo import overlay
from motemo.crypto._portable import P, multiply, power
from motemo.crypto._portable_edwards import add, double, encode
from motemo.crypto.points import D, L

_SQRT_M1 = 19681161376707505956807079304988542015446066515923890162744021073123829784752
_BASE = (
    15112221349535400772501151409588531511454012693041857206046113283949847762202,
    46316835694926478169428394003475163141307993866256225615783033603165251855960,
)


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether s B = R + k A (RFC 8032 section 5.1.7, without the cofactor)."""
    y = int.from_bytes(public, "little") & (1 << 255) - 1
    x = _recover_x(y)
    if x is None:
        return False
    if x & 1 == public[31] >> 7:
        x = P - x  # for -A
    k = int.from_bytes(overlay.call("motemo.crypto.sha512", "sha512", signature[:32], public, message), "little") % L
    terms = (
        (_non_adjacent_form(k), _odd_multiples(x, y)),
        (_non_adjacent_form(int.from_bytes(signature[32:], "little")), _odd_multiples(*_BASE)),
    )
    point = (0, 1, 1, 1)
    for i in range(256, -1, -1):
        point = double(*point)
        for digits, multiples in terms:
            digit = digits[i]
            if digit > 127:
                plus, minus, t, z = multiples[(256 - digit) >> 1]
                point = add(*point, minus, plus, -t, z)
            elif digit:
                point = add(*point, *multiples[digit >> 1])
    return encode(*point) == signature[:32]


def _odd_multiples(x, y):
    """The point times 1, 3, 5 and 7, in the form that `add` takes."""
    point = (x, 1, 1, y)
    twice = _cache(*double(*point))
    multiples = [_cache(*point)]
    for _ in range(3):
        point = add(*point, *twice)
        multiples.append(_cache(*point))
    return multiples


def _recover_x(y):
    """One of the two x that belong to a y, or None (RFC 8032 section 5.1.3)."""
    u = y * y - 1
    v = multiply(D * y, y) + 1
    v3 = multiply(multiply(v, v), v)
    x = multiply(multiply(u, v3), power(multiply(multiply(u, v3), multiply(v3, v))))
    square = multiply(x, x) * v
    if (square - u) % P == 0:
        return x % P
    if (square + u) % P == 0:
        return x * _SQRT_M1 % P
    return None


def _cache(e, f, g, h):
    """A completed point in the form that `add` takes."""
    x = multiply(e, f)
    y = multiply(g, h)
    return y + x, y - x, multiply(multiply(e, h), 2 * D), 2 * multiply(f, g)


def _non_adjacent_form(k):
    """The signed digits of k in non-adjacent form of width 4: 0 or odd, -7 to 7, as bytes modulo 256."""
    digits = bytearray(257)
    i = 0
    while k:
        if k & 1:
            digit = (k & 15 ^ 8) - 8
            k -= digit
            digits[i] = digit & 255
        k >>= 1
        i += 1
    return digits

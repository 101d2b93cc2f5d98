"""Ed25519 on Python's big integers (RFC 8032): what a board computes with. Seldom needed, so apart from the others.

Arguments are `bytes` that `ed25519` has checked.
"""

from motemo.crypto._portable import P, clamp, invert, multiply, power, reduce
from motemo.crypto._portable_edwards import (
    L,
    add,
    column,
    comb_digits,
    comb_entry,
    double,
    multiply_base,
    split,
)
from motemo.crypto.points import D
from motemo.crypto.sha512 import sha512

_SQRT_M1 = 19681161376707505956807079304988542015446066515923890162744021073123829784752


def ed25519_public(seed: bytes) -> bytes:
    """The public key of a 32-byte seed (RFC 8032 section 5.1.5)."""
    return _encode(*multiply_base(clamp(sha512(seed)[:32])))


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature (RFC 8032 section 5.1.6)."""
    expanded = sha512(seed)
    a = clamp(expanded[:32])
    r = int.from_bytes(sha512(expanded[32:], message), "little") % L
    # The public key is made anew: a signature that is made with a wrong one gives the private key away.
    public = _encode(*multiply_base(a))
    point = _encode(*multiply_base(r))
    k = int.from_bytes(sha512(point, public, message), "little") % L
    return point + ((r + k * a) % L).to_bytes(32, "little")


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether s B = R + k A (RFC 8032 section 5.1.7, without the cofactor). Nothing here is secret."""
    y = int.from_bytes(public, "little") & (1 << 255) - 1
    x = _recover_x(y)
    if x is None:
        return False
    if x & 1 == public[31] >> 7:
        x = P - x  # for -A
    point = (x, 1, 1, y)
    twice = _cache(*double(*point))
    odd_multiples = [_cache(*point)]
    for _ in range(7):
        point = add(*point, *twice)
        odd_multiples.append(_cache(*point))
    digits = _non_adjacent_form(int.from_bytes(sha512(signature[:32], public, message), "little") % L)
    comb = comb_digits(int.from_bytes(signature[32:], "little"))
    point = (0, 1, 1, 1)
    for i in range(253, -1, -1):
        point = double(*point)
        digit = digits[i]
        if digit > 127:
            plus, minus, t, z = odd_multiples[(256 - digit) >> 1]
            point = add(*point, minus, plus, -t, z)
        elif digit:
            point = add(*point, *odd_multiples[digit >> 1])
        if i < 64:
            negative, index = column(comb, i)
            plus, minus, t = split(comb_entry(index))
            if negative:
                plus, minus, t = minus, plus, -t
            point = add(*point, plus, minus, t)
    return _encode(*point) == signature[:32]


def _encode(e, f, g, h):
    """The 32 bytes of a point (RFC 8032 section 5.1.2)."""
    inverse = invert(multiply(f, g))
    x = reduce(multiply(multiply(e, f), inverse))
    y = reduce(multiply(multiply(g, h), inverse))
    return (y | (x & 1) << 255).to_bytes(32, "little")


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
    """The signed digits of k in non-adjacent form of width 5: 0 or odd, -15 to 15, as bytes modulo 256."""
    digits = bytearray(254)
    i = 0
    while k:
        if k & 1:
            digit = (k & 31 ^ 16) - 16
            k -= digit
            digits[i] = digit & 255
        k >>= 1
        i += 1
    return digits

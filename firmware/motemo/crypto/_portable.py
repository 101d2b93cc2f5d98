"""X25519 on Python's big integers (RFC 7748), and the arithmetic of its field: what a board computes with.

Field elements are integers modulo P = 2^255 - 19, reduced loosely: a product is folded at bit 255, because
2^255 = 19 (mod P). Folded once it has some 263 bits, folded twice hardly more than 255.

No branch depends on a secret, and nothing secret meets `%`, whose time varies (but for the two reductions modulo L
of a signature). A secret bit picks one of two values that were both just computed, by an index: masking would take
longer for ones than for zeros, as the time of big integers depends on their size. For the same reason everything secret
starts from coordinates that a fresh random factor has scaled.

`bytes` that come in have been checked by `curve`.
"""

from motemo.crypto.random import random_bytes

P = (1 << 255) - 19

_M = (1 << 255) - 1


def clamp(scalar: bytes) -> int:
    """The number that 32 bytes stand for as a private key (RFC 7748 section 5)."""
    return int.from_bytes(scalar, "little") & ((1 << 254) - 8) | 1 << 254


def x25519(scalar: bytes, u: bytes) -> bytes:
    """The shared secret (RFC 7748 section 5); all zero where `u` is a point of small order."""
    m = _M
    k = clamp(scalar)
    # The two points do not change places. The one that was doubled last is doubled again, unless this bit of the
    # scalar differs from the bit before; their sum is the same either way.
    swaps = (k ^ k >> 1).to_bytes(32, "little")
    x1 = int.from_bytes(u, "little") & m
    x2 = z3 = int.from_bytes(random_bytes(32), "little")
    z2 = 0
    x3 = x1 * z3
    x3 = (x3 & m) + (x3 >> 255) * 19
    for i in range(254, -1, -1):
        swap = swaps[i >> 3] >> (i & 7) & 1
        a = x2 + z2
        b = x2 - z2
        c = x3 + z3
        d = x3 - z3
        t = a * d
        t = (t & m) + (t >> 255) * 19
        s = b * c
        s = (s & m) + (s >> 255) * 19
        a = (a, c)[swap]
        b = (b, d)[swap]
        x3 = t + s
        x3 *= x3
        x3 = (x3 & m) + (x3 >> 255) * 19
        x3 = (x3 & m) + (x3 >> 255) * 19
        z3 = t - s
        z3 *= z3
        z3 = ((z3 & m) + (z3 >> 255) * 19) * x1
        z3 = (z3 & m) + (z3 >> 255) * 19
        z3 = (z3 & m) + (z3 >> 255) * 19
        a *= a
        a = (a & m) + (a >> 255) * 19
        b *= b
        b = (b & m) + (b >> 255) * 19
        x2 = a * b
        x2 = (x2 & m) + (x2 >> 255) * 19
        x2 = (x2 & m) + (x2 >> 255) * 19
        b = a - b
        z2 = (a + b * 121665) * b
        z2 = (z2 & m) + (z2 >> 255) * 19
        z2 = (z2 & m) + (z2 >> 255) * 19
    # The lowest bit of a private key is 0: the result is the point that was doubled last.
    return fraction(x2, z2)


def multiply(a, b):
    t = a * b
    t = (t & _M) + (t >> 255) * 19
    return (t & _M) + (t >> 255) * 19


def _square_times(a, count, b):
    """a^(2^count) * b."""
    m = _M
    for _ in range(count):
        a *= a
        a = (a & m) + (a >> 255) * 19
        a = (a & m) + (a >> 255) * 19
    return multiply(a, b)


def power(a):
    """a^((P - 5) / 8) = a^(2^252 - 3), always by the same chain; the names are the exponents' lengths in bits."""
    a2 = _square_times(a, 1, a)
    a4 = _square_times(a2, 2, a2)
    a5 = _square_times(a4, 1, a)
    a10 = _square_times(a5, 5, a5)
    a20 = _square_times(a10, 10, a10)
    a40 = _square_times(a20, 20, a20)
    a50 = _square_times(a40, 10, a10)
    a100 = _square_times(a50, 50, a50)
    a200 = _square_times(a100, 100, a100)
    return _square_times(_square_times(a200, 50, a50), 2, a)


def invert(a):
    """a^(P - 2), which is 0 for 0."""
    return _square_times(power(a), 3, _square_times(a, 1, a))


def reduce(a):
    """The one representative below P of an element that was folded twice."""
    return (a + (a + 19 >> 255) * 19) & _M


def fraction(a, b):
    """a / b as 32 bytes."""
    return reduce(multiply(a, invert(b))).to_bytes(32, "little")

"""Points of the Edwards curve: doubling, addition, encoding. What a board computes with, apart from `_portable`,
because it is needed less often than the ladder.

Points are kept "completed": (e, f, g, h) stands for X = e*f, Y = g*h, Z = f*g, T = e*h in extended coordinates (Hisil
and others, 2008), so that a coordinate that nobody needs is never multiplied out.
"""

from motemo.crypto._portable import invert, multiply, reduce

_M = (1 << 255) - 1


def double(e, f, g, h):
    m = _M
    x = e * f
    x = (x & m) + (x >> 255) * 19
    x = (x & m) + (x >> 255) * 19
    y = g * h
    y = (y & m) + (y >> 255) * 19
    y = (y & m) + (y >> 255) * 19
    z = f * g
    z = (z & m) + (z >> 255) * 19
    z = (z & m) + (z >> 255) * 19
    e = x + y
    e *= e
    e = (e & m) + (e >> 255) * 19
    x *= x
    x = (x & m) + (x >> 255) * 19
    y *= y
    y = (y & m) + (y >> 255) * 19
    z *= z
    z = (z & m) + (z >> 255) * 19
    h = x + y
    g = x - y
    return h - e, z + z + g, g, h


def add(e, f, g, h, plus, minus, t2, z2=None):
    """The sum with a point given as y + x, y - x, 2 D x y; where it has a Z, each times Z, and 2 Z."""
    m = _M
    x = e * f
    x = (x & m) + (x >> 255) * 19
    x = (x & m) + (x >> 255) * 19
    y = g * h
    y = (y & m) + (y >> 255) * 19
    y = (y & m) + (y >> 255) * 19
    t = e * h
    t = (t & m) + (t >> 255) * 19
    t = (t & m) + (t >> 255) * 19
    z = f * g
    z = (z & m) + (z >> 255) * 19
    z = (z & m) + (z >> 255) * 19
    a = (y - x) * minus
    a = (a & m) + (a >> 255) * 19
    b = (y + x) * plus
    b = (b & m) + (b >> 255) * 19
    t *= t2
    t = (t & m) + (t >> 255) * 19
    z = multiply(z, z2) if z2 else z + z
    return b - a, z - t, z + t, b + a


def encode(e, f, g, h):
    """The 32 bytes of a point (RFC 8032 section 5.1.2)."""
    inverse = invert(multiply(f, g))
    x = reduce(multiply(multiply(e, f), inverse))
    y = reduce(multiply(multiply(g, h), inverse))
    return (y | (x & 1) << 255).to_bytes(32, "little")

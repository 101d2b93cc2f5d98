"""X25519 on Python's big integers (RFC 7748), and the arithmetic of its two curves: what a board computes with.

Field elements are integers modulo P = 2^255 - 19, reduced loosely: a product is folded at bit 255, because
2^255 = 19 (mod P). Folded once it has some 263 bits, folded twice hardly more than 255.

Points of the Edwards curve are kept "completed": (e, f, g, h) stands for X = e*f, Y = g*h, Z = f*g, T = e*h in
extended coordinates (Hisil and others, 2008), so that a coordinate that nobody needs is never multiplied out.

No branch depends on a secret, and nothing secret meets `%`, whose time varies (but for the two reductions modulo L
of a signature). A secret bit picks one of two values that were both just computed, by an index: masking would take
longer for ones than for zeros, as the time of big integers depends on their size. For the same reason everything secret
starts from coordinates that a fresh random factor has scaled.

`bytes` that come in have been checked by `curve`.
"""

from motemo.crypto.random import random_bytes

P = (1 << 255) - 19
L = (1 << 252) + 27742317777372353535851937790883648493  # the order of the base point B

_M = (1 << 255) - 1
_BIAS = P << 10  # above every coordinate that has been folded once

# Eight points, 2^192 B +- 2^128 B +- 2^64 B +- B (bits 2, 1 and 0 of the index say which are plus), each as y + x,
# y - x and 2 D x y, 32 bytes little-endian.
_COMB = (
    b"\x3e\x38\x73\x24\xc8\xa2\xb0\x4b\x54\x48\x9a\xd3\x1c\xd9\x93\x8b\x51\x8b\x45\xaa\xee\xc2\x83\x64"
    b"\x27\x68\x08\x48\x46\x94\xce\x4b\xad\xd0\x88\xdb\x13\xa8\xe2\xe3\xc1\x4d\xb1\x5b\x3d\xb1\x40\x6f"
    b"\xd2\x2b\x1e\x55\x25\x54\x71\xc6\x6d\x39\x64\xc4\xae\xb7\x05\x40\x1c\x79\xec\x5b\x82\xe1\x80\xcc"
    b"\x25\x76\x6d\xaf\xd0\xa9\xb4\xe0\x98\x2e\xbb\x2f\x7d\x35\x4d\x61\xda\x43\xa6\x63\x76\xbb\x77\x1c"
    b"\xe7\x68\x3e\xae\x59\xb5\xd2\x16\xbd\xac\x47\x58\x73\x62\xc5\x6f\x75\x08\x29\x96\x54\x1f\x89\xb9"
    b"\x66\x8a\xf3\x6f\xcf\xfd\xa8\x43\xb0\x34\x71\x9d\x75\xd2\xde\xe9\x0d\x0a\x7b\x54\x93\xb5\xbc\xe7"
    b"\xfb\x44\x73\x02\xf0\x65\xbc\x5e\xa7\x80\xbc\x89\x8f\x35\x4f\x66\xb4\xeb\x15\x67\x64\x39\xd4\x3d"
    b"\xf1\xa3\xe4\x3b\xf1\x92\x4d\x11\x59\xc1\xd4\x57\x67\x8b\x43\xe1\x85\x6c\xef\x7c\x9c\x7c\xb5\x51"
    b"\x81\x47\x04\xac\x05\x3e\x14\x99\x52\x86\x72\xc6\xa6\xfd\x80\x55\xd2\xbc\x15\x0c\xd9\x84\xf4\x3e"
    b"\x57\x26\xce\x48\x1e\x9c\x9d\x1d\xc9\xd5\x0d\x5a\x65\x1b\x33\x1f\xd3\x2b\x86\xc9\x61\x5f\x54\x0b"
    b"\x33\x78\x73\x15\xb3\x89\x97\x39\x5c\xd4\x43\x77\x90\x73\x50\x13\xab\x1e\xad\xf5\x2f\x86\xe0\x13"
    b"\x7a\xd1\x71\x90\xb9\x63\xfa\xfe\xeb\x8c\x82\xf3\x93\x66\x37\xd8\x5a\x05\x5d\x4a\xb1\xe7\x56\x0a"
    b"\x9c\x8c\x5f\x25\x6a\xce\xcf\xad\xee\x88\x44\xc9\x41\x77\xd8\x8b\xfd\x5b\x44\x04\xd4\x94\x3a\x09"
    b"\x8a\x14\xe9\xfc\xf3\x11\x25\x7b\x3e\x5b\x23\xbf\xf7\x46\x42\x12\xcb\x7d\xd8\x1e\x54\x6e\x7e\xe8"
    b"\x92\x55\x38\xc1\x34\xec\x52\x78\x13\x5f\x42\x65\x88\x5a\x18\x7c\xef\xaf\xd9\x9e\x8e\x81\x4f\x97"
    b"\x19\x7c\x06\x6b\x01\x39\x33\x03\xa5\xf0\x65\xa1\xdd\x9a\x7c\x44\xb5\x57\x18\x14\xa0\x04\x64\x59"
    b"\x8d\x0c\xbf\xd8\x1f\x1b\x89\xf7\xc9\xae\x0b\x9f\x8b\x27\x52\xb3\x33\xe2\xcd\xac\x39\x17\x26\x08"
    b"\x5c\xc8\xd9\xf2\x54\x87\x68\x6e\x2d\x4a\x94\x84\x91\x8f\x63\x82\x04\x30\x82\x97\xad\xae\x54\x61"
    b"\xee\xac\xc0\x2f\xdf\x49\xa3\x78\xc0\x59\xe0\x47\xa4\xdd\xaa\x11\xb9\xcf\x54\xf2\xd9\x33\x63\xa3"
    b"\xda\xc3\xef\x0d\x54\x3c\xf8\xbe\xa2\xca\x6f\xf5\xc3\xf8\x96\x8e\xbb\xad\x77\x4b\x23\xb2\xcc\x42"
    b"\x33\xd9\xfd\x77\x68\xfd\xd2\xcc\x42\x9e\x75\x43\xfe\x6e\x77\x82\x74\xc3\x97\xe4\x9f\xf4\xc4\xde"
    b"\x1a\x8c\x24\x48\x57\x69\x44\x5e\xab\x71\x9a\x2f\xc4\x80\xf8\x63\x3a\x06\x02\x91\xb0\x91\x0b\x45"
    b"\xd1\x1b\x29\xd4\x82\x7c\xe9\x46\x6e\xfb\xa8\xf8\xb3\xfe\xd2\x43\xfe\x1f\x09\x97\x74\x16\xbd\x28"
    b"\x08\xa7\x4b\x9d\xd0\x95\x29\x70\x94\xed\x00\x5f\x1a\xd3\x37\xfb\xbc\x12\x14\x9f\xef\xfb\x4e\x15"
    b"\xa2\x53\x60\x15\xc8\x2e\x7b\x05\x29\x91\xfd\xf2\x26\xb4\xac\x0d\xd5\xdd\x10\xbd\x20\x8d\x0d\xe3"
    b"\x2e\xb3\x9b\x07\x9d\x96\xb7\x27\x9d\x11\x1a\x27\xb0\x74\x7e\x08\x42\x1f\x0e\x0b\x27\xe0\xc0\x67"
    b"\x8f\x64\x2b\x0d\x9d\x83\xdc\xee\x8b\x8a\x9c\xfb\x96\xa0\xe6\x6a\x81\x82\x8d\x90\x5a\x3e\x24\xa7"
    b"\xd1\x8c\x51\x8f\xda\x8c\xe1\x72\xac\xdc\x8d\x1f\x3b\xe8\xe3\xf2\x3c\x7b\x8f\xbd\xba\x3d\xd1\x70"
    b"\x42\xb8\xfb\x47\x67\xeb\x7e\x13\x8b\x1a\x81\x60\x75\x5c\xdf\x79\x9a\xc8\xf8\x71\x6f\xa7\x2b\x5a"
    b"\xc2\xff\xc8\x3b\x56\x2a\x95\x09\x3c\xf8\x7e\xdc\x4b\xcb\xa8\xa2\x26\xc2\x93\x5f\xfa\xc6\xb5\x96"
    b"\xa5\xe3\x64\x06\x1b\xeb\xeb\xd4\x2f\xcf\xc6\xe5\xdc\x4a\x9b\x40\xc4\x50\x43\x83\xb9\x3d\xd5\x44"
    b"\xb4\x05\xf5\xa5\x05\x93\x29\x89\x2f\xff\x49\x59\xa2\xfa\x22\xfb\x64\x7d\x65\x04\xa7\x68\xb9\x69"
)


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
    return _fraction(x2, z2)


def x25519_public(scalar: bytes) -> bytes:
    """The public key, u = (Z + Y) / (Z - Y) of the multiple of the Edwards curve's base point."""
    _, f, _, h = multiply_base(clamp(scalar))
    return _fraction(f + h, f - h)


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


def _fraction(a, b):
    """a / b as 32 bytes."""
    return reduce(multiply(a, invert(b))).to_bytes(32, "little")


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


def multiply_base(k):
    """k B by a comb of four teeth with 64 columns: signed digits, so that no column is empty."""
    comb = comb_digits(k)
    entries = [comb_entry(i) for i in range(8)]
    f = h = int.from_bytes(random_bytes(32), "little")
    e = before = 0
    g = 1
    for i in range(63, -1, -1):
        e, f, g, h = double(e, f, g, h)
        negative, index = column(comb, i)
        # Where the column is negative the sum is kept negated (x and so e), instead of the entry. The bias, a multiple
        # of P, keeps e positive either way: negative numbers take longer.
        e = e * (1 - 2 * (negative ^ before)) + _BIAS
        before = negative
        # Every entry is added, all but one times 0; the topmost bit keeps the sum's length the same throughout.
        entry = 1 << 768
        for j in range(8):
            entry += entries[j] * ((j ^ index) - 1 >> 3 & 1)
        plus, minus, t = split(entry)
        e, f, g, h = add(e, f, g, h, plus, minus, t)
    return e * (1 - 2 * before) + _BIAS, f, g, h


def comb_digits(k):
    """The comb's digits of k as 32 bytes: a bit that is set stands for plus, one that is not for minus.

    Only an odd number has such digits, so L is added once or twice, which makes no difference to the base point.
    """
    k += (1 + (k & 1)) * L
    return (k + (1 << 256) - 1 >> 1).to_bytes(32, "little")


def column(comb, i):
    """Column i of the comb: whether its entry is to be negated (0 or 1), and the entry's index."""
    byte = i >> 3
    bit = i & 7
    negative = comb[byte + 24] >> bit & 1 ^ 1
    index = comb[byte] >> bit & 1 | (comb[byte + 8] >> bit & 1) << 1 | (comb[byte + 16] >> bit & 1) << 2
    return negative, index ^ 7 * negative


def comb_entry(index):
    return int.from_bytes(_COMB[96 * index : 96 * index + 96], "little")


def split(entry):
    return entry & _M, entry >> 256 & _M, entry >> 512 & _M

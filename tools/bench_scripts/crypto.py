"""Milliseconds that the primitives and a whole message take, beside a plain X25519 ladder. Runs on MicroPython.

The message is a reading that one engine seals and another one opens in the middle of a session, with all that is
loaded and stored for it, but to memory instead of flash.

Each figure is the least of `ROUNDS` measurements: what else the machine does can only add to it. The functions take
turns, so that a busy while meets all alike, and garbage is collected in between, so that nobody pays for another's.
"""

import gc
import time

from motemo.crypto import curve, ed25519, kdf, sha512
from motemo.crypto.random import random_bytes

ROUNDS = 25


def plain_x25519(scalar, u):
    """The baseline: the ladder of RFC 7748 section 5 with `x*y % p` for each product, without any protection."""
    p = (1 << 255) - 19
    k = int.from_bytes(scalar, "little") & ((1 << 254) - 8) | 1 << 254
    x1 = int.from_bytes(u, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3 = 1, 0, x1, 1
    for i in range(254, -1, -1):
        bit = k >> i & 1
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a = x2 + z2
        b = x2 - z2
        da = (x3 - z3) * a % p
        cb = (x3 + z3) * b % p
        aa = a * a % p
        bb = b * b % p
        e = aa - bb
        x3 = da + cb
        x3 = x3 * x3 % p
        z3 = da - cb
        z3 = x1 * (z3 * z3 % p) % p
        x2 = aa * bb % p
        z2 = e * (aa + 121665 * e) % p
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, p - 2, p) % p).to_bytes(32, "little")


def figures():
    """The figures by their dotted keys. AssertionError if the baseline computes something else than we do."""
    found = primitives()
    found["crypto.x25519_to_plain"] = found["crypto.x25519_ms"] / found["crypto.x25519_plain_ms"]
    found.update(message())
    return found


def primitives():
    """The figures of `motemo.crypto`, all measured in turn."""
    scalar = random_bytes(32)
    u = curve.x25519_public(random_bytes(32))
    seed = random_bytes(32)
    public = ed25519.ed25519_public(seed)
    message = random_bytes(32)  # a signed prekey has 32 bytes
    signature = ed25519.ed25519_sign(seed, message)
    assert plain_x25519(scalar, u) == curve.x25519(scalar, u)
    return measure(
        {
            "crypto.x25519_ms": lambda: curve.x25519(scalar, u),
            "crypto.x25519_plain_ms": lambda: plain_x25519(scalar, u),
            "crypto.ed25519_sign_ms": lambda: ed25519.ed25519_sign(seed, message),
            "crypto.ed25519_verify_ms": lambda: ed25519.ed25519_verify(public, message, signature),
            "crypto.prekey_ms": lambda: curve.x25519_public(random_bytes(32)),
            "crypto.sha512_ms": lambda: sha512.sha512(bytes(1024)),
            "crypto.hkdf_ms": lambda: kdf.hkdf_sha256(scalar, bytes(32), b"OMEMO Message Key Material", 80),
        }
    )


def message():
    """The figure of the engine. It comes last: big integers take longer when there is more on the heap."""
    from tools.bench_scripts import _pair

    board, owner = _pair.pair()

    def seal_open():
        opened = owner.open(_pair.BOARD, board.seal([_pair.OWNER], "temperature 21.5 °C"))
        assert opened.trusted and opened.envelope.body

    return measure({"crypto.seal_open_ms": seal_open})


def measure(functions):
    """The least milliseconds of each function."""
    taken = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            gc.collect()
            start = time.ticks_us()
            function()
            taken[name].append(time.ticks_diff(time.ticks_us(), start))
    return {name: min(times) / 1000 for name, times in taken.items()}

"""Signatures in libsignal's XEdDSA form: vectors of both sign bits, our own signatures, what is refused."""

from motemo.crypto import ed25519
from motemo.crypto.points import edwards_to_montgomery
from motemo.crypto.xeddsa import montgomery_to_edwards, xeddsa_verify
from motemo.errors import RemoteError
from tests.covers import covers
from tests.raises import raises

MESSAGE = b"\5" + bytes(range(32))
# (Curve25519 key, signature, Ed25519 key) with sign bit 0 and 1; made by the xeddsa package, the bit put where the
# legacy dialect has it.
VECTORS = (
    (
        "6984a49385c0be4d1ae0887570f7aff4f39d19c9f9794168a190ccc5108dca1f",
        "ea01738965f62cfb5eadf58d10e98a84f8ecd0fc7e1912c0ad657087670b14db"
        "1b7d457996873af154f880db5e5f8b7868015e993af8b5c6474932b24e88650a",
        "453ba099a321e77fb9e789ab8b2ed59f82ef3aed76a4a388422941e9f8bbe676",
    ),
    (
        "6b37589ba0b69acb3f3414cedc95d6c7bb18863ce262acccfc1a3b36ea827c44",
        "f5201da9666b88326bc3d8b7110a851c9ee566b2d03fa720c5d051dbd7edef6e"
        "bee12e6db780a6e6855a67ebe193ae32fd9398a56a6f8719398dd1b4f25e5e80",
        "d10774e19ed8b9b213430cb58c4e7bf274cd3d31e86da0fca17ae7d11517f6a5",
    ),
)


def vectors():
    return [[bytes.fromhex(part) for part in vector] for vector in VECTORS]


@covers("O-009", "O-011")
def test_both_sign_bits():
    for bit, (public, signature, edwards) in enumerate(vectors()):
        assert signature[63] >> 7 == bit
        xeddsa_verify(public, MESSAGE, signature)
        assert montgomery_to_edwards(public, bit) == edwards
        assert edwards_to_montgomery(edwards) == public


def test_the_other_sign_bit_and_other_messages_are_refused():
    for public, signature, _ in vectors():
        other = signature[:63] + bytes((signature[63] ^ 128,))
        raises(RemoteError, "bad-signature", xeddsa_verify, public, MESSAGE, other)
        raises(RemoteError, "bad-signature", xeddsa_verify, public, MESSAGE[1:], signature)
        raises(RemoteError, "bad-signature", xeddsa_verify, public, MESSAGE, signature[:62] + b"\x00" + signature[63:])


@covers("O-011", "O-012")
def test_an_ordinary_signature_of_a_key_with_sign_bit_0():
    number = 0
    public = b"\xff" * 32
    while public[31] > 127:
        number += 1
        seed = bytes((number,)) * 32
        public = ed25519.ed25519_public(seed)
    xeddsa_verify(edwards_to_montgomery(public), MESSAGE, ed25519.ed25519_sign(seed, MESSAGE))


def test_keys_that_are_none():
    public, signature, _ = vectors()[0]
    p = (1 << 255) - 19
    for u in (p, p + 9, (1 << 255) + 9, (1 << 256) - 1):
        raises(RemoteError, "bad-point", xeddsa_verify, u.to_bytes(32, "little"), MESSAGE, signature)
    for u in (0, 1, p - 1, 2):  # of small order, at infinity, on the twist
        raises(RemoteError, "bad-signature", xeddsa_verify, u.to_bytes(32, "little"), MESSAGE, signature)
    raises(RemoteError, "length", xeddsa_verify, public + b"\x05", MESSAGE, signature)
    raises(RemoteError, "length", xeddsa_verify, public, MESSAGE, signature[1:])

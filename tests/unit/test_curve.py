"""X25519: RFC 7748's vectors, and what is refused, the same on every interpreter."""

from motemo.crypto import _portable, _portable_comb
from motemo.crypto.curve import x25519, x25519_public
from motemo.errors import LocalError, RemoteError, StateError
from tests.covers import covers
from tests.raises import raises
from tests.unit.test_random import with_source

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
NINE = b"\x09" + bytes(31)
SEED = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")


def little(number):
    return number.to_bytes(32, "little")


def test_x25519_rfc7748():
    for scalar, u, shared in (
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ):
        assert x25519(bytes.fromhex(scalar), bytes.fromhex(u)) == bytes.fromhex(shared)


def iterate(count):
    """RFC 7748 section 5.2: the result becomes the next scalar, the scalar the next u."""
    scalar = u = NINE
    for _ in range(count):
        scalar, u = x25519(scalar, u), scalar
    return scalar


def test_x25519_rfc7748_once():
    assert iterate(1) == bytes.fromhex("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079")


def test_slow_x25519_rfc7748_a_thousand_times():
    assert iterate(1000) == bytes.fromhex("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51")


@covers("O-013")
def test_x25519_rfc7748_key_agreement():
    alice = bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    alice_public = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    bob = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    bob_public = bytes.fromhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    shared = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    assert x25519_public(alice) == alice_public
    assert x25519_public(bob) == bob_public
    assert x25519(alice, bob_public) == x25519(bob, alice_public) == shared


def test_public_key_is_the_ladder_from_nine():
    for scalar in (bytes(32), b"\xff" * 32, SEED, bytes(range(32)), little(L), little(2**254 + 8)):
        assert x25519_public(scalar) == x25519(scalar, NINE)


def test_u_that_is_not_canonical():
    expected = x25519_public(SEED)
    assert x25519(SEED, little(P + 9)) == expected
    assert x25519(SEED, little(2**255 + 9)) == expected
    assert x25519(SEED, little(2**255 + P + 9)) == expected


def test_all_zero_secret_is_refused():
    order_8 = (
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    )
    numbers = (0, 1, P - 1, P, P + 1, 2**255, 2**255 + 1)
    for u in [little(number) for number in numbers] + [bytes.fromhex(text) for text in order_8]:
        raises(RemoteError, "weak-key", x25519, SEED, u)


@covers("O-013")
def test_lengths_of_x25519_keys():
    # A type byte before the 32 bytes, as the legacy dialect has it, is not part of a key.
    for length in (0, 31, 33):
        raises(RemoteError, "length", x25519, SEED, bytes((5,) * length))
        raises(LocalError, "length", x25519, bytes(length), NINE)
        raises(LocalError, "length", x25519_public, bytes(length))
    assert len(x25519_public(SEED)) == 32


def blinded(function, *args):
    """Calls `function` twice, each time with other random bytes: they are drawn, and they make no difference."""
    drawn = []

    def source(count):
        drawn.append(count)
        return bytes((len(drawn),)) * count

    result = with_source(source, function, *args)
    calls = len(drawn)
    assert calls > 0
    assert with_source(source, function, *args) == result
    assert len(drawn) == 2 * calls
    raises(StateError, "random", with_source, None, function, *args)


def test_every_call_is_blinded_anew():
    blinded(_portable.x25519, SEED, _portable_comb.x25519_public(SEED))
    blinded(_portable_comb.x25519_public, SEED)

"""Ed25519: RFC 8032's vectors, its map to Curve25519, and what is refused, the same on every interpreter."""

from motemo.crypto import _portable_sign
from motemo.crypto.curve import x25519, x25519_public
from motemo.crypto.ed25519 import (
    ed25519_public,
    ed25519_sign,
    ed25519_verify,
    identity_scalar,
)
from motemo.crypto.points import edwards_to_montgomery
from motemo.crypto.sha512 import sha512
from motemo.errors import LocalError, RemoteError
from tests.covers import covers
from tests.raises import raises
from tests.unit.test_curve import NINE, L, P, blinded, little

# RFC 8032 section 7.1, TEST 1, 2, 3 and 1024: seed, public key, message, signature.
MESSAGE_1024 = (
    "08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98fa6e264bf09efe12ee50f8f54e9f77b1e355f6c50544e23f"
    "b1433ddf73be84d879de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d658675fc6ea534e0810a4432826bf58c"
    "941efb65d57a338bbd2e26640f89ffbc1a858efcb8550ee3a5e1998bd177e93a7363c344fe6b199ee5d02e82d522c4feba15452f80288a82"
    "1a579116ec6dad2b3b310da903401aa62100ab5d1a36553e06203b33890cc9b832f79ef80560ccb9a39ce767967ed628c6ad573cb116dbef"
    "efd75499da96bd68a8a97b928a8bbc103b6621fcde2beca1231d206be6cd9ec7aff6f6c94fcd7204ed3455c68c83f4a41da4af2b74ef5c53"
    "f1d8ac70bdcb7ed185ce81bd84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2d17ba70eb6248e594e1a2297acbbb39d"
    "502f1a8c6eb6f1ce22b3de1a1f40cc24554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f27088d78b7e883c8759"
    "d2c4f5c65adb7553878ad575f9fad878e80a0c9ba63bcbcc2732e69485bbc9c90bfbd62481d9089beccf80cfe2df16a2cf65bd92dd597b07"
    "07e0917af48bbb75fed413d238f5555a7a569d80c3414a8d0859dc65a46128bab27af87a71314f318c782b23ebfe808b82b0ce26401d2e22"
    "f04d83d1255dc51addd3b75a2b1ae0784504df543af8969be3ea7082ff7fc9888c144da2af58429ec96031dbcad3dad9af0dcbaaaf268cb8"
    "fcffead94f3c7ca495e056a9b47acdb751fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301651339e22904cc8c42f58c30c04aafdb"
    "038dda0847dd988dcda6f3bfd15c4b4c4525004aa06eeff8ca61783aacec57fb3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34df"
    "f7310fdc82aebfd904b01e1dc54b2927094b2db68d6f903b68401adebf5a7e08d78ff4ef5d63653a65040cf9bfd4aca7984a74d371459867"
    "80fc0b16ac451649de6188a7dbdf191f64b5fc5e2ab47b57f7f7276cd419c17a3ca8e1b939ae49e488acba6b965610b5480109c8b17b80e1"
    "b7b750dfc7598d5d5011fd2dcc5600a32ef5b52a1ecc820e308aa342721aac0943bf6686b64b2579376504ccc493d97e6aed3fb0f9cd71a4"
    "3dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5fb93246f6b1116398a346f1a641f3b041e989f7914f90cc2c7fff357876e506b5"
    "0d334ba77c225bc307ba537152f3f1610e4eafe595f6d9d90d11faa933a15ef1369546868a7f3a45a96768d40fd9d03412c091c6315cf4fd"
    "e7cb68606937380db2eaaa707b4c4185c32eddcdd306705e4dc1ffc872eeee475a64dfac86aba41c0618983f8741c5ef68d3a101e8a3b8ca"
    "c60c905c15fc910840b94c00a0b9d0"
)
RFC8032 = (
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        "d25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
        "387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
        "4a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
        "278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e",
        MESSAGE_1024,
        "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f4528ecea23c436d94b"
        "5e8fcd4f681e30a6ac00a9704a188a03",
    ),
)
SEED, PUBLIC, MESSAGE, SIGNATURE = [bytes.fromhex(text) for text in RFC8032[2]]

# The y coordinates of the eight points of small order; the last two, of order 8, are each other's negatives.
_Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER_Y = (1, P - 1, 0, _Y8, P - _Y8)


@covers("O-011")
def test_ed25519_rfc8032():
    for vector in RFC8032:
        seed, public, message, signature = [bytes.fromhex(text) for text in vector]
        assert ed25519_public(seed) == public
        assert ed25519_sign(seed, message) == signature
        ed25519_verify(public, message, signature)


def test_what_was_changed_does_not_verify():
    other = ed25519_public(MESSAGE * 16)
    raises(RemoteError, "bad-signature", ed25519_verify, other, MESSAGE, SIGNATURE)
    raises(RemoteError, "bad-signature", ed25519_verify, PUBLIC, MESSAGE + b"\x00", SIGNATURE)
    for at in (0, 31, 32, 63):
        for bit in (1, 128):
            changed = bytearray(SIGNATURE)
            changed[at] ^= bit
            raises(RemoteError, "bad-signature", ed25519_verify, PUBLIC, MESSAGE, bytes(changed))
            if at < 32:
                changed = bytearray(PUBLIC)
                changed[at] ^= bit
                raises(RemoteError, "bad-signature", ed25519_verify, bytes(changed), MESSAGE, SIGNATURE)


def test_malleable_signature_is_refused():
    s = int.from_bytes(SIGNATURE[32:], "little")
    for number in (s + L, s + 2 * L):
        raises(RemoteError, "bad-signature", ed25519_verify, PUBLIC, MESSAGE, SIGNATURE[:32] + little(number))
    raises(RemoteError, "bad-signature", ed25519_verify, PUBLIC, MESSAGE, SIGNATURE[:32] + little(L))


def test_public_key_of_small_order_is_refused():
    # With the neutral point as public key, R = s B is a signature of whatever message.
    s = int.from_bytes(identity_scalar(SEED), "little") % L
    signature = PUBLIC + little(s)
    for y in SMALL_ORDER_Y:
        for sign in (0, 2**255):
            raises(RemoteError, "bad-signature", ed25519_verify, little(y + sign), MESSAGE, signature)
            raises(RemoteError, "bad-point", edwards_to_montgomery, little(y + sign))


def test_public_key_that_is_not_canonical_is_refused():
    for y in range(19):
        for sign in (0, 2**255):
            raises(RemoteError, "bad-signature", ed25519_verify, little(y + P + sign), MESSAGE, SIGNATURE)
            raises(RemoteError, "bad-point", edwards_to_montgomery, little(y + P + sign))
    # 3 is the y of a point of large order, so it is the encoding that is refused.
    edwards_to_montgomery(little(3))


def test_r_of_small_order():
    # R is the neutral point: s = k a. RFC 8032 has nothing against it, in its canonical encoding.
    a = int.from_bytes(identity_scalar(SEED), "little")
    for r, accepted in ((1, True), (P + 1, False), (2**255 + 1, False)):
        k = int.from_bytes(sha512(little(r), PUBLIC, MESSAGE), "little")
        signature = little(r) + little(k * a % L)
        if accepted:
            ed25519_verify(PUBLIC, MESSAGE, signature)
        else:
            raises(RemoteError, "bad-signature", ed25519_verify, PUBLIC, MESSAGE, signature)


def test_point_off_the_curve_is_refused():
    for y in (2, 7, 8):
        raises(RemoteError, "bad-point", edwards_to_montgomery, little(y))
        raises(RemoteError, "bad-signature", ed25519_verify, little(y), MESSAGE, SIGNATURE)


def test_lengths_of_ed25519_keys_and_signatures():
    for length in (0, 31, 33):
        raises(LocalError, "length", ed25519_public, bytes(length))
        raises(LocalError, "length", ed25519_sign, bytes(length), MESSAGE)
        raises(LocalError, "length", identity_scalar, bytes(length))
        raises(RemoteError, "length", ed25519_verify, bytes(length), MESSAGE, SIGNATURE)
        raises(RemoteError, "length", edwards_to_montgomery, bytes(length))
    raises(RemoteError, "length", ed25519_verify, PUBLIC, MESSAGE, SIGNATURE[:63])
    raises(RemoteError, "length", ed25519_verify, PUBLIC, MESSAGE, SIGNATURE + b"\x00")


@covers("O-009")
def test_map_of_the_base_point():
    # RFC 7748 section 4.1: y = 4 / 5 there is u = 9 here, whichever the sign of x.
    base = b"\x58" + b"\x66" * 31
    assert edwards_to_montgomery(base) == NINE
    assert edwards_to_montgomery(base[:31] + b"\xe6") == NINE


@covers("O-009", "O-010", "O-011")
def test_identity_key_in_both_forms():
    # The vector of libsodium's own test of its maps.
    seed = bytes.fromhex("421151a459faeade3d247115f94aedae42318124095afabe4d1451a559faedee")
    scalar = bytes.fromhex("8052030376d47112be7f73ed7a019293dd12ad910b654455798b4667d73de166")
    u = bytes.fromhex("f1814f0e8ff1043d8a44d25babff3cedcae6c22c3edaa48f857ae70de2baae50")
    assert identity_scalar(seed) == scalar
    assert edwards_to_montgomery(ed25519_public(seed)) == x25519_public(scalar) == u
    assert x25519(scalar, x25519_public(SEED)) == x25519(SEED, u)
    ed25519_verify(ed25519_public(seed), MESSAGE, ed25519_sign(seed, MESSAGE))


def test_every_secret_multiplication_is_blinded_anew():
    blinded(_portable_sign.ed25519_public, SEED)
    blinded(_portable_sign.ed25519_sign, SEED, MESSAGE)

"""HMAC-SHA-256 and HKDF-SHA-256: the RFCs' vectors; the comparison of tags."""

from motemo.crypto.kdf import equal, hkdf_sha256, hmac_sha256
from motemo.errors import LocalError
from tests.raises import raises

_HEX = bytes.fromhex


def test_hmac_rfc4231():
    # Cases 1, 2, 3, 6 (a key longer than a block) and 7.
    cases = (
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            b"\xaa" * 131,
            b"This is a test using a larger than block-size key and a larger than block-size data. "
            b"The key needs to be hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    )
    for key, message, tag in cases:
        assert hmac_sha256(key, message) == _HEX(tag)


def test_hmac_parts_are_one_message():
    assert hmac_sha256(b"Jefe", b"what do ya ", b"", b"want for nothing?") == _HEX(
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    assert hmac_sha256(b"Jefe") == hmac_sha256(b"Jefe", b"")


def test_hmac_key_of_one_block():
    # A key of 64 bytes is used as it is, one of 65 is hashed.
    assert hmac_sha256(b"k" * 64, b"m") != hmac_sha256(b"k" * 65, b"m")
    assert hmac_sha256(b"k", b"m") == hmac_sha256(b"k" + bytes(63), b"m")


def test_hkdf_rfc5869_case_1():
    okm = hkdf_sha256(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)), 42)
    assert okm == _HEX("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")


def test_hkdf_rfc5869_case_2():
    okm = hkdf_sha256(bytes(range(0x50)), bytes(range(0x60, 0xB0)), bytes(range(0xB0, 0x100)), 82)
    assert okm == _HEX(
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
        "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
    )


def test_hkdf_rfc5869_case_3():
    okm = hkdf_sha256(b"\x0b" * 22, b"", b"", 42)
    assert okm == _HEX("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
    assert okm == hkdf_sha256(b"\x0b" * 22, bytes(32), b"", 42)


def test_hkdf_lengths():
    longest = hkdf_sha256(b"key", b"", b"", 255 * 32)
    assert len(longest) == 8160
    assert hkdf_sha256(b"key", b"", b"", 1) == longest[:1]
    raises(LocalError, "length", hkdf_sha256, b"key", b"", b"", 8161)
    raises(LocalError, "length", hkdf_sha256, b"key", b"", b"", 0)


def test_equal():
    tag = bytes(range(100, 116))
    assert equal(tag, bytes(tag))
    assert equal(b"", b"")
    for at in range(16):
        for bit in (1, 128):
            other = bytearray(tag)
            other[at] ^= bit
            assert not equal(tag, bytes(other))
    assert not equal(tag, tag[:15])
    assert not equal(tag, tag + b"\x00")
    assert not equal(b"", tag)

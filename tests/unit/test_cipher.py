"""AES-256-CBC with PKCS#7: NIST's vectors, every length of padding, what is refused."""

from motemo.crypto.cipher import cbc_decrypt, cbc_encrypt
from motemo.errors import LocalError, RemoteError
from tests.raises import raises

# NIST SP 800-38A F.2.5 and F.2.6, CBC-AES256.
KEY = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
IV = bytes.fromhex("000102030405060708090a0b0c0d0e0f")
PLAINTEXT = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
CIPHERTEXT = bytes.fromhex(
    "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
    "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b"
)


def with_padding(padded):
    """The ciphertext of a plaintext that brings its own padding: the block that we add is cut off."""
    return cbc_encrypt(KEY, IV, padded)[: len(padded)]


def test_nist_encryption():
    assert with_padding(PLAINTEXT) == CIPHERTEXT


def test_nist_decryption():
    # The vector has no padding. CBC heals itself: the block after a cut decrypts with the block before as its IV.
    last = CIPHERTEXT[-16:]
    full_pad = cbc_encrypt(KEY, last, b"")
    assert cbc_decrypt(KEY, IV, CIPHERTEXT + full_pad) == PLAINTEXT


def test_every_length_of_padding():
    for length in range(50):
        ciphertext = cbc_encrypt(KEY, IV, PLAINTEXT[:length])
        assert len(ciphertext) == length // 16 * 16 + 16
        assert cbc_decrypt(KEY, IV, ciphertext) == PLAINTEXT[:length]


def test_the_whole_padding_is_checked():
    good = PLAINTEXT[:16] + b"\x10" * 16
    assert cbc_decrypt(KEY, IV, with_padding(good)) == PLAINTEXT[:16]
    for at in range(16, 32):
        bad = bytearray(good)
        bad[at] ^= 0x20
        raises(RemoteError, "format", cbc_decrypt, KEY, IV, with_padding(bytes(bad)))
    for last in (b"\x00", b"\x11", b"\xff"):
        raises(RemoteError, "format", cbc_decrypt, KEY, IV, with_padding(last * 16))


def test_padding_stays_within_the_message():
    raises(RemoteError, "format", cbc_decrypt, KEY, IV, with_padding(b"\x20" * 32))


def test_ciphertext_is_whole_blocks():
    for length in (0, 1, 15, 17, 31):
        raises(RemoteError, "length", cbc_decrypt, KEY, IV, CIPHERTEXT[:length])


def test_lengths_of_key_and_iv():
    for function in (cbc_encrypt, cbc_decrypt):
        raises(LocalError, "length", function, KEY[:16], IV, CIPHERTEXT)
        raises(LocalError, "length", function, KEY, IV[:12], CIPHERTEXT)

"""AES-128-GCM: NIST's vectors, lengths around blocks and batches, what is refused."""

from motemo.crypto.gcm import gcm_decrypt, gcm_encrypt
from motemo.errors import LocalError, RemoteError
from tests.raises import raises

# McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test cases 1 to 4 (the vectors that NIST took
# over): key, IV, plaintext, additional data, ciphertext, tag.
_KEY = "feffe9928665731c6d6a8f9467308308"
_TEXT = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
)
_CIPHERTEXT = (
    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985"
)
VECTORS = (
    ("00" * 16, "00" * 12, "", "", "", "58e2fccefa7e3061367f1d57a4e7455a"),
    ("00" * 16, "00" * 12, "00" * 16, "", "0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf"),
    (_KEY, "cafebabefacedbaddecaf888", _TEXT, "", _CIPHERTEXT, "4d5c2af327cd64a62cf35abd2ba6fab4"),
    (
        _KEY,
        "cafebabefacedbaddecaf888",
        _TEXT[:120],
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        _CIPHERTEXT[:120],
        "5bc94fbc3221a5db94fae95ae7121a47",
    ),
)
KEY = bytes(range(16))
IV = bytes(range(12))


def test_nist_vectors():
    for vector in VECTORS:
        key, iv, plaintext, more, ciphertext, tag = [bytes.fromhex(part) for part in vector]
        assert gcm_encrypt(key, iv, plaintext, more) == (ciphertext, tag)
        assert gcm_decrypt(key, iv, ciphertext, tag, more) == plaintext


def test_every_length_around_blocks_and_batches():
    for length in (0, 1, 15, 16, 17, 31, 255, 256, 257, 513):
        plaintext = (b"0123456789" * 52)[:length]
        ciphertext, tag = gcm_encrypt(KEY, IV, plaintext)
        assert len(ciphertext) == length and len(tag) == 16
        assert gcm_decrypt(KEY, IV, ciphertext, tag) == plaintext


def test_an_iv_of_16_bytes():
    """As old senders have it; made by the `cryptography` package."""
    ciphertext, tag = gcm_encrypt(KEY, bytes(range(16)), b"21.5 degrees, and a little more text")
    assert ciphertext == bytes.fromhex("9899bdabb9e6aca483dd721da85fc99120c1dd83a530b9144b44f0888ae78e503ae4c8b5")
    assert tag == bytes.fromhex("cd6810814aed61e7659f42e0b0675233")


def test_what_is_changed_is_refused():
    ciphertext, tag = gcm_encrypt(KEY, IV, b"a message of some length", b"more")
    for at in range(16):
        bad = bytearray(tag)
        bad[at] ^= 0x80
        raises(RemoteError, "payload", gcm_decrypt, KEY, IV, ciphertext, bytes(bad), b"more")
    for at in range(len(ciphertext)):
        bad = bytearray(ciphertext)
        bad[at] ^= 1
        raises(RemoteError, "payload", gcm_decrypt, KEY, IV, bytes(bad), tag, b"more")
    raises(RemoteError, "payload", gcm_decrypt, KEY, IV, ciphertext + b"\0", tag, b"more")
    raises(RemoteError, "payload", gcm_decrypt, KEY, IV, ciphertext, tag, b"mort")
    raises(RemoteError, "payload", gcm_decrypt, KEY, bytes(12), ciphertext, tag, b"more")


def test_lengths():
    for iv in (b"", IV[:11], IV + b"\0"):
        raises(LocalError, "length", gcm_encrypt, KEY, iv, b"")
        raises(RemoteError, "length", gcm_decrypt, KEY, iv, b"", bytes(16))
    raises(LocalError, "length", gcm_encrypt, KEY + KEY, IV, b"")
    for tag in (b"", bytes(8), bytes(15), bytes(17)):
        raises(RemoteError, "length", gcm_decrypt, KEY, IV, b"", tag)

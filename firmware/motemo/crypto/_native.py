"""What `_portable` and a board's `cryptolib` do, done by PyNaCl and `cryptography`. CPython only, never on a board."""

import hashlib

import nacl.bindings
import nacl.exceptions
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC


def x25519(scalar: bytes, u: bytes) -> bytes:
    """The shared secret (RFC 7748 section 5); all zero where `u` is a point of small order."""
    try:
        return nacl.bindings.crypto_scalarmult(scalar, u)
    except nacl.exceptions.CryptoError:  # libsodium refuses an all-zero secret by itself
        return bytes(32)


def x25519_public(scalar: bytes) -> bytes:
    """The public key."""
    return nacl.bindings.crypto_scalarmult_base(scalar)


def ed25519_public(seed: bytes) -> bytes:
    """The public key of a 32-byte seed (RFC 8032 section 5.1.5)."""
    return nacl.bindings.crypto_sign_seed_keypair(seed)[0]


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature (RFC 8032 section 5.1.6)."""
    return nacl.bindings.crypto_sign(message, nacl.bindings.crypto_sign_seed_keypair(seed)[1])[:64]


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether s B = R + k A (RFC 8032 section 5.1.7, without the cofactor)."""
    # Not libsodium, which refuses an R of small order besides.
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def sha512(data: bytes, *more: bytes) -> bytes:
    """The 64-byte hash of `data` and all that follows it, as if they were one."""
    return hashlib.sha512(b"".join((data, *more))).digest()


class aes:
    """AES in CBC mode without padding, with the name and the calls of MicroPython's `cryptolib.aes`; `mode` is 2."""

    def __init__(self, key: bytes, mode: int, iv: bytes):
        assert mode == 2
        self._cipher = Cipher(AES(key), CBC(iv))

    def encrypt(self, data: bytes) -> bytes:
        """The ciphertext of whole blocks."""
        return self._cipher.encryptor().update(data)

    def decrypt(self, data: bytes) -> bytes:
        """The plaintext of whole blocks."""
        return self._cipher.decryptor().update(data)

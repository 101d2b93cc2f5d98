"""What `_portable` and a board's `cryptolib` do, done by PyNaCl and `cryptography`. CPython only, never on a board."""

import hashlib

import nacl.bindings
import nacl.exceptions
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB, GCM


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


def gcm_encrypt(key: bytes, iv: bytes, plaintext: bytes, more: bytes) -> tuple[bytes, bytes]:
    """(ciphertext, tag) of AES-GCM (NIST SP 800-38D section 7.1)."""
    encryptor = Cipher(AES(key), GCM(iv)).encryptor()
    encryptor.authenticate_additional_data(more)
    ciphertext = encryptor.update(plaintext) + encryptor.finalize()
    return ciphertext, encryptor.tag


def gcm_decrypt(key: bytes, iv: bytes, ciphertext: bytes, tag: bytes, more: bytes) -> bytes | None:
    """The plaintext, or None where the 16-byte tag is wrong (section 7.2)."""
    decryptor = Cipher(AES(key), GCM(iv, tag)).decryptor()
    decryptor.authenticate_additional_data(more)
    try:
        return decryptor.update(ciphertext) + decryptor.finalize()
    except InvalidTag:
        return None


class aes:
    """AES in ECB (1) or CBC (2) mode without padding, with the name and the calls of MicroPython's `cryptolib.aes`."""

    def __init__(self, key: bytes, mode: int, iv: bytes | None = None):
        self._cipher = Cipher(AES(key), CBC(iv) if iv is not None else ECB())
        assert mode == (1 if iv is None else 2)

    def encrypt(self, data: bytes) -> bytes:
        """The ciphertext of whole blocks."""
        return self._cipher.encryptor().update(data)

    def decrypt(self, data: bytes) -> bytes:
        """The plaintext of whole blocks."""
        return self._cipher.decryptor().update(data)

"""AES-256-CBC with PKCS#7 padding (NIST SP 800-38A section 6.2, RFC 5652 section 6.3).

The key has 32 bytes and the IV 16: both come from our own key derivation. Check the message's tag before decrypting:
which of two errors a forger sees would tell him about the plaintext.
"""

from motemo.crypto import NATIVE
from motemo.errors import LocalError, RemoteError

if NATIVE:
    from motemo.crypto._native import aes
else:
    from cryptolib import aes

_CBC = 2


def cbc_encrypt(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """The ciphertext: 1 to 16 bytes longer than `plaintext`, whole blocks. LocalError "length"."""
    pad = 16 - len(plaintext) % 16
    return _aes(key, iv).encrypt(plaintext + bytes((pad,)) * pad)


def cbc_decrypt(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """The plaintext without its padding, all of which is checked.

    RemoteError "length" where the ciphertext is not whole blocks, "format" where the padding is wrong; LocalError
    "length" for key and IV.
    """
    if not ciphertext or len(ciphertext) % 16:
        raise RemoteError("length", "not whole AES blocks")
    padded = _aes(key, iv).decrypt(ciphertext)
    pad = padded[-1]
    if not 0 < pad <= 16 or padded[-pad:] != bytes((pad,)) * pad:
        raise RemoteError("format", "wrong padding")
    return padded[:-pad]


def _aes(key, iv):
    if len(key) != 32 or len(iv) != 16:
        raise LocalError("length", "an AES-256 key has 32 bytes, an IV 16")
    return aes(key, _CBC, iv)

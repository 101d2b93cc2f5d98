"""AES-128-GCM (NIST SP 800-38D), the payload cipher of the legacy OMEMO dialect. Seldom needed.

The key has 16 bytes and the tag too; the IV is a peer's: 12 bytes, or 16 from old senders.
"""

from motemo.crypto import NATIVE
from motemo.errors import LocalError, RemoteError

if NATIVE:
    from motemo.crypto import _native as backend
else:
    from motemo.crypto import _portable_gcm as backend


def gcm_encrypt(key: bytes, iv: bytes, plaintext: bytes, more: bytes = b""):
    """(ciphertext as long as the plaintext, 16-byte tag); `more` is authenticated only. LocalError "length"."""
    _check(key, iv, LocalError)
    return backend.gcm_encrypt(key, iv, plaintext, more)


def gcm_decrypt(key: bytes, iv: bytes, ciphertext: bytes, tag: bytes, more: bytes = b"") -> bytes:
    """The plaintext. RemoteError "payload" where the tag is wrong, before anything is decrypted; "length"."""
    _check(key, iv, RemoteError)
    if len(tag) != 16:
        raise RemoteError("length", "a tag has 16 bytes")
    plaintext = backend.gcm_decrypt(key, iv, ciphertext, tag, more)
    if plaintext is None:
        raise RemoteError("payload", "tag")
    return plaintext


def _check(key, iv, error):
    if len(key) != 16 or len(iv) not in (12, 16):
        raise error("length", "an AES-128 key has 16 bytes, an IV 12 or 16")

"""HMAC-SHA-256 (RFC 2104), HKDF-SHA-256 (RFC 5869), and a comparison for tags."""

from hashlib import sha256

from motemo.errors import LocalError

_INNER = int.from_bytes(b"\x36" * 64, "big")
_OUTER = int.from_bytes(b"\x5c" * 64, "big")


def hmac_sha256(key: bytes, *parts: bytes) -> bytes:
    """The 32-byte HMAC of the parts, as if they were one message; the key may have any length."""
    if len(key) > 64:
        key = sha256(key).digest()
    padded = int.from_bytes(key + bytes(64 - len(key)), "big")
    inner = sha256((padded ^ _INNER).to_bytes(64, "big"))
    for part in parts:
        inner.update(part)
    outer = sha256((padded ^ _OUTER).to_bytes(64, "big"))
    outer.update(inner.digest())
    return outer.digest()


def hkdf_sha256(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """`length` bytes (1 to 8160) derived from the key material `ikm`; LocalError "length".

    An empty salt stands for 32 zero bytes (RFC 5869 section 2.2).
    """
    if not 0 < length <= 255 * 32:
        raise LocalError("length", "HKDF-SHA-256 gives 1 to 8160 bytes")
    key = hmac_sha256(salt, ikm)
    block = output = b""
    while len(output) < length:
        block = hmac_sha256(key, block, info, bytes((len(output) // 32 + 1,)))
        output += block
    return output[:length]


def equal(a: bytes, b: bytes) -> bool:
    """Whether two tags are the same, in a time that depends on their length alone."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return difference == 0

"""AES-128-GCM on a platform's AES (NIST SP 800-38D): what a board computes with. Seldom needed.

Counter blocks go through AES in ECB mode, sixteen at a time. GHASH multiplies polynomials over GF(2) as integers: each
coefficient has a byte of its own, so that sums of up to 255 do not run into each other, and the lowest bit of each
byte of the product is the coefficient of the polynomial's. Coefficient i of a block, its bit i from the left, stands in
byte i. No branch and no look-up but that of `_BITS` depends on a secret.
"""

from motemo.crypto import NATIVE
from motemo.crypto.kdf import equal

if NATIVE:
    from motemo.crypto._native import aes
else:
    from cryptolib import aes

_ECB = 1
_BATCH = 256
# The bits of the numbers 0 to 15, from the left.
_BITS = bytes([n >> bit & 1 for n in range(16) for bit in (3, 2, 1, 0)])


def gcm_encrypt(key, iv, plaintext, more):
    """(ciphertext, tag), section 7.1; the arguments are checked."""
    cipher = aes(key, _ECB)
    subkey, start = _begin(cipher, iv)
    ciphertext = _counter_mode(cipher, start, plaintext)
    return ciphertext, _tag(cipher, subkey, start, ciphertext, more)


def gcm_decrypt(key, iv, ciphertext, tag, more):
    """The plaintext, or None where the tag is wrong, section 7.2."""
    cipher = aes(key, _ECB)
    subkey, start = _begin(cipher, iv)
    if not equal(_tag(cipher, subkey, start, ciphertext, more), tag):
        return None
    return _counter_mode(cipher, start, ciphertext)


def _begin(cipher, iv):
    """(hash subkey, spread; first counter block)."""
    subkey = _spread(cipher.encrypt(bytes(16)))
    if len(iv) == 12:
        return subkey, iv + b"\0\0\0\1"
    return subkey, _gather(_lengths(_hash(0, subkey, iv), subkey, 0, len(iv)))


def _tag(cipher, subkey, start, ciphertext, more):
    state = _hash(_hash(0, subkey, more), subkey, ciphertext)
    return _xor(_gather(_lengths(state, subkey, len(more), len(ciphertext))), cipher.encrypt(start))


def _counter_mode(cipher, start, data):
    out = bytearray()
    prefix = start[:12]
    counter = int.from_bytes(start[12:], "big")
    blocks = bytearray()
    for at in range(0, len(data), _BATCH):
        part = data[at : at + _BATCH]
        blocks[:] = b""
        for _ in range(0, len(part), 16):
            counter = counter + 1 & 0xFFFFFFFF
            blocks.extend(prefix)
            blocks.extend(counter.to_bytes(4, "big"))
        out.extend(_xor(part, cipher.encrypt(bytes(blocks))[: len(part)]))
    return bytes(out)


def _xor(a, b):
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(len(a), "big")


def _hash(state, subkey, data):
    """GHASH (section 6.4) of the data, filled up with zeros to whole blocks, from `state` on; states are spread."""
    ones = int.from_bytes(b"\1" * 256, "little")
    low = (1 << 1024) - 1
    for at in range(0, len(data), 16):
        product = (state ^ _spread(data[at : at + 16])) * subkey & ones
        for _ in range(2):  # x^128 = 1 + x + x^2 + x^7
            high = product >> 1024
            product = product & low ^ high ^ high << 8 ^ high << 16 ^ high << 56
        state = product
    return state


def _lengths(state, subkey, first, second):
    return _hash(state, subkey, (first * 8).to_bytes(8, "big") + (second * 8).to_bytes(8, "big"))


def _spread(block):
    bits = bytearray(128)
    for i in range(len(block)):
        high = block[i] >> 4 << 2
        low = (block[i] & 15) << 2
        bits[8 * i : 8 * i + 4] = _BITS[high : high + 4]
        bits[8 * i + 4 : 8 * i + 8] = _BITS[low : low + 4]
    return int.from_bytes(bits, "little")


def _gather(state):
    number = 0
    for bit in state.to_bytes(128, "little"):
        number = number << 1 | bit
    return number.to_bytes(16, "big")

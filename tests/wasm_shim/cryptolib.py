"""`cryptolib` for the WebAssembly build, which has none: AES (FIPS 197) in ECB and CBC mode (tests only).

Plain table look-ups: the time that it takes gives keys away.
"""

_ECB, _CBC = 1, 2


class aes:
    """As MicroPython's `cryptolib.aes`: whole blocks; an object serves one direction and, in CBC mode, goes on."""

    def __init__(self, key, mode, iv=None):
        if mode not in (_ECB, _CBC) or len(key) not in (16, 32) or (mode == _CBC and len(iv) != 16):
            raise ValueError("mode, key or IV")
        self._round_keys = _expand(key)
        self._last = bytes(iv) if mode == _CBC else None

    def encrypt(self, data):
        """The ciphertext; ValueError unless whole blocks."""
        return self._each_block(data, self._encrypt_block)

    def decrypt(self, data):
        """The plaintext; ValueError unless whole blocks."""
        return self._each_block(data, self._decrypt_block)

    def _each_block(self, data, function):
        if len(data) % 16:
            raise ValueError("not whole blocks")
        return b"".join([function(bytes(data[i : i + 16])) for i in range(0, len(data), 16)])

    def _encrypt_block(self, block):
        if self._last is not None:
            block = _xor(block, self._last)
        state = _xor(block, self._round_keys[0])
        for round_key in self._round_keys[1:-1]:
            state = _xor(_mix(_shift(_substitute(state, _SBOX), 1), (2, 3, 1, 1)), round_key)
        state = _xor(_shift(_substitute(state, _SBOX), 1), self._round_keys[-1])
        if self._last is not None:
            self._last = state
        return state

    def _decrypt_block(self, block):
        state = _substitute(_shift(_xor(block, self._round_keys[-1]), -1), _INVERSE_SBOX)
        for round_key in self._round_keys[-2:0:-1]:
            state = _mix(_xor(state, round_key), (14, 11, 13, 9))
            state = _substitute(_shift(state, -1), _INVERSE_SBOX)
        state = _xor(state, self._round_keys[0])
        if self._last is not None:
            state, self._last = _xor(state, self._last), block
        return state


def _double(a):
    return a << 1 ^ (0x11B if a & 0x80 else 0)


def _times(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = _double(a)
        b >>= 1
    return product


def _sboxes():
    """Walk all non-zero elements as powers of 3, and their inverses as powers of 1/3 = 0xF6."""
    forward, inverse = bytearray(256), bytearray(256)
    p = q = 1
    for _ in range(255):
        value = q
        for turn in range(1, 5):
            value ^= (q << turn | q >> 8 - turn) & 255
        forward[p] = value ^ 0x63
        p, q = _times(p, 3), _times(q, 0xF6)
    forward[0] = 0x63
    for i in range(256):
        inverse[forward[i]] = i
    return bytes(forward), bytes(inverse)


def _xor(a, b):
    return bytes([a[i] ^ b[i] for i in range(len(a))])


def _substitute(state, box):
    return bytes([box[x] for x in state])


def _shift(state, direction):
    """ShiftRows; the state is stored by columns."""
    return bytes([state[(i + 4 * direction * (i % 4)) % 16] for i in range(16)])


def _mix(state, row):
    """MixColumns with the matrix whose first row is `row`."""
    mixed = bytearray(16)
    for i in range(16):
        for j in range(4):
            mixed[i] ^= _times(state[i & 12 | j], row[(j - i) % 4])
    return bytes(mixed)


def _expand(key):
    words = [key[i : i + 4] for i in range(0, len(key), 4)]
    length, rcon = len(words), 1
    for i in range(length, 4 * (length + 7)):
        word = words[-1]
        if i % length == 0:
            word = _xor(_substitute(word[1:] + word[:1], _SBOX), bytes((rcon, 0, 0, 0)))
            rcon = _double(rcon)
        elif length == 8 and i % length == 4:
            word = _substitute(word, _SBOX)
        words.append(_xor(words[i - length], word))
    return [b"".join(words[i : i + 4]) for i in range(0, len(words), 4)]


_SBOX, _INVERSE_SBOX = _sboxes()

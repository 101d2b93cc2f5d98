"""Cryptographic primitives: bytes in, bytes out. Whatever is wrong raises; only `kdf.equal` says False.

Private keys, seeds and IVs are ours: a wrong length is a LocalError. Public keys, signatures and ciphertexts are a
peer's: whatever is wrong with them is a RemoteError.
"""

import sys

# Who computes: libraries (`_native`) on CPython, our own code (`_portable...`) and the platform's AES on a board.
NATIVE = sys.implementation.name == "cpython"

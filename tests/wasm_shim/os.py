"""`os` for the WebAssembly build, which has no `urandom`: JavaScript's generator stands in (tests only)."""

import host_random
from uos import *


def urandom(n):
    """`n` random bytes from the host's `crypto.getRandomValues`."""
    return bytes.fromhex(host_random.hex(n))

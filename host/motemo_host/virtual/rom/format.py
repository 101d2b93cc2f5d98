"""Makes the flash file of a new virtual board, an empty littlefs: `micropython format.py PATH BYTES`."""

import sys

import vfs
from _flash import BLOCK, Flash

with open(sys.argv[1], "wb") as _file:
    for _ in range(int(sys.argv[2]) // BLOCK):
        _file.write(b"\xff" * BLOCK)
vfs.VfsLfs2.mkfs(Flash(sys.argv[1]))

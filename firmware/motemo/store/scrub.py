"""Overwrites what a small file system still has of deleted data: littlefs leaves it in its free blocks.

What the flash chip itself keeps aside, as managed flash and SD cards do, is out of reach.
"""

import os

_LARGEST = 16 << 20  # bytes of free space; more is no board's flash, and nothing to be filled up
_NAME = "scrub"
_CHUNK = bytes(256)
_ROUNDS = 64  # small files live in the directory's own two blocks: so many commits renew both of them


def scrub(directory):
    """Fills the free space of the file system that `directory` is on, and gives it back; takes seconds on a board."""
    room = os.statvfs(directory) if hasattr(os, "statvfs") else None
    if not room or room[1] * room[3] > _LARGEST:
        return
    path = directory + "/" + _NAME
    try:
        for _ in range(_ROUNDS):
            _write(path, 1)
        _write(path, _LARGEST // len(_CHUNK))
    except OSError:
        pass  # full, as it should be
    if _NAME in os.listdir(directory):
        os.remove(path)


def _write(path, chunks):
    with open(path, "wb") as file:
        for _ in range(chunks):
            file.write(_CHUNK)

"""The `vfs` of the virtual board: MicroPython's own, with the ROM partition that MicroPython has on real boards."""

import os

import uctypes
from vfs import *

_address, _size = (int(word) for word in os.getenv("ROM").split(","))


def rom_ioctl(operation, partition=0, argument=0, data=b""):
    """The operations of MicroPython's `vfs.rom_ioctl` on one partition, erased bytes are 0xff."""
    if operation == 1:
        return 1 if _size else 0
    if partition or not _size:
        return -22  # EINVAL, as MicroPython returns it
    memory = uctypes.bytearray_at(_address, _size)
    if operation == 2:
        return memoryview(memory)
    if operation == 3 and argument <= _size:
        blank = b"\xff" * 64
        for at in range(0, argument, 64):
            memory[at : at + 64] = blank[: _size - at]
        return 4
    if operation == 4 and argument + len(data) <= _size:
        memory[argument : argument + len(data)] = data
        return 0
    return 0 if operation == 5 else -22

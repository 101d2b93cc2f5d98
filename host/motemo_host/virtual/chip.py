"""The chip of a virtual board: MicroPython in a process that has the board's ROM partition in its memory.

`python chip.py ROM_FILE WORD...`: the words are those of MicroPython's command line. As a chip maps its flash into its
address space, the file is mapped into that of the process, outside of MicroPython's heap; `ROM` in the environment
says where (address, size), and `rom/_vfs.py` makes the partition of it.
"""

import ctypes
import mmap
import os
import sys

import micropython_unix


def main() -> None:
    """Never returns but by the end of MicroPython."""
    with open(sys.argv[1], "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        partition = mmap.mmap(file.fileno(), size) if size else bytearray()
    address = ctypes.addressof(ctypes.c_char.from_buffer(partition)) if size else 0
    os.environ["ROM"] = f"{address},{size}"
    sys.argv[:] = ["micropython", *sys.argv[2:]]
    sys.exit(micropython_unix.main())


if __name__ == "__main__":
    main()

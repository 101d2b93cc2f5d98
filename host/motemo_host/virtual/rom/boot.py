"""ROM of the virtual board: puts the flash in place, then runs what is on it, as a real board does.

The supervisor starts it as `micropython -i boot.py FLASH_FILE [raw]`. `raw` is a soft reset out of the raw REPL:
the user's boot.py runs, main.py does not. MicroPython's own REPL follows (`-i`).
"""

import micropython

micropython.kbd_intr(-1)  # Ctrl-C does not stop the ROM
micropython.opt_level(3)  # the ROM's modules without line numbers: the heap is the application's

import gc
import os
import sys

import _vfs
from _flash import Flash

sys.modules["vfs"] = vfs = _vfs


def _run(name):
    try:
        execfile(name)
    except SystemExit:
        import machine

        machine.soft_reset()


sys.path[:] = ["", "/flash", "/flash/lib", ".frozen", "/rom", "/rom/lib", sys.path[0]]
_names = ("boot.py", "main.py") if len(sys.argv) == 2 else ("boot.py",)
try:
    vfs.mount(vfs.VfsRom(vfs.rom_ioctl(2, 0)), "/rom")
except (OSError, TypeError):
    pass  # nothing in the partition, or no partition
try:
    vfs.mount(vfs.VfsLfs2(Flash(sys.argv[1])), "/flash")
    os.chdir("/flash")
    _there = [entry[0] for entry in os.ilistdir()]
except OSError:
    print("The flash has no readable file system.")
    _there = ()
sys.argv[:] = [""]
micropython.opt_level(0)
gc.collect()
sys.stdout.buffer.write(b"\0")  # tells the supervisor that the ROM is through
micropython.kbd_intr(3)
for _name in _names:
    if _name in _there:
        _run(_name)

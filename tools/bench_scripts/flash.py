"""What readings cost the flash: erases under littlefs, and the years that it lasts. Runs on MicroPython.

The agent's journal is on `BLOCKS` blocks of flash with the prekeys of a board. The engine seals `READINGS` readings for
one device of an owner, who sends a heartbeat when one is due. The years are how long it takes at one reading a minute
until every block has been erased `CYCLES` times, where littlefs spreads the erases over the blocks evenly;
`flash.worst_block_share` is the part of all erases that the block with most of them had (even: 1 / `BLOCKS`).
"""

import gc

import vfs

from motemo.store.journal import Journal
from tools.bench_scripts import _pair

BLOCK = 4096
BLOCKS = 16
CYCLES = 100_000
READINGS = 1000
MINUTES_A_YEAR = 525_600
LEASES = (8, 1, 32)  # the first is the default


class CountingFlash:
    """A block device in memory. erases: for each block. programmed: bytes."""

    def __init__(self):
        self.erases = [0] * BLOCKS
        self.programmed = 0
        self._data = bytearray(b"\xff" * (BLOCK * BLOCKS))

    def readblocks(self, block, buffer, offset=0):
        start = block * BLOCK + offset
        buffer[:] = self._data[start : start + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        self.programmed += len(buffer)
        start = block * BLOCK + offset
        for byte in self._data[start : start + len(buffer)]:
            assert byte == 255, "programmed without an erase"
        self._data[start : start + len(buffer)] = buffer

    def ioctl(self, operation, argument):
        if operation == 4:
            return BLOCKS
        if operation == 5:
            return BLOCK
        if operation == 6:
            self.erases[argument] += 1
            self._data[argument * BLOCK : (argument + 1) * BLOCK] = b"\xff" * BLOCK
        return 0


def figures():
    """The figures by their dotted keys; those of other leases have the lease in their name."""
    found = {}
    for lease in LEASES:
        suffix = "" if lease == LEASES[0] else "_lease_{}".format(lease)
        erases, programmed, worst = wear(lease)
        found["flash.erases_per_1000_readings" + suffix] = erases
        found["flash.programmed_bytes_per_1000_readings" + suffix] = programmed
        found["flash.years_at_one_a_minute" + suffix] = CYCLES * BLOCKS * READINGS / erases / MINUTES_A_YEAR
        found["flash.worst_block_share" + suffix] = worst / erases
    return found


def wear(lease):
    """(erases, bytes programmed, erases of the block with most) for `READINGS` readings."""
    flash = CountingFlash()
    vfs.VfsLfs2.mkfs(flash)
    vfs.mount(vfs.VfsLfs2(flash), "/wear")
    try:
        board, owner = _pair.pair(Journal("/wear/state"), lease=lease)
        flash.erases = [0] * BLOCKS
        flash.programmed = 0
        for _ in range(READINGS):
            owner.open(_pair.BOARD, board.seal([_pair.OWNER], "temperature 21.5 °C"))
            _pair.answer(board, owner)
            gc.collect()
        board.store.close()
        return sum(flash.erases), flash.programmed, max(flash.erases)
    finally:
        vfs.umount("/wear")

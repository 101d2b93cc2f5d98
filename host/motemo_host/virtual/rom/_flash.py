"""The flash of the virtual board: a file as a block device; erased bytes are 0xff."""

BLOCK = 4096


class Flash:
    """Block device on the file at `path`, in blocks of 4096 bytes."""

    def __init__(self, path):
        self.file = open(path, "r+b")
        self.blocks = self.file.seek(0, 2) // BLOCK

    def readblocks(self, block, buffer, offset=0):
        self.file.seek(block * BLOCK + offset)
        self.file.readinto(buffer)

    def writeblocks(self, block, buffer, offset=0):
        self.file.seek(block * BLOCK + offset)
        self.file.write(buffer)

    def ioctl(self, operation, argument):
        if operation == 4:
            return self.blocks
        if operation == 5:
            return BLOCK
        if operation == 6:
            self.file.seek(argument * BLOCK)
            blank = b"\xff" * 256
            for _ in range(BLOCK // 256):
                self.file.write(blank)
        return 0

"""The journal: an append-only file of key/value records with atomic batches (design section 6).

    file    = "MTJ" version batch*
    batch   = body length (u32) | body | CRC-32 (u32) of length and body, started with the batch's offset
    body    = record+
    record  = kind (u8) | key length (u8) | payload length (u16, 0xFFFF: deleted) | key | payload

Numbers are little-endian. The rules:

1. A batch counts only as a whole: its CRC is its commit mark. What follows the last good batch is a torn tail; it is
   ignored, and the next commit writes over it.
2. A bad batch with a good one behind it cannot come from a power cut: the file is refused as corrupt.
3. A commit returns when its batch is on flash. An error leaves the old state; but where the batch is whole and only
   the sync after it failed, a restart may find the new one.
4. Compaction writes the live records as one batch into a second file and renames that over the first. The file system
   has to do this atomically: littlefs and POSIX do, FAT does not.

RAM holds one small integer key and one offset for each record, never a payload.
"""

import os
from binascii import crc32

from motemo import overlay
from motemo.errors import LocalError, StateError

try:
    from micropython import const
except ImportError:

    def const(value):
        return value


MAGIC = b"MTJ"
VERSION = const(1)
HEADER = const(4)
RECORD = const(4)  # bytes of a record before its key
FRAME = const(8)  # bytes of a batch besides its body
_DELETED = const(0xFFFF)
_NO_SPACE = const(28)  # ENOSPC, which MicroPython's errno does not have
NAME = "/journal"  # in the journal's directory
_UPKEEP = "motemo.store.upkeep"


class Journal:
    """Opens the journal in `directory` (made if it is missing) and replays it.

    slack: bytes of garbage that are always borne; the file is compacted when the garbage exceeds both this and the
    live bytes. At the worst it takes three times the live bytes, or twice them and the slack.

    size: bytes of the file. live: bytes of the records that count. trouble: the error that kept the last compaction
    from being done, or None.
    Raises StateError "corrupt", also for a newer format, or "full".
    """

    def __init__(self, directory: str, slack: int = 4096):
        self.directory = directory
        self.slack = self.patience = slack
        self.index = {}
        self.live = 0
        self.size = HEADER
        self.trouble = None
        self.file = None
        overlay.call(_UPKEEP, "mount", self)

    def get(self, kind: int, key: bytes) -> "bytes | None":
        """The payload of a record, or None if there is no such record."""
        offset = self.index.get(self._place(kind, key))
        if not offset:
            return None
        length = self.head(offset)[2]  # leaves the file at the payload
        return self.file.read(length)

    def keys(self, kind: int) -> list:
        """The keys of all records of one kind, in no order."""
        found = []
        for place, offset in self.index.items():
            if kind == (place[0] if isinstance(place, bytes) else place >> 22):
                found.append(self.head(offset)[1])
        return found

    def commit(self, changes: list) -> None:
        """Write a batch of changes `(kind, key, payload)`, payload None to delete: all of them take effect or none.

        Kind is 0 to 255, a key has at most 255 bytes, a payload at most 65534. Later changes win over earlier ones.
        Raises LocalError "length"; StateError "full", or "corrupt" where the flash fails.
        """
        length = 0
        for kind, key, payload in changes:
            size = len(payload or b"")
            if not 0 <= kind <= 255 or len(key) > 255 or size >= _DELETED:
                raise LocalError("length", "journal record")
            length += RECORD + len(key) + size
        if not length:
            return
        try:
            writer = Writer(self.file, self.size, length)
            for kind, key, payload in changes:
                size = _DELETED if payload is None else len(payload)
                writer.write(bytes((kind, len(key), size & 255, size >> 8)))
                writer.write(key)
                writer.write(payload or b"")
            writer.end()
        except OSError as error:
            self.reopen()  # littlefs takes nothing more on a handle that failed
            raise failed(error) from None
        self.take(length)
        garbage = self.size - self.live
        if garbage > self.patience and garbage > self.live:
            try:
                self.compact()
            except (StateError, MemoryError) as error:
                self.trouble = error  # the commit stands
                self.patience = garbage + self.slack  # try again when there is more to gain

    def compact(self) -> None:
        """Write a new file with the live records only: what was replaced or deleted is not in it.

        Raises StateError "full" or "corrupt"; the old file stays then.
        """
        overlay.call(_UPKEEP, "compact", self)

    def close(self) -> None:
        """Close the file. Nothing is pending: every commit is on flash already."""
        self.file.close()

    def reopen(self):
        if self.file:
            try:
                self.file.close()
            except OSError:
                pass  # the error that led here is the one to tell
        try:
            self.file = open(self.directory + NAME, "r+b")
        except OSError as error:
            raise failed(error) from None

    def head(self, offset):
        """Kind, key and payload length (`_DELETED`: none) of the record at `offset`; its payload is what comes next."""
        self.file.seek(offset)
        head = self.file.read(RECORD)
        return head[0], self.file.read(head[1]), head[2] | head[3] << 8

    def _place(self, kind, key):
        """The key in the index: kind and a hash as one int that is small on 32-bit ports too.

        Where another key has that place already, it is the kind and the key as bytes.
        """
        name = bytes((kind,)) + key
        place = kind << 22 | crc32(key) & 0x3FFFFF
        offset = self.index.get(place)
        if offset:
            return place if self.head(offset)[1] == key else name
        return name if name in self.index else place

    def take(self, length):
        """Bring the batch at the end of what is known, its body `length` bytes long, into the index."""
        offset = self.size + 4
        end = offset + length
        self.size = end + 4
        while offset < end:
            kind, key, size = self.head(offset)
            place = self._place(kind, key)
            old = self.index.get(place)
            if old:
                self.live -= RECORD + len(key) + self.head(old)[2]
                del self.index[place]
            if size == _DELETED:
                size = 0
            else:
                self.index[place] = offset
                self.live += RECORD + len(key) + size
            offset += RECORD + len(key) + size
        if offset != end:
            raise StateError("corrupt", "bad record")


class Writer:
    """Writes one batch of `length` bytes of records at `offset`; `left` is what is still to come."""

    def __init__(self, file, offset, length):
        self.left = length
        self.file = file
        self._crc = offset
        file.seek(offset)
        self._put(length.to_bytes(4, "little"))

    def _put(self, data):
        self._crc = crc32(data, self._crc)
        self.file.write(data)

    def write(self, data):
        self._put(data)
        self.left -= len(data)

    def end(self):
        """The commit mark, then all of it to flash."""
        self.file.write(self._crc.to_bytes(4, "little"))
        sync(self.file)


def sync(file):
    file.flush()  # MicroPython: littlefs sync, or fsync on POSIX
    if hasattr(os, "fsync"):
        os.fsync(file.fileno())


def failed(error):
    return StateError("full" if error.errno == _NO_SPACE else "corrupt", "flash error {}".format(error.errno))

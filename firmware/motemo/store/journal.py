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

from motemo.errors import LocalError, StateError

try:
    from micropython import const
except ImportError:

    def const(value):
        return value


_MAGIC = b"MTJ"
_VERSION = const(1)
_HEADER = const(4)
_RECORD = const(4)  # bytes of a record before its key
_FRAME = const(8)  # bytes of a batch besides its body
_DELETED = const(0xFFFF)
_CHUNK = const(256)
_NO_SPACE = const(28)  # ENOSPC, which MicroPython's errno does not have
_NAME = "journal"
_NEW = "journal.new"


class Journal:
    """Opens the journal in `directory` (made if it is missing) and replays it.

    slack: bytes of garbage that are always borne; the file is compacted when the garbage exceeds both this and the
    live bytes. At the worst it takes three times the live bytes, or twice them and the slack.

    size: bytes of the file. live: bytes of the records that count. trouble: the error that kept the last compaction
    from being done, or None.
    Raises StateError "corrupt", also for a newer format, or "full".
    """

    def __init__(self, directory: str, slack: int = 4096):
        self._directory = directory
        self._slack = self._patience = slack
        self._index = {}
        self.live = 0
        self.size = _HEADER
        self.trouble = None
        self._file = None
        try:
            os.mkdir(directory)
        except OSError:
            pass  # it is there, or listing it fails
        names = self._names()
        if _NAME not in names:
            self.compact()
            return
        if _NEW in names:  # a compaction was cut off
            self._discard()
        self._reopen()
        try:
            self._replay()
        except StateError:
            self._file.close()
            raise

    def get(self, kind: int, key: bytes) -> "bytes | None":
        """The payload of a record, or None if there is no such record."""
        offset = self._index.get(self._place(kind, key))
        if not offset:
            return None
        length = self._head(offset)[2]  # leaves the file at the payload
        return self._file.read(length)

    def keys(self, kind: int) -> list:
        """The keys of all records of one kind, in no order."""
        found = []
        for place, offset in self._index.items():
            if kind == (place[0] if isinstance(place, bytes) else place >> 22):
                found.append(self._head(offset)[1])
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
            length += _RECORD + len(key) + size
        if not length:
            return
        try:
            writer = _Writer(self._file, self.size, length)
            for kind, key, payload in changes:
                size = _DELETED if payload is None else len(payload)
                writer.write(bytes((kind, len(key), size & 255, size >> 8)))
                writer.write(key)
                writer.write(payload or b"")
            writer.end()
        except OSError as error:
            self._reopen()  # littlefs takes nothing more on a handle that failed
            raise _failed(error) from None
        self._take(length)
        garbage = self.size - self.live
        if garbage > self._patience and garbage > self.live:
            try:
                self.compact()
            except StateError as error:
                self.trouble = error  # the commit stands
                self._patience = garbage + self._slack  # try again when there is more to gain

    def compact(self) -> None:
        """Write a new file with the live records only: what was replaced or deleted is not in it.

        Raises StateError "full" or "corrupt"; the old file stays then.
        """
        self._verify()
        path = self._directory + "/" + _NEW
        index = {}
        size = _HEADER
        try:
            new = open(path, "wb")
            try:
                new.write(_MAGIC + bytes((_VERSION,)))
                if self.live:
                    writer = _Writer(new, size, self.live)
                    for place, offset in self._index.items():
                        index[place] = size + 4 + self.live - writer.left
                        self._copy(offset, writer)
                    writer.end()
                    size += _FRAME + self.live
                _sync(new)
            finally:
                new.close()
        except OSError as error:
            self._discard()
            raise _failed(error) from None
        failure = None
        try:
            if self._file:
                self._file.close()
            getattr(os, "replace", os.rename)(path, self._directory + "/" + _NAME)
            _sync_directory(self._directory)
        except OSError as error:
            failure = _failed(error)
            if _NEW in self._names():
                self._discard()
                raise failure from None
        self._index = index
        self.size = size
        self._patience = self._slack
        self.trouble = failure
        self._reopen()
        if failure:
            raise failure

    def close(self) -> None:
        """Close the file. Nothing is pending: every commit is on flash already."""
        self._file.close()

    def _names(self):
        try:
            return os.listdir(self._directory)
        except OSError as error:
            raise _failed(error) from None

    def _discard(self):
        """Drop a new file that failed and go on with the old one, if there is one."""
        try:
            os.remove(self._directory + "/" + _NEW)
        except OSError:
            pass  # it was never made, or the next compaction writes over it
        if self._file:
            self._reopen()

    def _reopen(self):
        if self._file:
            try:
                self._file.close()
            except OSError:
                pass  # the error that led here is the one to tell
        try:
            self._file = open(self._directory + "/" + _NAME, "r+b")
        except OSError as error:
            raise _failed(error) from None

    def _head(self, offset):
        """Kind, key and payload length (`_DELETED`: none) of the record at `offset`; its payload is what comes next."""
        self._file.seek(offset)
        head = self._file.read(_RECORD)
        return head[0], self._file.read(head[1]), head[2] | head[3] << 8

    def _place(self, kind, key):
        """The key in the index: kind and a hash as one int that is small on 32-bit ports too.

        Where another key has that place already, it is the kind and the key as bytes.
        """
        name = bytes((kind,)) + key
        place = kind << 22 | crc32(key) & 0x3FFFFF
        offset = self._index.get(place)
        if offset:
            return place if self._head(offset)[1] == key else name
        return name if name in self._index else place

    def _take(self, length):
        """Bring the batch at the end of what is known, its body `length` bytes long, into the index."""
        offset = self.size + 4
        end = offset + length
        self.size = end + 4
        while offset < end:
            kind, key, size = self._head(offset)
            place = self._place(kind, key)
            old = self._index.get(place)
            if old:
                self.live -= _RECORD + len(key) + self._head(old)[2]
                del self._index[place]
            if size == _DELETED:
                size = 0
            else:
                self._index[place] = offset
                self.live += _RECORD + len(key) + size
            offset += _RECORD + len(key) + size
        if offset != end:
            raise StateError("corrupt", "bad record")

    def _copy(self, offset, writer):
        kind, key, left = self._head(offset)
        left += _RECORD + len(key)
        self._file.seek(offset)
        while left:
            chunk = self._file.read(min(left, _CHUNK))
            writer.write(chunk)
            left -= len(chunk)

    def _replay(self):
        head = self._file.read(_HEADER)
        if head[:3] != _MAGIC or len(head) < _HEADER:
            raise StateError("corrupt", "not a journal")
        if head[3] != _VERSION:
            raise StateError("corrupt", "journal format {}, this firmware knows {}".format(head[3], _VERSION))
        total = self._file.seek(0, 2)
        length = self._check(self.size, total)
        while length:
            self._take(length)
            length = self._check(self.size, total)
        for offset in range(self.size + 1, total):
            if self._check(offset, total):
                raise StateError("corrupt", "bad batch at {}".format(self.size))

    def _verify(self):
        """Check all batches, lest compaction gives a good CRC to what the flash has spoiled since the replay."""
        offset = _HEADER
        while offset < self.size:
            length = self._check(offset, self.size)
            if not length:
                raise StateError("corrupt", "bad batch at {}".format(offset))
            offset += _FRAME + length

    def _check(self, offset, total):
        """Length of the body of the batch at `offset` in a file of `total` bytes; 0 if there is no good batch."""
        file = self._file
        file.seek(offset)
        head = file.read(4)
        length = left = int.from_bytes(head, "little")
        if not length or offset + _FRAME + length > total:
            return 0
        crc = crc32(head, offset)
        while left:
            chunk = file.read(min(left, _CHUNK))
            crc = crc32(chunk, crc)
            left -= len(chunk)
        return length if file.read(4) == crc.to_bytes(4, "little") else 0


class _Writer:
    """Writes one batch of `length` bytes of records at `offset`; `left` is what is still to come."""

    def __init__(self, file, offset, length):
        self.left = length
        self._file = file
        self._crc = offset
        file.seek(offset)
        self._put(length.to_bytes(4, "little"))

    def _put(self, data):
        self._crc = crc32(data, self._crc)
        self._file.write(data)

    def write(self, data):
        self._put(data)
        self.left -= len(data)

    def end(self):
        """The commit mark, then all of it to flash."""
        self._file.write(self._crc.to_bytes(4, "little"))
        _sync(self._file)


def _sync(file):
    file.flush()  # MicroPython: littlefs sync, or fsync on POSIX
    if hasattr(os, "fsync"):
        os.fsync(file.fileno())


def _sync_directory(path):
    """Bring a rename to the disk where that is a step of its own; littlefs does it in the rename."""
    if hasattr(os, "fsync"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _failed(error):
    return StateError("full" if error.errno == _NO_SPACE else "corrupt", "flash error {}".format(error.errno))

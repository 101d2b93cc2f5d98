"""Mounting and compacting the journal (see `motemo.store.journal`): seldom needed, so apart from it.

Functions take the `Journal` whose state they make.
"""

import os
from binascii import crc32

from motemo.errors import StateError
from motemo.store.journal import FRAME, HEADER, MAGIC, NAME, RECORD, VERSION, Writer, failed, sync

_NEW = "/journal.new"
_CHUNK = 256


def mount(journal):
    """Open the journal's file, or make it, and replay it."""
    try:
        os.mkdir(journal.directory)
    except OSError:
        pass  # it is there, or listing it fails
    names = _names(journal)
    if NAME[1:] not in names:
        compact(journal)
        return
    if _NEW[1:] in names:  # a compaction was cut off
        _discard(journal)
    journal.reopen()
    try:
        _replay(journal)
    except StateError:
        journal.file.close()
        raise


def compact(journal):
    """Write a new file with the live records only: what was replaced or deleted is not in it.

    Raises StateError "full" or "corrupt"; the old file stays then.
    """
    _verify(journal)
    path = journal.directory + _NEW
    index = {}
    size = HEADER
    try:
        new = open(path, "wb")
        try:
            new.write(MAGIC + bytes((VERSION,)))
            if journal.live:
                writer = Writer(new, size, journal.live)
                for place, offset in journal.index.items():
                    index[place] = size + 4 + journal.live - writer.left
                    _copy(journal, offset, writer)
                writer.end()
                size += FRAME + journal.live
            sync(new)
        finally:
            new.close()
    except OSError as error:
        _discard(journal)
        raise failed(error) from None
    failure = None
    try:
        if journal.file:
            journal.file.close()
        getattr(os, "replace", os.rename)(path, journal.directory + NAME)
        _sync_directory(journal.directory)
    except OSError as error:
        failure = failed(error)
        if _NEW[1:] in _names(journal):
            _discard(journal)
            raise failure from None
    journal.index = index
    journal.size = size
    journal.patience = journal.slack
    journal.trouble = failure
    journal.reopen()
    if failure:
        raise failure


def _names(journal):
    try:
        return os.listdir(journal.directory)
    except OSError as error:
        raise failed(error) from None


def _discard(journal):
    """Drop a new file that failed and go on with the old one, if there is one."""
    try:
        os.remove(journal.directory + _NEW)
    except OSError:
        pass  # it was never made, or the next compaction writes over it
    if journal.file:
        journal.reopen()


def _copy(journal, offset, writer):
    kind, key, left = journal.head(offset)
    left += RECORD + len(key)
    journal.file.seek(offset)
    while left:
        chunk = journal.file.read(min(left, _CHUNK))
        writer.write(chunk)
        left -= len(chunk)


def _replay(journal):
    head = journal.file.read(HEADER)
    if head[:3] != MAGIC or len(head) < HEADER:
        raise StateError("corrupt", "not a journal")
    if head[3] != VERSION:
        raise StateError("corrupt", "journal format {}, this firmware knows {}".format(head[3], VERSION))
    total = journal.file.seek(0, 2)
    length = _check(journal, journal.size, total)
    while length:
        journal.take(length)
        length = _check(journal, journal.size, total)
    for offset in range(journal.size + 1, total):
        if _check(journal, offset, total):
            raise StateError("corrupt", "bad batch at {}".format(journal.size))


def _verify(journal):
    """Check all batches, lest compaction gives a good CRC to what the flash has spoiled since the replay."""
    offset = HEADER
    while offset < journal.size:
        length = _check(journal, offset, journal.size)
        if not length:
            raise StateError("corrupt", "bad batch at {}".format(offset))
        offset += FRAME + length


def _check(journal, offset, total):
    """Length of the body of the batch at `offset` in a file of `total` bytes; 0 if there is no good batch."""
    file = journal.file
    file.seek(offset)
    head = file.read(4)
    length = left = int.from_bytes(head, "little")
    if not length or offset + FRAME + length > total:
        return 0
    crc = crc32(head, offset)
    while left:
        chunk = file.read(min(left, _CHUNK))
        crc = crc32(chunk, crc)
        left -= len(chunk)
    return length if file.read(4) == crc.to_bytes(4, "little") else 0


def _sync_directory(path):
    """Bring a rename to the disk where that is a step of its own; littlefs does it in the rename."""
    if hasattr(os, "fsync"):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

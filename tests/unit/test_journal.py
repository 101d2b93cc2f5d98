"""The journal: on real littlefs (over a block device in RAM) on MicroPython unix, elsewhere on what there is."""

import os
import sys
from binascii import crc32

from motemo.errors import LocalError, StateError
from motemo.store import journal as module
from motemo.store import upkeep
from motemo.store.journal import Journal
from tests.raises import raises

LITTLEFS = hasattr(os, "VfsLfs2")
BLOCK = 4096


class Flash:
    """A block device in RAM as littlefs wants it; `left` programs and erases go on, then each fails."""

    def __init__(self, blocks):
        self.data = bytearray(blocks * BLOCK)
        self.left = None
        self.erases = 0

    def readblocks(self, block, buffer, offset=0):
        at = block * BLOCK + offset
        buffer[:] = memoryview(self.data)[at : at + len(buffer)]

    def writeblocks(self, block, buffer, offset=0):
        self._spend()
        at = block * BLOCK + offset
        self.data[at : at + len(buffer)] = buffer

    def ioctl(self, op, arg):
        if op == 4:
            return len(self.data) // BLOCK
        if op == 5:
            return BLOCK
        if op == 6:
            self._spend()
            self.erases += 1
        return 0

    def _spend(self):
        if self.left is not None:
            if not self.left:
                raise OSError(5)
            self.left -= 1


class Place:
    """A fresh directory for a journal."""

    count = 0

    def __init__(self, blocks=16):
        Place.count += 1
        if LITTLEFS:
            self.flash = Flash(blocks)
            os.VfsLfs2.mkfs(self.flash)
            self.root = f"/lfs{Place.count}"
            self.mount()
            self.path = self.root + "/state"
        elif sys.implementation.name == "cpython":
            import tempfile

            self._kept = tempfile.TemporaryDirectory()
            self.path = self._kept.name + "/state"
        else:
            self.path = f"/state{Place.count}"

    def mount(self):
        os.mount(os.VfsLfs2(self.flash), self.root)

    def end(self):
        if LITTLEFS:
            os.umount(self.root)


def content(journal, kinds=(1, 2, 3)):
    return {(kind, key): journal.get(kind, key) for kind in kinds for key in journal.keys(kind)}


def read(path):
    with open(path + "/journal", "rb") as file:
        return file.read()


def write(path, data):
    with open(path + "/journal", "wb") as file:
        file.write(data)


def same_hash():
    """Two keys of the same place in the journal's index, by search."""
    seen = {}
    n = 1
    while True:
        n = (n * 1103515245 + 12345) & 0xFFFFFFFF
        key = n.to_bytes(4, "little")
        place = crc32(key) & 0x3FFFFF
        if place in seen:
            return seen[place], key
        seen[place] = key


def test_what_is_committed_is_there_after_opening_again():
    place = Place()
    journal = Journal(place.path)
    assert journal.get(1, b"a") is None
    assert journal.keys(1) == []
    journal.commit([(1, b"a", b"one"), (2, b"a", b"two"), (1, b"b", b""), (1, b"", b"no key")])
    journal.commit([(1, b"a", b"three"), (2, b"a", None), (3, b"never", None)])
    expected = {(1, b"a"): b"three", (1, b"b"): b"", (1, b""): b"no key"}
    assert content(journal) == expected
    size, live = journal.size, journal.live
    journal.close()
    journal = Journal(place.path)
    assert content(journal) == expected
    assert journal.get(2, b"a") is None
    assert (journal.size, journal.live) == (size, live)
    journal.close()
    place.end()


def test_later_changes_of_a_batch_win():
    place = Place()
    journal = Journal(place.path)
    a, b, c = (1, b"a"), (1, b"b"), (2, b"c")
    journal.commit([a + (b"1",), a + (b"2",), b + (b"1",), b + (None,), c + (None,), c + (b"3",)])
    assert content(journal) == {a: b"2", c: b"3"}
    journal.commit([])
    journal.close()
    place.end()


def test_sizes_are_checked_before_anything_is_written():
    place = Place(blocks=64)
    journal = Journal(place.path)
    journal.commit([(1, b"a", b"x")])
    size = journal.size
    for kind, key, payload in ((256, b"", b""), (-1, b"", b""), (1, bytes(256), b""), (1, b"a", bytes(65535))):
        raises(LocalError, "length", journal.commit, [(1, b"a", b"lost"), (kind, key, payload)])
    assert journal.size == size and journal.get(1, b"a") == b"x"
    journal.commit([(255, bytes(255), bytes(65534))])
    journal.close()
    journal = Journal(place.path)
    assert journal.keys(255) == [bytes(255)]
    assert journal.get(255, bytes(255)) == bytes(65534)
    journal.close()
    place.end()


def test_keys_of_one_hash_are_kept_apart():
    one, two = pair = same_hash()
    place = Place()
    journal = Journal(place.path, slack=64)
    journal.commit([(1, one, b"one"), (1, two, b"two")])
    assert (journal.get(1, one), journal.get(1, two)) == (b"one", b"two")
    journal.commit([(1, one, None), (1, two, b"2")])
    assert (journal.get(1, one), journal.get(1, two)) == (None, b"2")
    journal.commit([(1, one, b"1")])
    journal.compact()
    assert (journal.get(1, one), journal.get(1, two)) == (b"1", b"2")
    journal.close()
    journal = Journal(place.path)
    assert (journal.get(1, one), journal.get(1, two)) == (b"1", b"2")
    assert sorted(journal.keys(1)) == sorted(pair)
    journal.close()
    place.end()


def test_compaction_keeps_the_state_and_bounds_the_file():
    place = Place()
    journal = Journal(place.path, slack=1024)
    expected = {}
    largest = 0
    for n in range(300):
        key = bytes((n * 7 % 23,))
        payload = bytes((n & 255,)) * (n % 90) if n % 5 else None
        journal.commit([(1, key, payload), (2, b"n", bytes((n & 255,)))])
        expected[2, b"n"] = bytes((n & 255,))
        if payload is None:
            expected.pop((1, key), None)
        else:
            expected[1, key] = payload
        largest = max(largest, journal.size)
    assert content(journal) == expected
    assert largest < 4096
    assert journal.trouble is None
    journal.close()
    assert os.listdir(place.path) == ["journal"]
    journal = Journal(place.path)
    assert content(journal) == expected
    journal.close()
    place.end()


def test_what_was_deleted_is_not_in_the_compacted_file():
    place = Place()
    journal = Journal(place.path)
    journal.commit([(1, b"a", b"secret of old"), (1, b"b", b"stays")])
    journal.commit([(1, b"a", None)])
    journal.compact()
    journal.close()
    data = read(place.path)
    assert b"secret of old" not in data and b"stays" in data
    place.end()


def test_a_torn_tail_is_dropped_and_written_over():
    place = Place()
    journal = Journal(place.path)
    journal.commit([(1, b"a", b"one")])
    good = journal.size
    journal.commit([(1, b"a", b"two"), (1, b"b", b"two")])
    journal.close()
    whole = read(place.path)
    for cut in range(good, len(whole)):
        for tail in (b"", b"\x00\x00\x00\x00\x00\x00\x00\x00\x00", b"\xff\xff\xff\xff\xff"):
            write(place.path, whole[:cut] + tail)
            journal = Journal(place.path)
            assert content(journal) == {(1, b"a"): b"one"}
            assert journal.size == good
            if cut % 8 == 0:
                journal.commit([(1, b"c", b"new")])
                journal.close()
                journal = Journal(place.path)
                assert content(journal) == {(1, b"a"): b"one", (1, b"c"): b"new"}
            journal.close()
    place.end()


def test_a_bad_batch_before_a_good_one_is_refused():
    place = Place()
    journal = Journal(place.path)
    journal.commit([(1, b"a", b"one")])
    first = journal.size
    journal.commit([(1, b"b", b"two")])
    journal.close()
    whole = read(place.path)
    for at in range(4, first):
        write(place.path, whole[:at] + bytes((whole[at] ^ 0x20,)) + whole[at + 1 :])
        raises(StateError, "corrupt", Journal, place.path)
    assert read(place.path) != whole
    write(place.path, whole[:first] + whole[4:])  # a good batch in a place that is not its own
    journal = Journal(place.path)
    assert content(journal) == {(1, b"a"): b"one"}
    journal.close()
    place.end()


def test_other_files_and_newer_formats_are_refused():
    place = Place()
    Journal(place.path).close()
    for data in (b"", b"MTJ", b"PK\x03\x04"):
        write(place.path, data)
        raises(StateError, "corrupt", Journal, place.path)
    write(place.path, b"MTJ\x02")
    assert "format 2" in str(raises(StateError, "corrupt", Journal, place.path))
    place.end()


def test_a_half_written_compaction_is_removed():
    place = Place()
    journal = Journal(place.path)
    journal.commit([(1, b"a", b"one")])
    journal.close()
    with open(place.path + "/journal.new", "wb") as file:
        file.write(b"MTJ\x01half")
    journal = Journal(place.path)
    assert content(journal) == {(1, b"a"): b"one"}
    journal.close()
    assert os.listdir(place.path) == ["journal"]
    place.end()


def test_a_full_flash_changes_nothing():
    if not LITTLEFS:
        return
    place = Place(blocks=8)
    journal = Journal(place.path)
    n = 0
    error = None
    while not error:
        try:
            journal.commit([(1, bytes((n,)), bytes((n,)) * 700)])
            n += 1
        except StateError as e:
            error = e
    assert error.reason == "full"
    assert 10 < n < 60
    expected = {(1, bytes((i,))): bytes((i,)) * 700 for i in range(n)}
    assert content(journal) == expected
    raises(StateError, "full", journal.commit, [(1, b"\x00", None), (2, b"x", bytes(9000))])
    raises(StateError, "full", journal.compact)
    assert content(journal) == expected
    journal.close()
    os.umount(place.root)
    place.mount()
    journal = Journal(place.path)
    assert content(journal) == expected
    journal.close()
    place.end()


def test_after_a_full_flash_there_is_a_way_back():
    if not LITTLEFS:
        return
    place = Place(blocks=12)
    with open(place.root + "/ballast", "wb") as file:
        file.write(bytes(4 * BLOCK))
    journal = Journal(place.path)
    n = 0
    try:
        while True:
            journal.commit([(1, bytes((n,)), bytes((n,)) * 700)])
            n += 1
    except StateError:
        pass
    os.remove(place.root + "/ballast")
    journal.commit([(1, bytes((i,)), None) for i in range(1, n)])
    assert content(journal) == {(1, b"\x00"): bytes(700)}
    assert journal.size < 2000
    journal.close()
    place.end()


def test_a_power_cut_at_any_flash_operation_leaves_the_old_or_the_new_state():
    if not LITTLEFS:
        return
    handles = []

    def opened(path, mode):
        handles.append(open(path, mode))
        return handles[-1]

    module.open = upkeep.open = opened
    try:
        cut = 0
        while not run_until(cut, handles):
            cut += 1
    finally:
        del module.open, upkeep.open
    assert cut > 10


def run_until(cut, handles):
    """Commit and compact until `cut` flash operations are done, start again from what is on flash then and check it.

    True if all was done before. `handles` gets what is opened; littlefs keeps a file open that it could not close.
    """
    place = Place(blocks=10)
    journal = Journal(place.path, slack=200)
    states = [{(1, b"a"): b"old" * 30, (1, b"b"): b"old"}]
    journal.commit([(1, b"a", b"old" * 30), (1, b"b", b"old")])
    place.flash.left = cut
    reached = 0
    try:
        for n in range(4):  # two of these compact
            after = dict(states[n])
            after[1, b"a"] = bytes((n,)) * 90
            after[2, bytes((n,))] = b"new"
            after.pop((1, b"b"), None)
            states.append(after)
            journal.commit([(1, b"a", bytes((n,)) * 90), (1, b"b", None), (2, bytes((n,)), b"new")])
            reached = n + 1
            if journal.trouble:
                break
    except StateError:
        pass
    done = reached == 4 and not journal.trouble
    image = bytes(place.flash.data)
    place.flash.left = None
    for handle in handles:
        handle.close()
    handles.clear()
    os.umount(place.root)

    place.flash.data[:] = image
    place.mount()
    journal = Journal(place.path, slack=200)
    assert content(journal) in states[reached : reached + 2], cut
    journal.commit([(3, b"on", b"it goes")])
    journal.close()
    journal = Journal(place.path)
    assert journal.get(3, b"on") == b"it goes"
    journal.close()
    place.end()
    return done

"""The journal on CPython: any history against a dict, cuts and flipped bits at every byte, errors at every call."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motemo.errors import StateError
from motemo.store import journal as module
from motemo.store.journal import Journal

KINDS = (0, 1, 255)
KEYS = st.sampled_from([b"", b"a", b"b", b"c", b"owner@example.test\x00\x00\x00\x01", bytes(255)])
CHANGES = st.lists(
    st.tuples(st.sampled_from(KINDS), KEYS, st.none() | st.binary(max_size=40) | st.just(bytes(range(256)) * 3)),
    min_size=1,
    max_size=6,
)


def content(journal):
    return {(kind, key): journal.get(kind, key) for kind in KINDS for key in journal.keys(kind)}


def apply(state, changes):
    state = dict(state)
    for kind, key, payload in changes:
        state.pop((kind, key), None)
        if payload is not None:
            state[kind, key] = payload
    return state


def history(path, batches, **options):
    """Commit `batches`; the file's bytes, and the states with the file's length after each."""
    journal = Journal(str(path), **options)
    states = [(journal.size, {})]
    for batch in batches:
        journal.commit(batch)
        states.append((journal.size, apply(states[-1][1], batch)))
    journal.close()
    return (path / "journal").read_bytes(), states


@settings(max_examples=60, deadline=None)
@given(st.lists(CHANGES | st.sampled_from(["open again", "compact"]), max_size=25), st.sampled_from([0, 300, 4096]))
def test_any_history_gives_the_state_of_a_dict(steps, slack):
    with tempfile.TemporaryDirectory() as path:
        journal = Journal(path, slack)
        state = {}
        for step in steps:
            if step == "open again":
                journal.close()
                journal = Journal(path, slack)
            elif step == "compact":
                journal.compact()
            else:
                journal.commit(step)
                state = apply(state, step)
            assert content(journal) == state
            assert journal.live == sum(4 + len(key) + len(payload) for (_, key), payload in state.items())
            assert journal.size == os.path.getsize(path + "/journal")
            assert journal.size - journal.live <= max(slack, journal.live, 12)
        journal.close()


BATCHES = [
    [(1, b"a", b"first"), (1, b"b", bytes(30))],
    [(1, b"a", b"second"), (255, b"", b"x" * 300)],
    [(1, b"b", None), (0, b"z", b"")],
]


def test_a_file_cut_at_any_byte_has_the_last_whole_batch(tmp_path):
    data, states = history(tmp_path, BATCHES)
    for length in range(4, len(data)):
        (tmp_path / "journal").write_bytes(data[:length])
        journal = Journal(str(tmp_path))
        expected = [state for size, state in states if size <= length][-1]
        assert content(journal) == expected
        journal.commit([(1, b"after", b"cut")])
        journal.close()
        journal = Journal(str(tmp_path))
        assert content(journal) == apply(expected, [(1, b"after", b"cut")])
        journal.close()


@pytest.mark.parametrize("filler", [b"\x00", b"\xff"])
def test_a_last_batch_torn_at_any_byte_is_dropped(tmp_path, filler):
    """The file has got its new length, but some of its bytes never came to the disk."""
    data, states = history(tmp_path, BATCHES)
    begin = states[-2][0]
    for at in range(begin, len(data)):
        for end in (at + 1, len(data)):
            torn = data[:at] + filler * (end - at) + data[end:]
            if torn == data:
                continue
            (tmp_path / "journal").write_bytes(torn)
            journal = Journal(str(tmp_path))
            assert content(journal) == states[-2][1]
            journal.close()


def test_no_flipped_bit_gives_a_state_that_never_was(tmp_path):
    data, states = history(tmp_path, BATCHES)
    last = states[-2][0]
    for at in range(len(data)):
        for bit in range(8):
            (tmp_path / "journal").write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
            if at < last:
                with pytest.raises(StateError) as error:
                    Journal(str(tmp_path))
                assert error.value.reason == "corrupt"
            else:
                journal = Journal(str(tmp_path))
                assert content(journal) == states[-2][1]
                journal.close()


def test_what_spoils_after_opening_is_not_compacted_into_a_good_file(tmp_path):
    journal = Journal(str(tmp_path))
    journal.commit([(1, b"a", b"payload")])
    journal.commit([(1, b"b", b"other")])
    path = tmp_path / "journal"
    with open(path, "r+b") as file:
        file.seek(path.read_bytes().index(b"payload"))
        file.write(b"PAYLOAD")
    with pytest.raises(StateError, match="corrupt"):
        journal.compact()
    journal.close()


class Disk:
    """Stands in for the calls by which the journal changes the disk; the call number `left` and all later ones fail."""

    def __init__(self, monkeypatch, left, number, tear=False):
        self.left = left
        self.error = OSError(number, "disk")
        self.tear = tear
        monkeypatch.setattr(module, "open", self.open, raising=False)
        for name in ("fsync", "replace", "remove"):
            monkeypatch.setattr(os, name, self.counted(getattr(os, name)))

    def counted(self, call):
        def replacement(*args):
            self.spend()
            return call(*args)

        return replacement

    def spend(self):
        if self.left is not None:
            if self.left <= 0:
                raise self.error
            self.left -= 1

    def open(self, path, mode):
        if "w" in mode:
            self.spend()
        return File(self, open(path, mode, buffering=0))


class File:
    def __init__(self, disk, file):
        self.disk = disk
        self.file = file

    def write(self, data):
        try:
            self.disk.spend()
        except OSError:
            if self.disk.tear:
                self.file.write(data[: len(data) // 2])
            raise
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("tear", [False, True])
@pytest.mark.parametrize(("number", "reason"), [(28, "full"), (5, "corrupt")])
def test_an_error_at_any_call_leaves_the_old_state_and_a_journal_that_goes_on(tmp_path, tear, number, reason):
    for left in range(200):
        path = tmp_path / str(left)
        with pytest.MonkeyPatch.context() as monkeypatch:
            disk = Disk(monkeypatch, None, number, tear)
            journal = Journal(str(path), 150)
            journal.commit([(1, b"a", bytes(60)), (1, b"b", b"b")])
            state = content(journal)
            disk.left = left
            done = 0
            batch = []
            for n in range(4):
                batch = [(1, b"a", bytes([n]) * 60), (1, bytes([n]), b""), (1, b"b", None)]
                try:
                    journal.commit(batch)
                except StateError as error:
                    assert error.reason == reason
                    break
                state = apply(state, batch)
                done += 1
                assert content(journal) == state
            assert content(journal) == state
            trouble = journal.trouble
            disk.left = None
            image = Path(path, "journal").read_bytes()
            # The process goes on when the disk is well again ...
            journal.commit([(0, b"after", b"on")])
            assert content(journal) == apply(state, [(0, b"after", b"on")])
            journal.close()
            again = Journal(str(path), 150)
            assert content(again) == apply(state, [(0, b"after", b"on")])
            again.close()
            # ... or it was killed: the batch may have come to the disk whole before the error.
            Path(path, "journal").write_bytes(image)
            again = Journal(str(path), 150)
            assert content(again) in (state, apply(state, batch))
            again.close()
            assert sorted(os.listdir(path)) == ["journal"]
        if done == 4 and not trouble:
            assert left > 20
            return
    raise AssertionError("it never got through")


def test_a_directory_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "no" / "parent"):
        with pytest.raises(StateError, match="corrupt"):
            Journal(str(path))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_open_or_are_corrupt(data, header):
    with tempfile.TemporaryDirectory() as path:
        Path(path, "journal").write_bytes((b"MTJ\x01" if header else b"") + data)
        try:
            journal = Journal(path)
        except StateError as error:
            assert error.reason == "corrupt"
        else:
            content(journal)
            journal.close()

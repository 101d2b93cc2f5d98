"""The store of skipped message keys: bounded, oldest out first, its record comes back as it was."""

from motemo.omemo.skipped import Skipped
from tests.covers import covers

A, B, C = bytes(32), b"\x01" * 32, b"\x02" * 32


def keys(*numbers):
    return b"".join([bytes([number]) * 32 for number in numbers])


def test_found_removed_and_gone():
    skipped = Skipped(None, 10)
    assert len(skipped) == 0 and not skipped.changed and skipped.record() == b""
    assert skipped.find(A, 0) is None
    assert skipped.add(A, 8, keys(5, 6, 7), 3)
    assert skipped.changed and len(skipped) == 3
    assert [skipped.find(A, n) for n in (5, 6, 7)] == [keys(5), keys(6), keys(7)]
    assert skipped.find(A, 4) is None and skipped.find(A, 8) is None and skipped.find(B, 5) is None
    skipped.remove(A, 6)
    assert skipped.find(A, 6) is None
    assert skipped.find(A, 5) == keys(5) and skipped.find(A, 7) == keys(7)
    skipped.remove(A, 5)
    skipped.remove(A, 7)
    assert len(skipped) == 0 and skipped.record() == b""


def test_nothing_to_add_is_no_change():
    skipped = Skipped(None, 10)
    assert skipped.add(A, 5, b"", 0)
    assert not skipped.changed and skipped.record() == b""


def test_record_comes_back():
    skipped = Skipped(None, 10)
    skipped.add(A, 3, keys(0, 1, 2), 3)
    skipped.add(B, 0x80000001, keys(9), 1)
    record = skipped.record()
    assert len(record) == 2 * 34 + 4 * 36
    again = Skipped(record, 10)
    assert not again.changed and again.record() == record and len(again) == 4
    assert again.find(B, 0x80000000) == keys(9)
    again.remove(A, 1)
    assert again.changed
    third = Skipped(again.record(), 10)
    assert third.find(A, 1) is None and third.find(A, 2) == keys(2)


@covers("O-021", "O-023")
def test_oldest_go_first_whatever_their_ratchet_key():
    skipped = Skipped(None, 4)
    assert skipped.add(A, 2, keys(0, 1), 2)
    assert skipped.add(B, 2, keys(0, 1), 2)
    assert not skipped.add(B, 3, keys(2), 1)
    assert len(skipped) == 4
    assert skipped.find(A, 0) is None and skipped.find(A, 1) == keys(1)
    assert not skipped.add(C, 3, keys(0, 1, 2), 3)
    assert [skipped.find(B, n) for n in range(3)] == [None, None, keys(2)]
    assert skipped.find(A, 1) is None and skipped.find(C, 0) == keys(0)
    assert len(Skipped(skipped.record(), 4)) == 4


@covers("O-023")
def test_keys_that_were_not_even_derived_count_as_dropped():
    skipped = Skipped(None, 4)
    assert not skipped.add(A, 100, keys(96, 97, 98, 99), 100)
    assert skipped.find(A, 95) is None and skipped.find(A, 96) == keys(96) and skipped.find(A, 99) == keys(99)


@covers("O-024", "O-025")
def test_keys_of_ratchet_keys_that_are_no_longer_current_go():
    skipped = Skipped(None, 10)
    for dh in (A, B, C):
        skipped.add(dh, 2, keys(0, 1), 2)
    skipped = Skipped(skipped.record(), 10)
    skipped.retire(lambda dh: True)
    assert not skipped.changed and len(skipped) == 6
    skipped.retire(lambda dh: dh != B)
    assert skipped.changed and len(skipped) == 4
    assert skipped.find(B, 0) is None and skipped.find(A, 0) and skipped.find(C, 1)


def test_chains_of_keys_that_went_on():
    skipped = Skipped(None, 10)
    skipped.add(A, 2, keys(0, 1), 2)
    skipped.add(A, 6, keys(4, 5), 2)
    skipped.add(B, 1, keys(0), 1)
    skipped.add(A, 9, keys(8), 1)
    again = Skipped(skipped.record(), 10)
    assert [again.find(A, n) is not None for n in (0, 1, 2, 4, 5, 8)] == [True, True, False, True, True, True]

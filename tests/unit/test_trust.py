"""Pins: whole fingerprints, replaced as a whole, kept across restarts."""

from motemo.errors import LocalError
from motemo.omemo import records, trust
from tests.covers import covers
from tests.memory_store import MemoryStore
from tests.raises import raises

ALICE, BOB = "alice@example.org", "bob@example.org"
A, B, C = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32


@covers("O-140")
def test_pinned_is_who_was_pinned():
    store = MemoryStore()
    assert trust.owners(store) == [] and trust.pins(store, ALICE) == []
    assert not trust.is_pinned(store, ALICE, A)
    trust.pin(store, ALICE, [A, B])
    trust.pin(store, BOB, [C])
    store = store.copy()
    assert trust.owners(store) == [ALICE, BOB]
    assert trust.pins(store, ALICE) == [A, B]
    assert trust.is_pinned(store, ALICE, A) and trust.is_pinned(store, ALICE, B)
    assert not trust.is_pinned(store, ALICE, C), "a pin is for one account"
    assert not trust.is_pinned(store, ALICE, None)
    assert not trust.is_pinned(store, ALICE, b"")
    assert not trust.is_pinned(store, ALICE, A[:16] + B[:16])
    assert not trust.is_pinned(store, "ALICE@example.org", A)


def test_a_fingerprint_across_two_pins_is_none():
    store = MemoryStore()
    trust.pin(store, ALICE, [A, B])
    assert not trust.is_pinned(store, ALICE, (A + B)[16:48])


def test_pins_are_replaced_as_a_whole():
    store = MemoryStore()
    trust.pin(store, ALICE, [A, B])
    trust.pin(store, ALICE, [C])
    assert trust.pins(store, ALICE) == [C] and not trust.is_pinned(store, ALICE, A)
    trust.pin(store, ALICE, [])
    assert trust.owners(store) == [] and store.keys(records.PIN) == []


@covers("O-145")
def test_half_a_fingerprint_is_refused():
    store = MemoryStore()
    trust.pin(store, ALICE, [A])
    for bad in (A[:31], A + b"x", b"\x05" + A, b"", A.hex().encode()):
        raises(LocalError, "length", trust.pin, store, ALICE, [B, bad])
        assert trust.pins(store, ALICE) == [A]

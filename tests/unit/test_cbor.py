"""CBOR: the examples of RFC 8949 that the subset holds, and what it refuses."""

from motemo.errors import LocalError, RemoteError
from motemo.link import cbor
from tests.raises import raises

# RFC 8949, Appendix A.
EXAMPLES = (
    (0, "00"),
    (1, "01"),
    (10, "0a"),
    (23, "17"),
    (24, "1818"),
    (25, "1819"),
    (100, "1864"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (-1, "20"),
    (-10, "29"),
    (-100, "3863"),
    (-1000, "3903e7"),
    (False, "f4"),
    (True, "f5"),
    (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("", "60"),
    ("a", "6161"),
    ("IETF", "6449455446"),
    ('"\\', "62225c"),
    ("\u00fc", "62c3bc"),
    ("\u6c34", "63e6b0b4"),
    ([], "80"),
    ([1, 2, 3], "83010203"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    (list(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
    ({}, "a0"),
    ({1: 2, 3: 4}, "a201020304"),
    ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    (["a", {"b": "c"}], "826161a161626163"),
    ({"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"}, "a56161614161626142616361436164614461656145"),
)

REFUSED = (
    "",  # nothing
    "0000",  # two items
    "1817",  # 23 in two bytes
    "190018",  # 24 in three
    "1a00000100",
    "1b0000000000010000",
    "1b00000000ffffffff",
    "3817",
    "580161",  # a length in more bytes than it needs
    "1c",  # reserved
    "1f",
    "18",  # cut off
    "1900",
    "4401",
    "6261",
    "5bffffffffffffffff",
    "83",
    "8301",
    "9bffffffffffffffff",
    "bbffffffffffffffff",
    "a101",
    "5f42010243030405ff",  # indefinite lengths
    "7f657374726561646d696e67ff",
    "9fff",
    "bf61610161629f0203ffff",
    "a201000100",  # duplicate key
    "a203040102",  # not sorted
    "a2616201616101",
    "a26161010102",
    "a14000",  # keys that are neither integers nor texts
    "a1f400",
    "a18000",
    "c11a514b67b0",  # tags
    "c249010000000000000000",
    "d81c81d81d00",
    "f6",  # null, undefined, simple values, floats
    "f7",
    "f0",
    "f814",
    "f8ff",
    "f93c00",
    "fa47c35000",
    "fb3ff199999999999a",
    "ff",
    "61ff",  # no UTF-8
    "62c328",
    "81818181818180",  # seven levels
)


def test_examples():
    for value, coded in EXAMPLES:
        coded = bytes.fromhex(coded)
        assert cbor.dumps(value) == coded
        assert cbor.loads(coded) == value
        assert type(cbor.loads(coded)) is type(value)


def test_keys_are_sorted_by_their_bytes():
    # RFC 8949, section 4.2.1: not by length first.
    assert cbor.dumps({"aa": 1, "b": 1, -1: 1, 100: 1, 10: 1}) == bytes.fromhex(
        "a50a0118640120016162016261610 1".replace(" ", "")
    )


def test_refuses():
    for coded in REFUSED:
        raises(RemoteError, "format", cbor.loads, bytes.fromhex(coded))


def test_every_cut_is_refused():
    coded = cbor.dumps({1: [b"abc", "def", -5, 70000, {2: True}], 2: b"x" * 300})
    for size in range(len(coded)):
        raises(RemoteError, "format", cbor.loads, coded[:size])


def test_depth():
    six = bytes.fromhex("818181818180")
    assert cbor.dumps(cbor.loads(six)) == six
    raises(LocalError, "format", cbor.dumps, [[[[[[[]]]]]]])


def test_refuses_to_write():
    for value in (None, 1.5, object(), {1, 2}, [None], {b"k": 1}, {None: 1}, {True: 1}, 1 << 64, -(1 << 64) - 1):
        raises(LocalError, "format", cbor.dumps, value)

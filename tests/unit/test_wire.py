"""The protobuf subset: what is written byte for byte, what is read, what is refused."""

from motemo.errors import RemoteError
from motemo.omemo.wire import decode, encode
from tests.covers import covers
from tests.raises import raises

NUMBER = ((1, 0),)
BYTES = ((1, -1),)


def test_varints_of_the_protobuf_documentation():
    assert encode((1, 150)) == b"\x08\x96\x01"
    assert encode((2, b"testing")) == b"\x12\x07testing"


def test_what_is_written_is_read():
    for number in (0, 1, 127, 128, 16383, 16384, (1 << 30) - 1, 1 << 30, (1 << 31) - 1, 1 << 31, 0xFFFFFFFF):
        assert decode(encode((1, number)), NUMBER) == {1: number}
    for length in (0, 1, 127, 128, 300):
        assert decode(encode((1, bytes(length))), BYTES) == {1: bytes(length)}
    data = encode((1, 7), (2, None), (3, b"abc"))
    assert data == b"\x08\x07\x1a\x03abc"
    assert decode(data, ((1, 0), (3, 3)), ((2, 0),)) == {1: 7, 3: b"abc"}
    assert decode(b"") == {}
    assert type(decode(bytearray(encode((1, b"x"))), BYTES)[1]) is bytes
    assert decode(memoryview(encode((1, b"x"))), BYTES) == {1: b"x"}


def test_unknown_fields_of_all_kinds_are_skipped():
    unknown = b"\x78\x05" + b"\x79" + bytes(8) + b"\x7d" + bytes(4) + b"\x7a\x02xy" + b"\xf8\xff\xff\xff\x0f\x01"
    assert decode(unknown + b"\x08\x01" + unknown, NUMBER) == {1: 1}


def test_order_is_free_and_the_last_of_two_counts():
    assert decode(encode((2, b"b"), (1, 1), (2, b"c")), ((1, 0), (2, 1))) == {1: 1, 2: b"c"}


@covers("O-013")
def test_kinds_are_checked():
    for data, kinds in (
        (encode((1, b"x")), NUMBER),
        (encode((1, 5)), BYTES),
        (b"\x0d" + bytes(4), NUMBER),
        (b"\x09" + bytes(8), BYTES),
        (encode((1, 1 << 32)), NUMBER),
        (encode((1, bytes(31))), ((1, 32),)),
        (encode((1, bytes(33))), ((1, 32),)),
        (b"", NUMBER),
        (encode((2, 5)), NUMBER),
    ):
        raises(RemoteError, "format", decode, data, kinds)
    raises(RemoteError, "format", decode, encode((1, b"x")), (), NUMBER)


def test_what_is_cut_off_or_endless_is_refused():
    whole = encode((1, 300), (2, bytes(200)), (3, 5))
    kinds = ((1, 0), (2, 200), (3, 0))
    assert decode(whole, kinds)
    for length in range(len(whole)):
        raises(RemoteError, "format", decode, whole[:length], kinds)
    for data in (
        b"\x08",
        b"\x08\x80",
        b"\x08" + b"\x80" * 9,
        b"\x08" + b"\x80" * 50 + b"\x01",
        b"\x80" * 50,
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x0a\x05abc",
        b"\x0b",  # a group
        b"\x0e",
        b"\x0f",
        b"\x79" + bytes(7),
        b"\x7d" + bytes(3),
    ):
        raises(RemoteError, "format", decode, data, BYTES)


def test_a_long_varint_is_a_number_like_another():
    assert decode(b"\x08\x85\x80\x80\x00", NUMBER) == {1: 5}

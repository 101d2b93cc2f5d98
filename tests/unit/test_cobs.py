"""COBS: the published examples, the edges of its blocks, and what is refused."""

from motemo.errors import RemoteError
from motemo.link import cobs
from tests.raises import raises

# From the paper (IEEE/ACM Transactions on Networking 7 no. 2, 1999) and the encoding table in its Wikipedia article.
EXAMPLES = (
    ("", "01"),
    ("00", "0101"),
    ("0000", "010101"),
    ("001100", "01021101"),
    ("11220033", "0311220233"),
    ("11223344", "0511223344"),
    ("11000000", "0211010101"),
)


def test_examples():
    for plain, coded in EXAMPLES:
        plain, coded = bytes.fromhex(plain), bytes.fromhex(coded)
        assert cobs.encode(plain) == coded
        assert cobs.decode(coded) == plain


def test_blocks_of_254():
    run = bytes(range(1, 256))
    assert cobs.encode(run[:254]) == b"\xff" + run[:254]
    assert cobs.encode(run) == b"\xff" + run[:254] + b"\x02\xff"
    assert cobs.encode(b"\0" + run[:254]) == b"\x01\xff" + run[:254]
    assert cobs.encode(run[:254] + b"\0") == b"\xff" + run[:254] + b"\x01\x01"
    assert cobs.encode(run[1:255] + b"\0" + run[:1]) == b"\xff" + run[1:255] + b"\x01\x02\x01"


def test_every_length_comes_back_without_zeros():
    for size in range(0, 520, 7):
        for data in (bytes(size), b"\x01" * size, bytes([i * 37 & 255 for i in range(size)])):
            coded = cobs.encode(data)
            assert 0 not in coded
            assert len(coded) <= size + 1 + size // 254
            assert cobs.decode(coded) == data


def test_refuses():
    for bad in (b"", b"\0", b"\x03\x11", b"\x02\x11\x05\x01", b"\xff" + b"a" * 253, b"\x03\x11\0"):
        raises(RemoteError, "format", cobs.decode, bad)

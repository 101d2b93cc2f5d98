"""Randomness: there is one source, and without it nothing is made."""

from motemo.crypto import random
from motemo.errors import StateError
from tests.raises import raises


def with_source(source, function, *args):
    """The result of `function` while `source` stands for os.urandom."""
    kept = random._source
    random._source = source
    try:
        return function(*args)
    finally:
        random._source = kept


def test_length_and_change():
    drawn = [random.random_bytes(32) for _ in range(4)]
    assert [len(data) for data in drawn] == [32] * 4
    assert len(set(drawn)) == 4
    assert random.random_bytes(0) == b""


def test_no_source():
    raises(StateError, "random", with_source, None, random.random_bytes, 32)


def test_source_that_fails():
    def broken(count):
        raise OSError(5)

    raises(StateError, "random", with_source, broken, random.random_bytes, 32)


def test_source_that_is_short():
    def short(count):
        return bytes(count - 1)

    raises(StateError, "random", with_source, short, random.random_bytes, 32)

"""Stores and sessions that earlier versions have left (tests.frozen) are read and go on, on every interpreter."""

import json

from motemo.errors import RemoteError
from motemo.omemo import records
from tests.covers import covers
from tests.frozen import FOLDER, from_json, jid_of, load, pair, versions
from tests.raises import raises
from tests.unit.test_engine import BOARD
from tests.unit.test_journal import Place


def read(version, name, mode="rb"):
    with open(FOLDER + "/" + version + "/" + name, mode) as file:
        return file.read()


class Frozen:
    """The board and one of its peers, from the states of a version."""

    def __init__(self, version, name):
        self.places = Place(), Place()
        stores = []
        for place, journal in zip(self.places, ("board", name)):
            stores.append(load(place.path, read(version, journal + ".journal")))
        self.stores = stores
        self.pair = pair(stores[0], stores[1], name)
        letters = json.loads(read(version, "letters.json", "r"))[name]
        self.to_board = [from_json(one, BOARD) for one in letters["to_board"]]
        self.to_peer = [from_json(one, jid_of(name)) for one in letters["to_peer"]]

    def end(self):
        for place, store in zip(self.places, self.stores):
            store.close()
            place.end()


def go_on(phase, check):
    """Lets `check` see the pair of that phase, of every version and dialect; then the two go on talking."""
    assert versions()
    for version in versions():
        for dialect in ("omemo2", "legacy"):
            frozen = Frozen(version, phase + "-" + dialect)
            two = frozen.pair
            check(two, frozen)
            two.talk("b", "a", "b", "a")
            assert two.is_settled() and two.heard[-4:] == ["b", "a", "b", "a"]
            frozen.end()


@covers("O-034")
def test_a_session_that_was_offered():
    def check(two, frozen):
        assert two.ends["a"].open(frozen.to_peer[0]) == "offered"
        two._ping("a")
        two.settle()

    go_on("offered", check)


@covers("O-120")
def test_a_session_whose_ping_is_due():
    def check(two, frozen):
        two._ping("b")
        assert len(two.flight["b"]) == 1
        two.settle()

    go_on("received", check)


@covers("O-021", "O-122")
def test_a_session_with_skipped_keys():
    def check(two, frozen):
        assert two.ends["b"].open(frozen.to_board[0]) == "late of a"
        assert two.ends["a"].open(frozen.to_peer[0]) == "late of b"
        raises(RemoteError, "duplicate", two.ends["b"].open, frozen.to_board[0])

    go_on("talking", check)


@covers("O-021", "O-093")
def test_a_session_that_was_replaced():
    def check(two, frozen):
        assert [len(store.keys(records.FORMER)) >= 1 for store in frozen.stores] == [True, True]
        assert two.ends["b"].open(frozen.to_board[0]) == "late of a"
        assert two.ends["a"].open(frozen.to_peer[0]) == "late of b"

    go_on("replaced", check)

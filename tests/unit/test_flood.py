"""Key exchanges that come to nothing, in great number: bounded work, no state, and the owner is heard all the same."""

from motemo.errors import RemoteError
from motemo.omemo import records, x3dh
from motemo.omemo.dialects import OMEMO2
from motemo.omemo.elements import Encrypted
from tests.covers import covers
from tests.raises import raises
from tests.sessions import lose_sessions
from tests.unit.test_engine import ALICE, BOARD, EVE, Device, befriend

STRANGER = bytes.fromhex("2152f8d19b791d24453242e15f2eab6cb7cffa7b6a5ed30097960e069881db12")


class Flood:
    """A board with an owner, and forged key exchanges to it, each with another ephemeral key."""

    def __init__(self):
        self.board, self.alice = befriend()
        self.count = 0
        self.work = 0
        self.names = {}
        self._respond = x3dh.respond

    def forged(self, identity_key, prekey=None):
        """A key exchange of Alice's device as far as the server tells; its tag is wrong."""
        prekey = prekey or int.from_bytes(min(self.board.store.keys(records.PREKEY)), "big")
        self.count += 1
        ephemeral = b"\x09" + self.count.to_bytes(31, "little")
        message = OMEMO2.encode_header(0, 0, b"\x05" + bytes(31), bytes(16))
        inner = OMEMO2.seal(message, bytes(16))
        data = OMEMO2.encode_exchange(prekey, 1, identity_key, ephemeral, inner)
        return Encrypted(2, self.alice.id, [(BOARD, self.board.id, True, data)], b"payload")

    def send(self, sender, encrypted):
        """Lets it arrive; the reason why it is refused goes into `names`, agreements on a key into `work`."""
        x3dh.respond = self._count
        try:
            self.board.engine.open(sender, encrypted)
        except RemoteError as error:
            self.names[error.reason] = self.names.get(error.reason, 0) + 1
        finally:
            x3dh.respond = self._respond

    def _count(self, *arguments):
        self.work += 1
        return self._respond(*arguments)


def flood_of_strangers(count):
    """Strangers, and others in the owner's name: the owner's own key exchange gets in at once."""
    flood = Flood()
    board, alice = flood.board, flood.alice
    before = board.state()
    for number in range(count):
        flood.send((EVE, ALICE, "eve" + str(number) + "@example.org")[number % 3], flood.forged(STRANGER))
    assert board.state() == before and board.ping() is None and board.engine.needs([]) == []
    assert len(board.engine.tries) == 1
    assert flood.work == flood.names["bad-tag"] == 7 + count // 8
    assert board.engine.counters == flood.names and flood.names["rate-limit"] == count - flood.work
    assert board.open(alice.seal("get")) == "get" and alice.open(board.seal("21.5")) == "21.5"
    lose_sessions(alice.engine)
    alice.start(board)
    assert board.open(alice.seal("again")) == "again"


def flood_with_the_owners_key(count):
    """Whoever knows the owner's public key and speaks in its name, a server, cannot shut the owner out for good."""
    flood = Flood()
    board, alice = flood.board, flood.alice
    before = board.state()
    for _ in range(count):
        flood.send(ALICE, flood.forged(alice.engine.keys.identity_key))
    assert board.state() == before and board.ping() is None and board.engine.needs([]) == []
    assert flood.work == 7 + count // 8 and len(board.engine.tries) == 1
    lose_sessions(alice.engine)
    alice.start(board)
    tried = 0
    while not board.engine.counters.get("done"):
        tried += 1
        try:
            assert board.open(alice.seal("again")) == "again"
            board.engine.count("done")
        except RemoteError as error:
            assert error.reason == "rate-limit"
    assert tried <= 8 and board.engine.tries == {}
    flood.send(ALICE, flood.forged(alice.engine.keys.identity_key))
    assert flood.names["bad-tag"] == flood.work, "what was heard of the owner lets more in"


@covers("O-147")
def test_forged_key_exchanges_of_strangers():
    flood_of_strangers(24)


@covers("O-147")
def test_forged_key_exchanges_with_the_owners_key():
    flood_with_the_owners_key(16)


@covers("O-121", "O-147")
def test_forged_key_exchanges_with_prekeys_that_are_gone():
    flood = Flood()
    board, alice = flood.board, flood.alice
    before = board.state()
    for number in range(20):
        flood.send(ALICE, flood.forged(alice.engine.keys.identity_key, 1000 + number))
        flood.send(EVE, flood.forged(STRANGER, 1000 + number))
    assert flood.work == 0 and board.state() == before
    assert board.engine.needs([]) == [("bundle", ALICE, alice.id, 2)], "a session for the owner, once"
    assert board.open(alice.seal("get")) == "get"


def test_strangers_key_exchanges_that_are_right_are_few_too():
    """Each takes a prekey and a write, so they count whatever comes of them, until an owner is heard."""
    board, alice = befriend()
    eve = Device(EVE, peer=BOARD)
    eve.pin(board)
    eve.list(board)
    for _ in range(7):
        lose_sessions(eve.engine)
        eve.start(board)
        assert board.open(eve.seal("hi"), EVE) == "hi"
    lose_sessions(eve.engine)
    eve.start(board)
    assert board.open(eve.seal("hi"), EVE) == "hi"
    lose_sessions(eve.engine)
    eve.start(board)
    raises(RemoteError, "rate-limit", board.open, eve.seal("hi"), EVE)
    for text in ("one", "two"):
        assert board.open(alice.seal(text)) == text
    assert board.open(eve.seal("hi"), EVE) == "hi"

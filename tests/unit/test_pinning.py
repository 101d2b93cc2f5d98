"""Pins of a board that runs: over the link and in the chat, on every interpreter."""

from motemo import overlay, pinning
from motemo.errors import LocalError, StateError
from motemo.omemo import records, trust
from motemo.omemo.keys import Keys
from tests.covers import covers
from tests.memory_store import MemoryStore
from tests.raises import raises
from tests.unit.test_engine import ALICE, BOARD, Device, befriend

BOB = "bob@example.org"
A, B, C = b"\x01" * 32, b"\x02" * 32, b"\xfe" * 32

overlay._UNLOADS = False


class Board:
    """What pinning knows of an agent: store, engine, log."""

    def __init__(self, engine):
        self.engine = engine
        self.store = engine.store if engine else MemoryStore()
        self.lines = []
        self.woken = 0
        self.forgotten = []

    def log(self, text):
        self.lines.append(text)

    def wake(self):
        self.woken += 1

    def forget_devices(self, devices):
        self.forgotten += devices


def make():
    """A board that has pinned two devices of Alice's, by provisioning."""
    board = Board(Device(BOARD).engine)
    pinning.replace(board.store, ALICE, [A, B], "provisioning")
    return board


def ask(board, op, jid=None, fingerprints=None, force=None):
    request = {"type": "request", "id": 1, "op": op}
    for name, value in (("jid", jid), ("fingerprints", fingerprints), ("force", force)):
        if value is not None:
            request[name] = value
    return pinning.perform(board, request)


def test_pins_are_listed_with_how_they_came():
    board = make()
    assert ask(board, "add-pins", ALICE, [C, A]) == {"count": 1}
    assert ask(board, "add-pins", BOB, [C]) == {"count": 1}
    assert pinning.say(board, ["pin", BOB, B.hex()]) == "Pinned for bob@example.org."
    assert ask(board, "list-pins") == {"owners": [ALICE, BOB]}
    found = ask(board, "list-pins", ALICE)
    assert found == {"fingerprints": [A, B, C], "how": ["provisioning", "provisioning", "link"]}
    assert ask(board, "list-pins", BOB) == {"fingerprints": [C, B], "how": ["link", "chat"]}
    assert ask(board, "list-pins", "nobody@example.org") == {"fingerprints": [], "how": []}


def test_first_use_is_told_and_hides_nothing_that_was_named():
    board = make()
    pinning.replace(board.store, ALICE, [C, B], "first use")
    assert ask(board, "list-pins", ALICE) == {"fingerprints": [C, B], "how": ["first use", "provisioning"]}
    pinning.replace(board.store, ALICE, [C], "provisioning")
    assert ask(board, "list-pins", ALICE)["how"] == ["provisioning"]
    pinning.replace(board.store, ALICE, [], "provisioning")
    assert board.store.keys(records.PIN) == board.store.keys(records.PIN_ORIGIN) == []


def test_pins_of_a_store_without_origins_count_as_provisioned():
    board = make()
    trust.pin(board.store, ALICE, [A])
    assert board.store.get(records.PIN_ORIGIN, ALICE.encode()) is None
    assert ask(board, "list-pins", ALICE) == {"fingerprints": [A], "how": ["provisioning"]}


@covers("O-140")
def test_unpinned_is_who_was_unpinned():
    board = make()
    assert ask(board, "remove-pins", ALICE, [A, A]) == {"count": 1}
    assert trust.pins(board.store, ALICE) == [B]
    for wrong in ([A], [A, B], [C]):
        raises(StateError, "not-found", ask, board, "remove-pins", ALICE, wrong)
        assert trust.pins(board.store, ALICE) == [B]
    raises(StateError, "not-found", ask, board, "remove-pins", BOB)


def test_the_last_owner_stays_unless_it_is_forced():
    board = make()
    for gone in ([], [A, B]):
        raises(StateError, "refused", ask, board, "remove-pins", ALICE, gone)
    raises(StateError, "refused", pinning.say, board, ["unpin", ALICE])
    assert trust.pins(board.store, ALICE) == [A, B]
    ask(board, "add-pins", BOB, [C])
    assert ask(board, "remove-pins", ALICE) == {"count": 2}
    assert ask(board, "remove-pins", BOB, force=True) == {"count": 1}
    assert ask(board, "list-pins") == {"owners": []}


def test_what_cannot_be_pinned():
    board = make()
    for jid in ("", "x", "@b", "a@", "a@b/c", "a@b@c", "a@" + "b" * 250):
        raises(LocalError, "format", ask, board, "add-pins", jid, [A])
    raises(LocalError, "length", ask, board, "add-pins", BOB, [A[:31]])
    raises(LocalError, "format", ask, board, "add-pins", BOB)
    raises(LocalError, "format", ask, board, "add-pins", BOB, [])
    raises(LocalError, "format", ask, board, "add-pins", None, [A])
    raises(LocalError, "format", pinning.replace, board.store, BOB, [A], "hearsay")
    many = [bytes([100 + n]) * 32 for n in range(pinning.MOST_PINS)]
    raises(StateError, "full", ask, board, "add-pins", ALICE, many)
    for n in range(1, pinning.MOST_OWNERS):
        ask(board, "add-pins", f"owner{n}@example.org", [C])
    raises(StateError, "full", ask, board, "add-pins", BOB, [C])
    assert ask(board, "add-pins", ALICE, [C]) == {"count": 1}
    raises(StateError, "not-provisioned", ask, Board(None), "list-pins")


@covers("O-140")
def test_unpinning_ends_sending_at_once():
    device, alice = befriend()
    board = Board(device.engine)
    alice.open(device.seal("before"))
    ask(board, "add-pins", BOB, [C])
    ask(board, "remove-pins", ALICE, [Keys(alice.store).fingerprint])
    assert board.forgotten == [(ALICE, alice.id)]
    raises(StateError, "no-devices", device.seal, "after")
    opened = device.engine.open(ALICE, alice.seal("set relay on"))
    assert not opened.trusted
    raises(StateError, "no-devices", device.restart().seal, "after a power cut")


def test_a_pin_lets_what_was_refused_be_looked_up_again():
    board = make()
    board.engine.on_devices(BOB, [7])
    board.engine.unusable[records.device_key(BOB, 7)] = "untrusted"
    ask(board, "add-pins", BOB, [C])
    assert board.woken == 1 and board.engine.needs([BOB]) == [("devices", BOB)]
    ask(board, "add-pins", BOB, [C])
    assert board.woken == 1, "nothing is new"


# In the chat


def test_the_words_of_the_chat():
    board = make()
    groups = " ".join([C.hex()[at : at + 8] for at in range(0, 64, 8)])
    assert pinning.say(board, ["Pin", "Bob@example.org"] + groups.upper().split()) == "Pinned for bob@example.org."
    assert pinning.say(board, ["pin", BOB, C.hex()]) == "Already pinned for bob@example.org."
    assert pinning.say(board, ["list", BOB]) == "bob@example.org:\n" + groups + " (chat)"
    lines = pinning.say(board, ["list"]).split("\n")
    assert [lines[0], lines[3]] == ["alice@example.org:", "bob@example.org:"] and len(lines) == 5
    assert lines[1].endswith(" (provisioning)")
    assert pinning.say(board, ["list", "eve@example.org"]) == "eve@example.org has no pins."
    assert "Unpinned for alice@example.org: 1." in pinning.say(board, ["unpin", ALICE, A.hex()])
    assert trust.pins(board.store, ALICE) == [B]
    assert "Unpinned for bob@example.org: 1." in pinning.say(board, ["unpin", BOB])


def test_words_that_are_none():
    board = make()
    before = dict(board.store._records)
    for words in ("", "x", "pin", "pin " + BOB, "unpin", "list a@b c", "pin list"):
        assert pinning.say(board, words.split()).startswith("Say: trust list")
    for text in ("12", "z" * 64, C.hex()[:-1], C.hex() + "00", "\u00e9" * 64):
        raises(LocalError, "format", pinning.say, board, ["pin", BOB, text])
        raises(LocalError, "format", pinning.say, board, ["unpin", ALICE, text])
    raises(LocalError, "format", pinning.say, board, ["pin", "bob", C.hex()])
    raises(StateError, "not-found", pinning.say, board, ["unpin", BOB])
    assert board.store._records == before


def test_a_long_list_is_cut():
    board = make()
    ask(board, "add-pins", BOB, [bytes([n]) * 32 for n in range(20)])
    text = pinning.say(board, ["list"])
    assert len(text.encode()) < 1000 and text.endswith("and 14 more; motemo trust list shows all")

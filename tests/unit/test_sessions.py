"""Sessions of a board that runs: over the link and in the chat, on every interpreter."""

from motemo import overlay, sessions
from motemo.errors import LocalError, StateError
from tests.covers import covers
from tests.raises import raises
from tests.unit.test_engine import ALICE, BOARD, EVE, Device, befriend
from tests.unit.test_pinning import Board

overlay._UNLOADS = False


def make():
    """A board with a session of its owner's and one of a stranger's."""
    device, alice = befriend()
    eve = Device(EVE, peer=BOARD)
    eve.pin(device)
    eve.list(device)
    eve.start(device)
    assert device.open(eve.seal("hi"), EVE) == "hi"
    return Board(device.engine), alice, eve


def ask(board, op, **fields):
    fields["op"] = op
    return sessions.perform(board, fields)


def test_sessions_are_listed():
    board, alice, eve = make()
    found = ask(board, "list-sessions")["sessions"]
    by_jid = {one["jid"]: one for one in found}
    assert len(found) == 2 and by_jid[EVE]["device"] == eve.id and not by_jid[EVE]["pinned"]
    assert ask(board, "list-sessions", jid=ALICE)["sessions"] == [by_jid[ALICE]]
    received = by_jid[ALICE].pop("received")
    assert received > 0
    assert by_jid[ALICE] == {
        "jid": ALICE,
        "device": alice.id,
        "dialect": 2,
        "pinned": True,
        "answered": True,
        "unanswered": 0,
        "former": False,
    }
    assert ask(board, "list-sessions", jid="nobody@example.org") == {"sessions": []}
    raises(StateError, "not-provisioned", ask, Board(None), "list-sessions")


@covers("O-126")
def test_one_device_one_account_or_all():
    for fields in ({"jid": ALICE}, {}, {"jid": ALICE, "device": 0}):
        board, alice, _ = make()
        if "device" in fields:
            fields["device"] = alice.id
        assert ask(board, "reset-sessions", **fields) == {"count": 1 if fields else 2}
        assert board.engine.needs([]) == [("bundle", ALICE, alice.id, 2)]
        assert board.woken == 1 and len(board.lines) == 1
        board.engine.on_bundle(ALICE, alice.id, alice.bundle())
        assert ask(board, "list-sessions", jid=ALICE)["sessions"][0]["former"]
        assert ask(board, "list-sessions", jid=ALICE)["sessions"][0]["answered"] is False
        jids = [one["jid"] for one in ask(board, "list-sessions")["sessions"]]
        assert (EVE in jids) == bool(fields), "who is not pinned has none after a reset of all"


@covers("O-126")
def test_what_cannot_be_reset():
    board, alice, _ = make()
    raises(StateError, "not-found", lambda: ask(board, "reset-sessions", jid="nobody@example.org"))
    error = raises(StateError, "not-found", lambda: ask(board, "reset-sessions", jid=ALICE, device=alice.id + 1))
    assert str(alice.id + 1) in error.text
    raises(LocalError, "format", lambda: ask(board, "reset-sessions", device=alice.id))
    assert board.engine.needs([]) == [] and board.woken == 0


@covers("O-126")
def test_words_of_the_chat():
    board, alice, _ = make()
    assert sessions.say(board, ALICE, ["session"]) == "New sessions are being made with your devices (1)."
    board.engine.rebuild.clear()
    device = str(alice.id)
    assert sessions.say(board, ALICE, ["Session", "Alice@example.org", device]).endswith("your devices (1).")
    assert board.engine.rebuild == [alice_key(board, alice)]
    assert sessions.say(board, ALICE, ["session", EVE]) == f"New sessions are being made with {EVE} (1)."
    assert sessions.say(board, ALICE, ["session", "all"]) == "New sessions are being made with all devices (1)."
    for words in ([], ["x"], ["session", ALICE, "x"], ["session", ALICE, device, "x"]):
        assert sessions.say(board, ALICE, words).startswith("Say: reset session")


def alice_key(board, alice):
    (key,) = [key for key in board.store.keys(5) if key.endswith(ALICE.encode())]
    return key

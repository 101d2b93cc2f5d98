"""Labels and opt-outs as the board has them, on every interpreter."""

from motemo import notices, overlay, provision, publish, settings
from motemo.crypto.ed25519 import ed25519_verify
from motemo.errors import LocalError, StateError
from motemo.omemo import envelope_reader, records, trust
from motemo.omemo.envelope import NOTICE, build
from tests.covers import covers
from tests.memory_store import MemoryStore
from tests.raises import raises
from tests.unit.test_engine import ALICE, BOARD, Device, befriend

overlay._UNLOADS = False


class Agent:
    """What the overlays know of an agent."""

    def __init__(self, store):
        self.store = store
        self.told = {}
        self.told_at = 0
        self.replies = []

    def reload_settings(self):
        pass

    def wake(self):
        pass


@covers("O-055", "O-057")
def test_a_label_is_signed_by_the_identity_key():
    device = Device(BOARD)
    assert publish._label(device.store) == ("", b"")
    for label in ("K\u00fcche", "\U0001f321 <cellar> & 'attic'", "x" * 52):
        device.store.commit([settings.change("label", label)])
        found, signature = publish._label(device.store)
        assert found == label and publish._label(device.store)[1] == signature
        ed25519_verify(device.engine.keys.identity_key, label.encode(), signature)


@covers("O-056")
def test_a_label_has_at_most_52_code_points():
    for label in ("\u00fc" * 53, "two\nlines", "\x00"):
        store = MemoryStore()
        request = {"op": "provision", "jid": BOARD, "label": label, "interval": 60, "mode": "linked"}
        error = raises(LocalError, "too-large", provision.perform, Agent(store), request)
        assert "52" in error.text and not store.commits
    request["label"] = "\u00fc" * 52
    provision.perform(Agent(store), request)
    assert settings.read(store, "label") == "\u00fc" * 52


@covers("O-103", "O-104", "O-105")
def test_an_account_that_opted_out_gets_nothing_until_it_is_back():
    board, alice = befriend()
    alice.open(board.seal("before"))
    assert trust.note_opt_out(board.store, ALICE, True) and not trust.note_opt_out(board.store, ALICE, True)
    sessions = [board.store.get(records.SESSION, key) for key in board.store.keys(records.SESSION)]
    for one in (board, board.restart()):
        raises(StateError, "opt-out", one.seal, "reading")
        raises(StateError, "opt-out", one.engine.seal, [ALICE, "nobody@example.org"], "reading")
    assert [board.store.get(records.SESSION, key) for key in board.store.keys(records.SESSION)] == sessions
    assert board.open(alice.seal("status")) == "status", "the session is as it was"
    assert trust.note_opt_out(board.store, ALICE, False) and not trust.note_opt_out(board.store, ALICE, False)
    assert alice.open(board.seal("after")) == "after"


@covers("O-103")
def test_an_opt_out_of_one_account_stops_no_other():
    board, alice = befriend()
    trust.note_opt_out(board.store, "bob@example.org", True)
    assert alice.open(board.engine.seal(["bob@example.org", ALICE], "reading")) == "reading"


@covers("O-100", "O-101")
def test_an_opt_out_is_in_the_envelope():
    board, alice = befriend()
    more = "<opt-out xmlns='urn:xmpp:omemo:2'><reason>a &lt; b</reason></opt-out>"
    opened = alice.engine.open(BOARD, board.engine.seal([ALICE], "farewell", more=more))
    assert (opened.envelope.opt_out, opened.envelope.body) == ("a < b", "farewell")


@covers("O-095", "O-123")
def test_an_owner_is_told_once_for_each_device_and_cause():
    agent = Agent(MemoryStore())
    notices.unreadable(agent, ALICE, 5, "bad-tag")
    notices.unreadable(agent, ALICE, 5, "bad-tag")
    ((jid, text, more),) = agent.replies
    assert jid == ALICE and "device 5 (bad-tag)" in text
    content = envelope_reader.read(build(BOARD, text, more=more), BOARD)
    assert content.others == [NOTICE] and content.body == text
    notices.unreadable(agent, ALICE, 5, "too-large")
    assert len(agent.replies) == 1, "seldom"
    for device in range(5, 40):
        agent.told_at = 1
        agent.replies.clear()
        notices.unreadable(agent, ALICE, device, "too-large")
        assert len(agent.told) <= 8 and len(agent.replies) == 1
    agent.told.pop((ALICE, 39))
    agent.told_at = 1
    notices.unreadable(agent, ALICE, 39, "too-large")
    assert len(agent.replies) == 2, "after a message that could be read it is news again"

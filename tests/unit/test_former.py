"""Two sessions with one device: key exchanges that cross, and what of a replaced session is still under way."""

import sys

from motemo.errors import RemoteError, StateError
from motemo.omemo import admission, dialects, ratchet, records
from motemo.omemo.elements import LEGACY, OMEMO2, Bundle, Encrypted
from tests.covers import covers
from tests.raises import raises
from tests.sessions import lose_sessions
from tests.unit.test_engine import ALICE, BOARD, EVE, Device, befriend, meet, spoilt

# Whose letter arrives next. On WebAssembly MicroPython collects no garbage while a module's tests run.
ORDERS = ("aabb", "abab", "abba", "baab", "baba", "bbaa") if sys.platform != "webassembly" else ("aabb",)


class Pair:
    """Two devices of ours with a network between that keeps the order of what one of them sends.

    heard: the texts that arrived. kex: of the last letter that each has sent, whether it was a key exchange.
    """

    def __init__(self, board, alice, dialect=OMEMO2):
        self.ends = {"a": alice, "b": board}
        self.dialect = dialect
        self.flight = {"a": [], "b": []}
        self.heard = []
        self.kex = {}

    def start(self, who):
        """Starts a session from the other's bundle."""
        one, other = self._both(who)
        if self.dialect == LEGACY:
            own = other.bundle()
            own = Bundle(
                other.engine.keys.fingerprint,
                own.signed_prekey_id,
                own.signed_prekey,
                own.legacy_signature,
                own.prekeys,
                LEGACY,
            )
        else:
            own = other.bundle()
        one.engine.on_bundle(other.jid, other.id, own)

    def session(self, who):
        one, other = self._both(who)
        return one.engine.session(records.device_key(other.jid, other.id, self.dialect))

    def say(self, who, text):
        self._post(who, self.ends[who].seal(text))

    def lose(self, who):
        self.flight[who].clear()

    def deliver(self, who):
        """The next letter of `who` arrives, if there is one, and the other answers with the pings that are due."""
        if self.flight[who]:
            reader = self._both(who)[1]
            text = reader.open(self.flight[who].pop(0))
            if text is not None:
                self.heard.append(text)
            self._ping("b" if who == "a" else "a")

    def settle(self):
        """All that is under way arrives, one letter of each in turn."""
        while self.flight["a"] or self.flight["b"]:
            self.deliver("a")
            self.deliver("b")

    def talk(self, *names):
        """They say something, one after the other."""
        for who in names:
            self.say(who, who)
            self.settle()

    def is_settled(self):
        """Both send in one and the same session, and know that the other has it."""
        return self.session("a").ephemeral == self.session("b").ephemeral and not any(self.kex.values())

    def counters(self):
        return [self.ends[who].engine.counters for who in "ab"]

    def _ping(self, who):
        one, other = self._both(who)
        ping = one.ping()
        while ping:
            if ping.keys[0][0] == other.jid:
                self._post(who, ping)
            ping = one.ping()

    def _post(self, who, encrypted):
        self.kex[who] = encrypted.keys[0][2]
        self.flight[who].append(encrypted)

    def _both(self, who):
        return self.ends[who], self.ends["b" if who == "a" else "a"]


def strangers(dialect=OMEMO2):
    """A pair that has pinned and listed each other and has no session."""
    board, alice = meet()
    if dialect == LEGACY:
        for one, other in ((board, alice), (alice, board)):
            one.engine.on_devices(other.jid, [other.id], LEGACY)
            one.engine.on_devices(other.jid, [], OMEMO2)
    return Pair(board, alice, dialect)


def crossed(dialect=OMEMO2, board_wins=None):
    """The same with a session that each has started before it heard of the other's."""
    while True:
        pair = strangers(dialect)
        pair.start("a")
        pair.start("b")
        if board_wins in (None, pair.session("b").ephemeral > pair.session("a").ephemeral):
            return pair


def friends():
    """A pair with a session that both have sent in."""
    return Pair(*befriend())


@covers("O-034", "O-035", "O-093", "O-120")
def test_key_exchanges_that_cross_end_in_one_session_and_nothing_is_lost():
    for dialect in (OMEMO2, LEGACY):
        for order in ORDERS:
            for board_wins in (False, True):
                pair = crossed(dialect, board_wins)
                for text in ("1", "2"):
                    pair.say("a", "a" + text)
                    pair.say("b", "b" + text)
                for who in order:
                    pair.deliver(who)
                pair.settle()
                assert sorted(pair.heard) == ["a1", "a2", "b1", "b2"]
                pair.talk("b", "a")
                assert pair.is_settled(), (dialect, order, board_wins)
                pair.talk("b", "a")
                assert pair.heard[4:] == ["b", "a", "b", "a"]
                assert pair.counters() == [{}, {}]


@covers("O-034", "O-093")
def test_crossed_sessions_settle_even_if_both_always_speak_at_once():
    for board_wins in (False, True):
        pair = crossed(board_wins=board_wins)
        for number in range(4):
            pair.say("a", "a" + str(number))
            pair.say("b", "b" + str(number))
            pair.settle()
        assert len(pair.heard) == 8 and pair.counters() == [{}, {}]
        assert pair.is_settled()


@covers("O-034", "O-093")
def test_only_one_of_the_crossing_key_exchanges_arrives():
    for lost in "ab":
        pair = crossed()
        pair.say("a", "a")
        pair.say("b", "b")
        pair.lose(lost)
        pair.settle()
        pair.talk("b", "a")
        assert pair.is_settled() and len(pair.heard) == 3 and pair.counters() == [{}, {}]


@covers("O-093", "O-122")
def test_what_is_under_way_in_a_replaced_session_is_read_and_read_once():
    pair = friends()
    board, alice = pair.ends["b"], pair.ends["a"]
    late = [alice.seal(text) for text in ("one", "two", "three")]
    pair.start("a")
    assert board.open(alice.seal("new")) == "new"
    current = board.session_with(alice).ephemeral
    assert len(board.store.keys(records.FORMER)) == 1
    assert board.open(late[2]) == "three"
    assert [board.open(one) for one in late[:2]] == ["one", "two"], "its skipped keys are kept too"
    board = pair.ends["b"] = board.restart()
    for one in late:
        raises(RemoteError, "duplicate", board.open, one)
    pair.talk("a", "b", "a", "b")
    assert pair.is_settled() and board.session_with(alice).ephemeral == current


@covers("O-093", "O-147")
def test_forged_message_leaves_both_sessions_as_they_were():
    pair = friends()
    board, alice = pair.ends["b"], pair.ends["a"]
    late = alice.seal("late")
    pair.start("a")
    pair.talk("a", "b")
    assert len(board.store.keys(records.FORMER)) == 1
    before = board.state()
    raises(RemoteError, "bad-tag", board.open, spoilt(late))
    raises(RemoteError, "bad-tag", board.open, spoilt(alice.seal("now")))
    assert board.state() == before and board.ping() is None and board.engine.needs([]) == []
    assert board.open(late) == "late"


@covers("O-093")
def test_flash_is_full_when_the_former_session_has_received():
    pair = friends()
    board, alice = pair.ends["b"], pair.ends["a"]
    late = alice.seal("late")
    pair.start("a")
    pair.talk("a", "b")
    before = board.state()
    board.store.fail = StateError("full")
    raises(StateError, "full", board.open, late)
    assert board.state() == before
    assert board.open(late) == "late"
    pair.talk("a", "b")
    assert pair.heard == ["a", "b", "a", "b"]


@covers("O-025")
def test_the_former_session_goes_as_the_ratchet_turns():
    pair = friends()
    board = pair.ends["b"]
    pair.start("a")
    pair.talk("a")
    turns = 0
    while board.store.keys(records.FORMER):
        pair.talk("b", "a")
        turns += 1
    assert turns == 8, "as long as late letters of the session itself can be read"


@covers("O-093")
def test_another_identity_has_no_former_session():
    board, alice = meet()
    stranger, other = Device(EVE), Device(EVE, which=1)
    own_id = stranger.store.get(records.IDENTITY, b"")[128:132]
    identity = other.store.get(records.IDENTITY, b"")
    other.store.commit([(records.IDENTITY, b"", identity[:128] + own_id + identity[132:])])
    other = other.restart()
    for eve in (stranger, other):
        eve.pin(board)
        eve.list(board)
        eve.start(board)
        assert board.open(eve.seal("hi"), EVE) == "hi"
    assert board.store.keys(records.FORMER) == []
    raises(RemoteError, "bad-tag", board.open, spoilt(Encrypted(2, other.id, other.seal("x").keys, None)), EVE)


@covers("O-121", "O-147")
def test_a_session_that_was_not_answered_is_offered_again_once():
    board, alice = befriend()
    lose_sessions(board.engine)
    board.start(alice)
    assert board.seal("lost").keys[0][2] and board.ping() is None
    ephemeral = board.session_with(alice).ephemeral
    before = board.state()
    for text in ("one", "two"):
        raises(RemoteError, "bad-tag", board.open, alice.seal(text))
    assert board.state() == before and board.engine.needs([]) == [], "no new session"
    ping = board.ping()
    assert ping.keys[0][2] and dialects.OMEMO2.decode_exchange(ping.keys[0][3])[3] == ephemeral
    assert board.ping() is None
    assert alice.open(ping) is None
    assert board.open(alice.ping()) is None
    assert board.open(alice.seal("three")) == "three"


@covers("O-119", "O-121")
def test_a_key_exchange_with_a_prekey_that_is_gone_is_answered_by_a_session():
    pair = friends()
    board, alice = pair.ends["b"], pair.ends["a"]
    own = board.bundle()
    alice.engine.on_bundle(BOARD, board.id, own)
    pair.talk("a")
    alice.engine.on_bundle(BOARD, board.id, own)  # the same prekey
    pair.say("a", "lost")
    raises(RemoteError, "no-prekey", pair.deliver, "a")
    assert board.engine.needs([]) == [("bundle", ALICE, alice.id, 2)]
    board.engine.on_no_bundle(ALICE, alice.id)
    raises(RemoteError, "no-prekey", board.open, alice.seal("lost too"))
    assert board.engine.needs([]) == [], "once, until she is heard again"
    board.engine.rebuild.append(board.key_of(alice))
    pair.start("b")
    pair._ping("b")
    pair.settle()
    pair.talk("a", "b")
    assert pair.is_settled() and pair.heard == ["a", "a", "b"]


@covers("O-121")
def test_a_device_that_makes_a_new_session_itself_needs_none_of_us():
    pair = friends()
    board, alice = pair.ends["b"], pair.ends["a"]
    assert admission.replace_sessions(board.engine, ALICE) == 1
    assert board.engine.needs([]) == [("bundle", ALICE, alice.id, 2)]
    pair.talk("a")
    assert board.engine.needs([]) == [("bundle", ALICE, alice.id, 2)]
    pair.start("a")
    pair.talk("a")
    assert board.engine.needs([]) == []


@covers("O-119", "O-126")
def test_an_unanswered_session_with_the_same_prekey_is_offered_again():
    board, alice = meet()
    own = alice.bundle()
    board.engine.on_bundle(ALICE, alice.id, own)
    board.seal("lost")
    ephemeral = board.session_with(alice).ephemeral
    assert admission.replace_sessions(board.engine, ALICE) == 1
    board.engine.on_bundle(ALICE, alice.id, own)
    assert board.session_with(alice).ephemeral == ephemeral
    ping = board.ping()
    assert ping.keys[0][2] and alice.open(ping) is None
    # Too much of it was lost: another session, though there is no other prekey.
    board, alice = meet()
    own = alice.bundle()
    board.engine.on_bundle(ALICE, alice.id, own)
    board.lose(alice, 200)
    ephemeral = board.session_with(alice).ephemeral
    assert admission.replace_sessions(board.engine, ALICE) == 1
    board.engine.on_bundle(ALICE, alice.id, own)
    assert board.session_with(alice).ephemeral != ephemeral


@covers("O-093")
def test_a_device_that_is_heard_in_the_former_session_is_not_stale():
    pair = friends()
    board, alice = pair.ends["b"], pair.ends["a"]
    pair.start("b")
    session = board.session_with(alice)
    session.flags |= ratchet.STALE | ratchet.LEFT_OUT
    assert board.open(alice.seal("here")) == "here"
    assert not board.session_with(alice).is_set(ratchet.STALE | ratchet.LEFT_OUT)

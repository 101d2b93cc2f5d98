"""Upkeep of keys and sessions: rotation of the signed prekey, catch-up, devices that do not answer, unlisted ones."""

from motemo import overlay
from motemo.crypto.ed25519 import ed25519_verify
from motemo.crypto.xeddsa import xeddsa_verify
from motemo.errors import RemoteError, StateError
from motemo.omemo import ratchet, records, trust, upkeep
from motemo.omemo.keys import BUNDLE_DIRTY, Keys
from motemo.profile import Profile
from tests.bundles import make_bundle, note_published
from tests.covers import covers
from tests.raises import raises
from tests.unit.test_engine import ALICE, BOARD, EVE, Device, befriend, meet

overlay._UNLOADS = False  # see test_engine

READING = "[]"


# The signed prekey


def signed_prekeys(device):
    return sorted(int.from_bytes(key, "big") for key in device.store.keys(records.SIGNED_PREKEY))


@covers("O-002", "O-011")
def test_new_signed_prekey_is_signed_for_both_dialects_and_due_on_the_server():
    board = Device(BOARD)
    own = board.engine.keys
    old = make_bundle(own)
    note_published(own)
    upkeep.rotate(own)
    for keys in (own, Keys(board.store.copy())):
        assert keys.newest_signed_prekey == 2 and keys.flags & BUNDLE_DIRTY
        new = make_bundle(keys)
        assert new.signed_prekey_id == 2 and new.signed_prekey != old.signed_prekey
        assert new.prekeys == old.prekeys
        ed25519_verify(own.identity_key, new.signed_prekey, new.signature)
        xeddsa_verify(own.fingerprint, b"\5" + new.signed_prekey, new.legacy_signature)
    note_published(own, old)
    assert own.flags & BUNDLE_DIRTY, "the server has the former one"
    note_published(own)
    assert not own.flags & BUNDLE_DIRTY


@covers("O-003")
def test_former_signed_prekey_works_for_one_more_period():
    board, alice = meet()
    before = board.bundle()
    upkeep.rotate(board.engine.keys)
    board = board.restart()
    alice.engine.on_bundle(BOARD, board.id, before)
    assert board.open(alice.seal("to the former one")) == "to the former one"
    assert signed_prekeys(board) == [1, 2]

    between = board.bundle()
    upkeep.rotate(board.engine.keys)
    assert signed_prekeys(board) == [2, 3], "not longer"
    before.prekeys, between.prekeys = [[prekey] for prekey in make_bundle(board.engine.keys).prekeys[-2:]]
    alice.engine.on_bundle(BOARD, board.id, before)
    raises(RemoteError, "no-prekey", board.open, alice.seal("too late"))
    alice.engine.on_bundle(BOARD, board.id, between)
    assert board.open(alice.seal("in time")) == "in time"


@covers("O-002", "O-003")
def test_power_cut_at_a_rotation_leaves_the_former_state_or_the_new_one():
    board = Device(BOARD)
    own = board.engine.keys
    before, commits = board.state(), board.store.commits
    board.store.fail = StateError("full")
    raises(StateError, "full", upkeep.rotate, own, [(records.PIN, b"x", b"y")])
    assert board.state() == before and own.newest_signed_prekey == 1
    assert make_bundle(own).signed_prekey_id == 1
    upkeep.rotate(own, [(records.PIN, b"x", b"y")])
    assert board.store.commits == commits + 1 and board.store.get(records.PIN, b"x") == b"y"


# Catch-up


def race():
    """A board and two devices that have picked the same prekey of its bundle."""
    board, one, two = Device(BOARD), Device(ALICE), Device(ALICE, which=1)
    for device in (one, two):
        device.pin(board)
        device.list(board)
    board.pin(one, two)
    board.list(one, two)
    one.start(board)
    two.start(board)
    return board, one, two


@covers("O-124", "O-148")
def test_used_prekey_is_kept_until_the_end_of_a_catch_up():
    board, one, two = race()
    board.engine.catching_up = True
    offered = [number for number, _ in make_bundle(board.engine.keys).prekeys]
    assert board.open(one.seal("first")) == "first"
    now = [number for number, _ in make_bundle(board.engine.keys).prekeys]
    assert len(now) == len(offered) and offered[0] not in now, "it is on offer no more"
    assert board.open(two.seal("second")) == "second", "the loser of the race is read too"

    board = board.restart()
    assert len(board.store.keys(records.USED_PREKEY)) == 1
    upkeep.end_catch_up(board.engine)
    assert board.store.keys(records.USED_PREKEY) == [] and not board.engine.catching_up
    commits = board.store.commits
    upkeep.end_catch_up(board.engine)
    assert board.store.commits == commits, "no write for nothing"


@covers("O-094", "O-149")
def test_without_a_catch_up_a_used_prekey_goes_at_once():
    board, one, two = race()
    assert board.open(one.seal("first")) == "first"
    raises(RemoteError, "no-prekey", board.open, two.seal("second"))
    assert board.store.keys(records.USED_PREKEY) == []


@covers("O-124")
def test_after_a_power_cut_in_a_catch_up_kept_prekeys_are_still_good():
    board, one, two = race()
    board.engine.catching_up = True
    board.open(one.seal("first"))
    board = board.restart()
    assert board.open(two.seal("second")) == "second"


@covers("O-124", "O-122")
def test_key_exchange_is_taken_once_although_its_prekey_is_kept():
    board, alice, _ = race()
    board.engine.catching_up = True
    old = alice.seal("set relay on")
    assert board.open(old) == "set relay on"
    for reason in ("duplicate", "key-gone"):  # first its session is the former one, then there is only the prekey
        alice.engine.on_bundle(BOARD, board.id, board.bundle())
        assert board.open(alice.seal("set relay off")) == "set relay off"
        assert alice.open(board.ping()) is None
        before = board.state()
        raises(RemoteError, reason, board.open, old)
        assert board.state() == before and board.engine.counters[reason] == 1
        raises(RemoteError, reason, board.restart().open, old)


@covers("O-124")
def test_kept_prekeys_and_their_uses_are_bounded():
    board, alice = meet(Profile(prekeys=3, used=2))
    board.engine.catching_up = True
    for _ in range(4):
        alice.start(board)
        board.open(alice.seal("again"))
    assert sorted(board.store.keys(records.USED_PREKEY)) == [records.id_key(number) for number in (3, 4)]
    same = board.bundle()

    def start_anew():
        alice.store.commit([(records.SESSION, alice.key_of(board), None)])
        alice.engine.forget(alice.key_of(board))
        alice.engine.on_bundle(BOARD, board.id, same)

    for _ in range(4):
        start_anew()
        board.open(alice.seal("again"))
    start_anew()
    raises(RemoteError, "no-prekey", board.open, alice.seal("once too often"))
    none, alice = meet(Profile(prekeys=3, used=0))
    none.engine.catching_up = True
    alice.start(none)
    assert none.open(alice.seal("taken")) == "taken"
    assert none.store.keys(records.USED_PREKEY) == []


@covers("O-125", "O-120", "O-127")
def test_in_a_catch_up_key_exchanges_are_answered_at_once_and_heartbeats_wait():
    board, alice = befriend()
    two = Device(ALICE, which=1)
    two.pin(board)
    two.list(board)
    two.start(board)
    board.engine.catching_up = True
    alice.lose(board, 60)
    assert board.open(alice.seal("far ahead")) == "far ahead"
    assert board.ping() is None, "a heartbeat is put off"
    assert board.open(two.seal("hello")) == "hello"
    ping = board.ping()
    assert [key[1] for key in ping.keys] == [two.id]
    assert board.ping() is None, "one for each key exchange"
    assert two.open(ping) is None
    assert board.open(two.seal("more")) == "more" and board.ping() is None
    upkeep.end_catch_up(board.engine)
    assert alice.open(board.ping()) is None, "now the heartbeat is due"
    assert board.ping() is None


@covers("O-121", "O-124")
def test_who_writes_without_a_session_in_a_catch_up_is_answered_after_it():
    board, alice = befriend()
    other = Device(BOARD, store=board.store.copy())
    for key in (board.key_of(alice),):
        other.store.commit([(records.SESSION, key, None)])
    other.engine.catching_up = True
    raises(RemoteError, "no-session", other.open, alice.seal("who are you"))
    assert other.engine.needs([]) == []
    upkeep.end_catch_up(other.engine)
    assert other.engine.needs([]) == [("bundle", ALICE, alice.id, 2)]

    other.engine.catching_up = True
    alice.engine.on_bundle(BOARD, board.id, other.bundle())
    other.open(alice.seal("a new session"))
    upkeep.end_catch_up(other.engine)
    assert other.engine.needs([]) == [], "there is a session now"


# Heartbeats


@covers("O-127")
def test_late_message_of_an_old_chain_takes_no_heartbeat_from_the_present_one():
    board, alice = befriend()
    alice.lose(board, 59)
    late = alice.seal("late")
    newer = alice.seal("newer")
    board.open(newer)
    alice.open(board.ping())
    assert board.open(alice.seal("next chain")) == "next chain"
    assert board.open(late) == "late"
    while board.ping():
        pass
    for number in range(60):
        board.open(alice.seal(str(number)))
        beat = board.ping()
        if beat:
            break
    assert beat and number < 59, "the present chain has its own"


# Devices that do not answer


def silent(count):
    """A board and Alice's device, which has not answered the last `count` messages."""
    board, alice = befriend(Profile(prekeys=3, stale=5))  # the gap is larger by one
    lose(board, alice, count)
    return board, alice


def lose(board, alice, count):
    """As `Device.lose`; when there are many, their keys are not computed, and the session is of no use after that."""
    if count < 100:
        board.lose(alice, count)
        return
    session = board.session_with(alice)
    session.ns += count
    session.unanswered += count
    session.exact_state()


def test_device_that_answers_nothing_becomes_stale_and_that_is_told_once():
    board, alice = silent(3)
    assert board.seal("not yet") and not board.engine.notices
    board.seal("now")
    assert board.engine.notices == [(board.key_of(alice), "stale")] and upkeep.stale(board.store) == 1
    board.engine.notices.clear()
    board = board.restart()
    assert upkeep.stale(board.store) == 1
    board.seal("still")
    assert board.engine.notices == []


def test_stale_device_gets_one_reading_of_eight_and_all_answers():
    board, alice = silent(5)
    board.seal("stale from now on")
    got = [number for number in range(24) if board.engine.seal([ALICE], str(number), READING)]
    assert got == [7, 15, 23]
    assert board.engine.counters == {"stale": 21}
    for _ in range(3):
        assert alice.open(board.seal("answer")) == "answer"


def test_device_that_is_not_stale_gets_what_a_stale_one_does_not():
    board, alice = silent(5)
    other = Device(ALICE, which=1)
    board.pin(alice, other)
    board.list(alice, other)
    board.start(other)
    board.seal("one is stale")
    sealed = board.engine.seal([ALICE], "reading", READING)
    assert [key[1] for key in sealed.keys] == [other.id]


def test_stale_device_that_answers_is_normal_at_once():
    board, alice = silent(5)
    alice.open(board.seal("stale"))
    assert upkeep.stale(board.store) == 1
    board.open(alice.seal("here I am"))
    assert upkeep.stale(board.store) == 0
    assert board.engine.seal([ALICE], "reading", READING)
    board.lose(alice, 5)
    board.seal("away again")
    assert [text for _, text in board.engine.notices] == ["stale", "stale"], "told again"


def test_session_is_made_anew_before_the_gap_is_too_large():
    board, alice = silent(877)
    board.seal("the last but one")
    assert board.engine.needs([ALICE]) == []
    board.seal("the last one")
    assert board.engine.needs([ALICE]) == [("bundle", ALICE, alice.id, 2)]
    assert board.seal("meanwhile")
    board.start(alice)
    assert board.engine.needs([ALICE]) == []
    assert [text for _, text in board.engine.notices] == ["stale", "renewed"]
    assert upkeep.stale(board.store) == 1, "a new session is no answer"
    sealed = board.seal("hello again")
    assert sealed.keys[0][2] and alice.open(sealed) == "hello again"
    board.open(alice.ping())
    assert upkeep.stale(board.store) == 0


def test_what_was_sent_before_the_last_answer_counts_for_the_gap():
    """The device may have had the first message of the former chain only."""
    board, alice = silent(40)
    alice.open(board.seal("one of the former chain"))
    board.open(alice.seal("an answer to that"))
    assert board.session_with(alice).gap() == board.session_with(alice).pn == 41
    lose(board, alice, 838)
    assert board.engine.needs([ALICE]) == []
    board.seal("one more")
    assert board.engine.needs([ALICE]) == [("bundle", ALICE, alice.id, 2)]


def test_without_a_usable_bundle_the_device_is_left_out_and_that_is_told_once():
    board, alice = silent(889)
    other = Device(ALICE, which=1)
    board.pin(alice, other)
    board.list(alice, other)
    board.start(other)
    board.engine.on_no_bundle(ALICE, alice.id)
    assert board.engine.needs([ALICE]) == []
    for number in range(20):
        keys = board.seal(str(number)).keys
        assert len(keys) == (2 if number < 10 else 1)
    told = [text for key, text in board.engine.notices if key == board.key_of(alice)]
    assert told == ["stale", "left out: not-found"]
    board = board.restart()
    board.seal("after a power cut")
    assert board.engine.notices == []
    assert board.engine.needs([ALICE]) == [("bundle", ALICE, alice.id, 2)], "it is looked at anew"
    board.open(alice.nudge(board))
    board.start(alice)
    assert len(board.seal("both").keys) == 2


def test_bundle_of_another_identity_leaves_the_device_out():
    board, alice = silent(899)
    raises(RemoteError, "untrusted", board.engine.on_bundle, ALICE, alice.id, Device(EVE).bundle())
    raises(StateError, "no-devices", board.seal, "nobody")
    assert board.engine.notices == [(board.key_of(alice), "left out: untrusted")]


def test_lease_that_a_power_cut_skips_counts_for_the_gap():
    board, alice = befriend(Profile(prekeys=3, lease=8))
    for _ in range(3):
        board.seal("one")
        board = board.restart()
    assert board.session_with(alice).gap() >= 24


def test_record_of_an_older_version_is_read():
    board, alice = befriend()
    record = bytearray(board.store.get(records.SESSION, board.key_of(alice)))
    session = ratchet.restore(bytes(record))
    assert not session.is_set(ratchet.STALE) and not session.is_set(ratchet.LEFT_OUT)
    assert session.stored_state() == bytes(record), "its form is the same"


# Device lists


@covers("O-128")
def test_message_of_an_unlisted_device_asks_for_the_list_once():
    board, alice = befriend()
    assert board.open(alice.seal("listed")) == "listed" and board.engine.needs([]) == []
    board.engine.on_devices(ALICE, [5])
    board.open(alice.seal("unlisted"))
    assert board.engine.needs([]) == [("devices", ALICE)]
    assert board.engine.needs([ALICE]) == [("devices", ALICE), ("bundle", ALICE, 5, 2)][1:] + [("devices", ALICE)]
    board.engine.on_devices(ALICE, [5])
    board.open(alice.seal("still unlisted"))
    assert board.engine.needs([]) == [], "once for each device"


@covers("O-128")
def test_strangers_make_the_board_fetch_nothing():
    board, eve = Device(BOARD), Device(EVE)
    eve.pin(board)
    eve.list(board)
    eve.start(board)
    board.open(eve.seal("hello"), EVE)
    assert board.engine.needs([]) == []
    forged = Device(ALICE, which=2)
    forged.pin(board)
    forged.list(board)
    trust.pin(board.store, ALICE, [bytes(32)])
    raises(RemoteError, "no-session", board.open, befriend()[1].seal("no session"))
    assert ("devices", ALICE) not in board.engine.needs([])


def test_ids_that_are_new_on_a_list_are_told():
    board = Device(BOARD)
    on_devices = board.engine.on_devices
    assert on_devices(BOARD, [1, 2], 1) == [1, 2]
    assert on_devices(BOARD, [1, 3], 2) == [3], "1 is known from the other list"
    assert on_devices(BOARD, [1, 3], 2) == []
    assert board.restart().engine.on_devices(BOARD, [3, 4], 2) == [4]

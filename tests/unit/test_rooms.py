"""A room: what the engine seals for its members, and what the board keeps of what it is told of them."""

from motemo import overlay, rooms, settings
from motemo.errors import REASONS, LocalError, RemoteError, StateError
from motemo.omemo import trust
from motemo.profile import Profile
from tests.covers import covers
from tests.raises import raises
from tests.unit.test_engine import ALICE, BOARD, Device

BOB = "bob@example.org"
ROOM = "sensors@rooms.example.org"

overlay._UNLOADS = False


def meet(profile=None, **devices):
    """A board, and a pinned and listed device of each account with a session; by account how many of its devices."""
    board = Device(BOARD, profile)
    members = []
    for name in sorted(devices):
        own = [Device(name + "@example.org", which=which, peer=BOARD) for which in range(devices[name])]
        board.pin(*own)
        board.list(*own)
        for one in own:
            one.pin(board)
            one.list(board)
        members += own
    return board, members


def read(device, sealed, room=ROOM):
    return device.engine.open(BOARD, sealed, None, room).envelope.body


@covers("O-083", "O-084", "O-085", "S-05")
def test_one_message_for_the_pinned_devices_of_all_members():
    board, (a, second, b) = meet(alice=2, bob=1)
    trust.pin(board.store, ALICE, [a.engine.keys.fingerprint])  # the second one is listed and not pinned
    for one in (a, b):
        board.start(one)
    raises(RemoteError, "untrusted", board.start, second)
    sealed = board.engine.seal([ALICE, BOB], "21.5 °C", to=ROOM)
    assert sorted(key[:2] for key in sealed.keys) == sorted([(ALICE, a.id), (BOB, b.id)])
    for one in (a, b):
        raises(RemoteError, "envelope", read, one, sealed, None)  # brought to one alone: the envelope is for the room
    sealed = board.engine.seal([ALICE, BOB], "21.5 °C", to=ROOM)
    for one in (a, b):
        assert read(one, sealed) == "21.5 °C"
    raises(RemoteError, "not-for-us", read, second, sealed)


@covers("O-115")
def test_lists_of_members_are_fetched_before_the_first_message():
    board = Device(BOARD)
    carol = "carol@example.org"
    assert board.engine.needs([ALICE, BOB, carol]) == [("devices", ALICE), ("devices", BOB), ("devices", carol)]
    raises(StateError, "no-devices", board.engine.seal, [ALICE, BOB, carol], "nobody", None, ROOM)
    alice = Device(ALICE)
    board.pin(alice)
    board.list(alice)
    assert board.engine.needs([ALICE, BOB]) == [("bundle", ALICE, alice.id, 2), ("devices", BOB)]


def test_ten_devices_have_room_in_a_message():
    assert Profile().devices >= 10 and Profile().sessions >= 16


def test_devices_beyond_the_limit_are_counted():
    board, members = meet(Profile(prekeys=3, devices=2), alice=2, bob=1)
    for one in members:
        board.start(one)
    sealed = board.engine.seal([ALICE, BOB], "some", to=ROOM)
    assert len(sealed.keys) == 2 and board.engine.left_out == 1
    assert board.engine.counters == {"too-large": 1}
    board.engine.seal([BOB], "all", to=ROOM)
    assert board.engine.left_out == 0


def test_a_session_that_finds_no_room_is_not_fetched_for_again():
    board, (a, second, b) = meet(Profile(prekeys=3, sessions=2), alice=2, bob=1)
    board.start(a)
    board.start(second)
    assert raises(StateError, "full", board.start, b).text == "sessions"
    assert board.engine.needs([ALICE, BOB]) == [] and board.engine.counters == {"full": 1}
    assert len(board.engine.seal([ALICE, BOB], "some", to=ROOM).keys) == 2
    board.list(b)  # a change of the list lets us look again
    assert board.engine.needs([BOB]) == [("bundle", BOB, b.id, 2)]


def test_more_devices_than_the_cache_holds_are_stored_as_they_are():
    board, members = meet(Profile(prekeys=3, cached=1), alice=2, bob=1)
    for one in members:
        board.start(one)
    commits = board.store.commits
    first = board.engine.seal([ALICE, BOB], "first", to=ROOM)
    assert board.store.commits == commits + 3 and len(board.engine._cache) == 1
    board = board.restart()  # a power cut right after: no key is used twice, none is skipped
    second = board.engine.seal([ALICE, BOB], "second", to=ROOM)
    for one in members:
        assert read(one, first) == "first" and read(one, second) == "second"
        assert one.skipped_keys(board) == 0


class Agent:
    """What `rooms` knows of an agent."""

    def __init__(self):
        self.engine = Device(BOARD).engine
        self.store = self.engine.store
        self.room, self.members, self.nick, self.entered = ROOM, [], "", None
        self.lines = []
        self.counters = {}
        for jid in (ALICE, BOB):
            trust.pin(self.store, jid, [bytes(32)])

    def reload_settings(self):
        self.room = settings.read(self.store, "room")

    def wake(self):
        pass

    def count(self, reason):
        self.counters[reason] = self.counters.get(reason, 0) + 1

    def log(self, text):
        self.lines.append(text)


def told(**changes):
    message = {"type": "room", "room": ROOM, "text": "Kitchen", "members": [BOB], "others": 2}
    message.update(changes)
    return message


@covers("O-112", "O-140")
def test_only_those_who_are_pinned_are_kept_as_members():
    agent = Agent()
    rooms.on_room(agent, told(members=["eve@example.org", BOB, BOARD]))
    assert agent.members == [BOB] and agent.nick == "Kitchen"
    assert agent.lines == ["room sensors@rooms.example.org: 1 pinned members, 2 others"]
    rooms.on_room(agent, told(members=[BOB, ALICE]))
    assert agent.members == [ALICE, BOB]
    rooms.on_room(agent, told(room="other@rooms.example.org", members=[]))
    assert agent.members == [ALICE, BOB], "of a room that was left"


@covers("O-110", "O-111")
def test_a_room_that_may_not_be_used_has_no_members():
    agent = Agent()
    rooms.on_room(agent, told())
    rooms.on_room(agent, told(code=REASONS.index("refused"), text="the room is anonymous", members=[], others=0))
    assert agent.members == [] and agent.nick == ""
    assert agent.counters == {"refused": 1}
    assert agent.lines[-1] == "room sensors@rooms.example.org: refused the room is anonymous"
    rooms.on_room(agent, told(code=9999, text="", members=[], others=0))
    assert agent.counters == {"refused": 1, "unknown": 1}


def test_the_room_is_a_setting():
    agent = Agent()
    assert rooms.perform(agent, {"op": "room", "room": ROOM}) == {"room": ROOM, "members": []}
    assert settings.read(agent.store, "room") == ROOM
    for wrong in ("rooms.example.org", "sensors@rooms.example.org/Kitchen", "@rooms.example.org"):
        raises(LocalError, "format", rooms.perform, agent, {"op": "room", "room": wrong})
    assert rooms.perform(agent, {"op": "room"})["room"] == ROOM
    assert rooms.perform(agent, {"op": "room", "room": ""})["room"] == settings.read(agent.store, "room") == ""
    agent.engine = None
    raises(StateError, "not-provisioned", rooms.perform, agent, {"op": "room"})

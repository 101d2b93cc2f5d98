"""The agent's logic with a northbound that is no link: who is obeyed, what is answered, kept, counted."""

import asyncio
import json
import sys

import pytest

from motemo import agent as agent_module
from motemo import fetching, pinning, retirement, rooms, settings, status
from motemo.agent import Agent
from motemo.crypto.xeddsa import xeddsa_verify
from motemo.errors import RemoteError, StateError
from motemo.omemo import records, trust
from motemo.omemo.bundle import unpack
from motemo.omemo.elements import OMEMO2, Bundle, Encrypted
from motemo.omemo.envelope import NOTICE, SENML
from motemo.omemo.keys import BUNDLE_DIRTY
from motemo.profile import Profile
from tests.bundles import make_bundle, note_published
from tests.covers import covers
from tests.unit.test_engine import ALICE, BOARD, EVE, Device


class Northbound:
    """Carries nothing anywhere: messages end up in `sent`, lists and bundles come from the devices that are `known`."""

    requests = __name__

    def __init__(self):
        self.online = True
        self.sent = []  # (bare JID, Encrypted)
        self.known = {}  # bare JID: devices
        self.published = []
        self.labels = []
        self.entered = []
        self.room = {"text": "Kitchen", "members": [ALICE], "others": 1}  # what `enter_room` is answered
        self.fetched = []
        self.forgotten = []
        self.taken = asyncio.Event()
        self.taken.set()
        self.fail = None

    async def run(self, agent):
        await asyncio.Event().wait()

    async def send(self, jid, encrypted, group=False):
        self.sent.append((jid, encrypted))
        await self.taken.wait()

    def forget_devices(self, devices):
        self.forgotten += devices

    def check(self):
        if self.fail:
            raise self.fail


# What overlay.call finds under the name in `Northbound.requests`.


async def fetch_devices(northbound, jid, device, dialect):
    northbound.check()
    northbound.fetched.append(jid)
    return [one.id if isinstance(one, Device) else one for one in northbound.known.get(jid, [])]


async def fetch_bundle(northbound, jid, device, dialect):
    northbound.check()
    for one in northbound.known.get(jid, []):
        if isinstance(one, Device) and one.id == device:
            return one.bundle()
    raise RemoteError("not-found")


async def publish_bundle(northbound, bundle, prekeys):
    northbound.check()
    bundle.prekeys = unpack(prekeys)
    northbound.published.append(bundle)


async def enter_room(northbound, room, nick, accounts):
    northbound.check()
    northbound.entered.append((room, nick, accounts))
    if isinstance(northbound.room, Exception):
        raise northbound.room
    return {"type": "room", "room": room, **northbound.room}


async def publish_devices(northbound, device, label, signature):
    northbound.check()
    northbound.labels.append((label, signature))
    northbound.published.append(device)


class Stage:
    """An agent that runs, and Alice's device, pinned and listed, who has a session with it."""

    def __init__(self, **limits):
        self.board = Device(BOARD)
        self.alice = Device(ALICE)
        self.alice.pin(self.board)
        self.alice.list(self.board)
        self.board.pin(self.alice)
        self.northbound = Northbound()
        self.northbound.known[ALICE] = [self.alice]
        store = self.board.store
        store.size = 0  # what the journal tells for `status`
        store.commit([settings.change("state", "ready")])
        self.agent = Agent(store, Profile(prekeys=3, **limits), self.northbound)
        self.engine = self.agent.engine

    async def __aenter__(self):
        self.task = asyncio.create_task(self.agent.main())
        await self.until(lambda: len(self.northbound.published) == 2)
        self.alice.start(self.board)
        return self

    async def __aexit__(self, *_):
        mine = {task for task in asyncio.all_tasks() if "Agent." in task.get_coro().__qualname__}
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)

    async def until(self, condition):
        async with asyncio.timeout(3):
            while not condition():
                await asyncio.sleep(0.01)

    async def settle(self):
        """Lets the agent do what it would do by itself."""
        await asyncio.sleep(0.15)

    def says(self, text, device=None, sender=ALICE):
        """A message to the board; returns it."""
        sealed = (device or self.alice).seal(text)
        self.agent.on_message(sender, sealed)
        return sealed

    def read(self, device=None):
        """The envelopes of what the board has sent to the device so far; forgets them."""
        device = device or self.alice
        sent, self.northbound.sent = self.northbound.sent, []
        opened = [device.engine.open(BOARD, one) for jid, one in sent if jid == device.jid]
        return [one.envelope for one in opened if one.envelope]

    async def answer(self, text):
        """The board's answer to Alice's words."""
        self.read()
        self.says(text)
        await self.until(lambda: any(one.payload for _, one in self.northbound.sent))
        (envelope,) = self.read()
        return envelope.body

    def put(self, *values):
        """A sample as the sensors would have given it."""
        self.agent.outbox.put((0, [("n", "", value) for value in values]))
        self.agent.wake()


@pytest.fixture
async def stage():
    async with Stage() as one:
        yield one


# Keys and list on the server


@covers("O-062", "O-092", "O-116")
async def test_bundle_then_list_and_the_bundle_again_when_a_prekey_was_used(stage):
    own, device = stage.northbound.published
    assert own.identity_key == stage.engine.keys.identity_key and device == stage.engine.keys.device
    before = {number for number, _ in own.prekeys}
    stage.says("help")
    await stage.until(lambda: len(stage.northbound.published) == 3)
    after = {number for number, _ in stage.northbound.published[2].prekeys}
    assert len(before - after) == 1 and len(after) == len(before)
    await stage.settle()
    assert len(stage.northbound.published) == 3


@covers("O-052")
async def test_a_list_that_comes_while_an_older_one_is_fetched_stays(monkeypatch):
    stage = Stage()
    answer = fetch_devices

    async def late(northbound, jid, device, dialect):
        found = await answer(northbound, jid, device, dialect)
        if dialect == OMEMO2 and not northbound.known:
            northbound.known[ALICE] = [stage.alice]
            stage.agent.on_devices(ALICE, [stage.alice.id])
        return found

    monkeypatch.setattr(sys.modules[__name__], "fetch_devices", late)
    stage.northbound.known.clear()
    stage.engine.look_again(ALICE)
    await fetching.fetch(stage.agent, [ALICE])
    assert stage.engine.devices(ALICE) == [stage.alice.id]


@covers("O-116", "O-050")
async def test_device_id_that_is_taken_is_drawn_again():
    stage = Stage()
    taken = stage.engine.keys.device
    stage.northbound.known[BOARD] = [taken]
    async with stage:
        assert stage.northbound.published[1] == stage.engine.keys.device != taken


@covers("O-062", "O-092")
async def test_board_that_an_older_version_provisioned_publishes_a_legacy_signature():
    stage = Stage()
    store, own = stage.board.store, stage.engine.keys
    signed_prekey = records.id_key(1)
    record = store.get(records.SIGNED_PREKEY, signed_prekey)
    store.commit([(records.SIGNED_PREKEY, signed_prekey, record[:128])])
    note_published(own)
    assert not own.flags & BUNDLE_DIRTY, "nothing else would be due"
    async with stage:
        bundle = stage.northbound.published[0]
        xeddsa_verify(own.fingerprint, b"\5" + bundle.signed_prekey, bundle.legacy_signature)
        assert not own.flags & BUNDLE_DIRTY
        assert store.get(records.SIGNED_PREKEY, signed_prekey)[:128] == record[:128]


@covers("O-060", "O-061")
async def test_id_that_was_announced_without_an_answer_stays(monkeypatch):
    """A cut between the list on the server and the answer: what stands there then is our own id."""
    monkeypatch.setattr(agent_module, "_RETRY_SECONDS", 0)
    stage = Stage()
    first = stage.engine.keys.device
    announced = []

    async def publish(northbound, device, label, signature):
        announced.append(device)
        northbound.known[BOARD] = [device]
        if len(announced) == 1:
            raise StateError("timeout")
        northbound.published.append(device)

    monkeypatch.setattr(sys.modules[__name__], "publish_devices", publish)
    async with stage:
        assert announced == [first, first] and stage.engine.keys.device == first


async def test_own_id_that_has_gone_is_announced_again(stage):
    own = stage.engine.keys.device
    stage.agent.on_devices(BOARD, [own, 5])
    await stage.settle()
    assert stage.northbound.published[2:] == []
    stage.agent.on_devices(BOARD, [5])
    await stage.until(lambda: stage.northbound.published[2:] == [own])


async def test_what_fails_is_counted_and_tried_again(monkeypatch):
    monkeypatch.setattr(agent_module, "_RETRY_SECONDS", 0.05)
    stage = Stage()
    stage.northbound.fail = StateError("timeout")
    stage.put(1)
    task = asyncio.create_task(stage.until(lambda: stage.engine.counters.get("timeout", 0) > 1))

    async def mend():
        await task
        assert any("timeout" in line for line in stage.agent.log_lines)
        stage.northbound.fail = None

    mending = asyncio.create_task(mend())
    async with stage:
        await mending
        await stage.until(lambda: not len(stage.agent.outbox))
        assert [one.body for one in stage.read()] == ["n 1"]


async def test_a_server_that_takes_no_keys_does_not_stop_the_readings(monkeypatch):
    async def refuse(northbound, bundle, prekeys):
        raise RemoteError("refused", "forbidden")

    stage = Stage()
    async with stage:
        stage.read()
        with monkeypatch.context() as patched:
            patched.setattr(sys.modules[__name__], "publish_bundle", refuse)
            stage.says("help")
            await stage.until(lambda: any("publishing: refused" in line for line in stage.agent.log_lines))
            stage.put(1)
            await stage.until(lambda: not len(stage.agent.outbox))
            await stage.settle()
        assert stage.agent.counters["refused"] == 1 and [one.body for one in stage.read()][-1] == "n 1"
        stage.agent.on_online()
        await stage.until(lambda: any(isinstance(one, Bundle) for one in stage.northbound.published[2:]))


async def test_an_answer_that_does_not_fit_the_heap_gives_way_to_one_that_says_so(stage, monkeypatch):
    seal = stage.engine.seal

    def scarce(jids, text, *arguments, **more):
        if len(text) > 100:
            raise MemoryError
        return seal(jids, text, *arguments, **more)

    monkeypatch.setattr(stage.engine, "seal", scarce)
    stage.agent.commands["long"] = lambda _: "x" * 101
    assert "too long" in await stage.answer("set long now")
    assert stage.agent.counters["memory"] == 1 and await stage.answer("every 60") == "A reading every 60 s from now on."


# Commands


@covers("O-140", "O-120")
async def test_command_of_a_pinned_device_is_answered(stage):
    relay = []

    @stage.agent.command("relay")
    def switch(state):
        relay.append(state)
        return "relay is " + state

    assert await stage.answer("set relay on") == "relay is on"
    assert relay == ["on"]
    assert await stage.answer("SET relay  off  now") == "relay is off now"


@covers("O-141", "O-142")
async def test_unpinned_devices_command_nothing_and_are_counted(stage):
    calls = []
    stage.agent.command("relay")(calls.append)
    eve, other = Device(EVE), Device(ALICE, which=1)
    for device in (eve, other):
        device.pin(stage.board)
        device.list(stage.board)
        device.engine.on_bundle(BOARD, stage.engine.keys.device, make_bundle(stage.engine.keys))
        stage.says("set relay on", device, device.jid)
    await stage.settle()
    assert calls == [] and stage.engine.counters["untrusted"] == 2
    assert [line for line in stage.agent.log_lines if "untrusted" in line and str(eve.id) in line]
    assert all(one.payload is None for _, one in stage.northbound.sent), "they get pings and nothing else"
    assert not any("relay" in line for line in stage.agent.log_lines), "no content in the log"


@covers("O-122")
async def test_duplicate_command_runs_once_and_is_no_fault_in_the_log(stage):
    calls = []

    @stage.agent.command("relay")
    def switch(state):
        calls.append(state)
        return "done"

    sealed = stage.says("set relay on")
    stage.agent.on_message(ALICE, sealed)
    await stage.until(lambda: calls)
    stage.agent.on_message(ALICE, sealed)
    await stage.settle()
    assert calls == ["on"] and [one.body for one in stage.read()] == ["done"]
    assert stage.engine.counters == {"duplicate": 2}
    assert not any("duplicate" in line for line in stage.agent.log_lines)


@covers("O-095", "O-123")
async def test_other_failures_are_counted_and_in_the_log(stage):
    sealed = stage.alice.seal("help")
    stage.agent.on_message(EVE, sealed_for(stage, sealed, sid=5))
    assert any("no-session" in line for line in stage.agent.log_lines)
    stage.agent.on_message(ALICE, sealed_for(stage, sealed, rid=1))
    assert any("not-for-us" in line for line in stage.agent.log_lines)
    await stage.settle()
    assert stage.engine.counters == {"no-session": 1, "not-for-us": 1}


def sealed_for(stage, sealed, sid=None, rid=None):
    jid, own, _, data = sealed.keys[0]
    return Encrypted(2, sid or sealed.sid, [(jid, rid or own, False, data)], sealed.payload)


async def test_help_names_all_words(stage):
    stage.agent.command("relay")(str)
    text = await stage.answer("help")
    for word in ("get", "set", "every", "status", "log", "reset session", "relay"):
        assert word in text


async def test_get(stage):
    stage.agent.change_interval(3600)  # no reading by itself meanwhile
    stage.agent.sensor("temperature", unit="Cel")(lambda: 21.5)

    @stage.agent.sensor("humidity", unit="/")
    async def humidity():
        return 0.5

    stage.agent.sensor("broken")(lambda: 1 // 0)
    stage.agent.sensor("silent")(lambda: None)
    assert "temperature 21.5 °C" in await stage.answer("get temperature")
    assert await stage.answer("get") == "humidity 0.5, temperature 21.5 °C"
    assert any("broken" in line and "ZeroDivisionError" in line for line in stage.agent.log_lines)
    text = await stage.answer("get pressure")
    assert "pressure" in text and "temperature" in text
    assert await stage.answer("get silent")


async def test_set_that_goes_wrong(stage):
    @stage.agent.command("relay")
    def switch(state):
        raise OSError("secret")

    @stage.agent.command("slow")
    async def slow(state):
        return 7

    text = await stage.answer("set relay on")
    assert "OSError" in text and "secret" not in text
    assert "relay" in await stage.answer("set")
    assert "relay" in await stage.answer("set pump on")
    assert await stage.answer("set slow x") == "7"


async def test_every(stage):
    assert "60 s" in await stage.answer("every 60 s")
    assert stage.agent.every == 60
    assert "5 s" in await stage.answer("every 5")
    assert stage.agent.every == 5 and settings.read(stage.agent.store, "every") == "5"
    for words in ("every", "every 0", "every 86401", "every -5", "every x", "every 5 m", "every 5 s s"):
        assert "every SECONDS" in await stage.answer(words)
    assert stage.agent.every == 5


async def test_status_and_log(stage):
    await stage.answer("help")
    text = await stage.answer("status")
    for word in ("sessions", "waiting", "dropped", "heap"):
        assert word in text
    assert "empty" in await stage.answer("log")
    for n in range(20):
        stage.agent.log("line " + str(n))
    lines = (await stage.answer("log")).split("\n")
    assert lines[-1].endswith("line 19") and len(lines) == 12


@covers("O-126")
async def test_reset_session(stage):
    await stage.answer("help")
    assert "reset session" in await stage.answer("reset")
    old = stage.alice.session_with(stage.board).ephemeral
    stage.read()
    stage.says("reset session")
    await stage.until(lambda: [1 for _, one in stage.northbound.sent if one.payload])
    assert any("New sessions" in one.body for one in stage.read())
    assert stage.alice.session_with(stage.board).ephemeral != old
    assert await stage.answer("help")


async def test_bad_words(stage):
    for words in (" ", "open the door", "exec('x')", "getx", "\n\t", "help" * 100):
        assert "I do not know that" in await stage.answer(words)
    assert "There is no sensor" in await stage.answer("get\nset")


async def test_more_commands_than_wait_are_counted():
    async with Stage() as stage:
        stage.northbound.online = False
        for _ in range(10):
            stage.says("help")
        assert stage.engine.counters["full"] == 2
        stage.northbound.online = True
        await stage.until(lambda: len([1 for _, one in stage.northbound.sent if one.payload]) == 8)


async def test_command_of_a_pinned_device_that_is_not_listed_blocks_nobody(monkeypatch):
    """Its answer cannot go (O-084) until the list has it; readings for others go on."""
    monkeypatch.setattr(agent_module, "_RETRY_SECONDS", 0.05)
    async with Stage() as stage:
        await stage.answer("help")
        bob = Device("bob@example.org")
        stage.board.engine = stage.engine
        stage.board.pin(bob)
        stage.northbound.known[bob.jid] = [bob]
        stage.agent.on_devices(ALICE, [])
        stage.northbound.known[ALICE] = []
        stage.says("help")
        stage.put(5)
        await stage.until(lambda: any(jid == bob.jid for jid, _ in stage.northbound.sent))


# Readings


async def test_sample_travels_as_words_and_records(stage):
    stage.agent.set_clock(1700000000)
    stage.agent._clock = 1700000000  # the board's own clock began then
    stage.agent.outbox.put((5, [("temperature", "Cel", 21.5)]))
    stage.agent.wake()
    await stage.until(lambda: stage.northbound.sent)
    (envelope,) = stage.read()
    assert envelope.body == "temperature 21.5 °C"
    ((datatype, text),) = envelope.records
    assert datatype == SENML
    assert json.loads(text) == [{"n": "temperature", "u": "Cel", "v": 21.5, "t": 1700000005}]


async def test_sensors_are_sampled():
    stage = Stage()
    stage.agent.sensor("n")(iter([1, 2, 3]).__next__)
    async with stage:
        await stage.until(lambda: any(one.payload for _, one in stage.northbound.sent))
        assert stage.read()[0].body == "n 1"
        assert await stage.answer("get n") == "n 2"


async def test_outbox_keeps_readings_while_offline_and_counts_what_it_drops():
    async with Stage(outbox=3) as stage:
        stage.northbound.online = False
        for n in range(5):
            stage.put(n)
        await stage.settle()
        assert stage.northbound.sent == [] and stage.agent.outbox.dropped == 2
        stage.northbound.online = True
        await stage.until(lambda: len(stage.northbound.sent) == 3)
        assert [one.body for one in stage.read()] == ["n 2", "n 3", "n 4"]
        assert "2 dropped" in await stage.answer("status")


async def test_reading_stays_until_it_was_taken_over(stage):
    stage.northbound.taken.clear()
    stage.put(1)
    stage.put(2)
    await stage.until(lambda: stage.northbound.sent)
    await stage.settle()
    assert len(stage.northbound.sent) == 1 and len(stage.agent.outbox) == 2
    stage.northbound.taken.set()
    await stage.until(lambda: not len(stage.agent.outbox))
    assert [one.body for one in stage.read()] == ["n 1", "n 2"]


async def test_owner_who_cannot_be_reached_is_counted_and_the_others_get_theirs(stage):
    trust.pin(stage.agent.store, "aaron@example.org", [bytes(32)])
    stage.put(1)
    stage.put(2)
    await stage.until(lambda: not len(stage.agent.outbox))
    assert [one.body for one in stage.read()] == ["n 1", "n 2"]
    assert stage.engine.counters == {"no-devices": 2}
    assert any("aaron@example.org" in line for line in stage.agent.log_lines)


@covers("O-140", "O-084")
async def test_nothing_for_an_owners_unpinned_device(stage):
    other = Device(ALICE, which=1)
    stage.northbound.known[ALICE] = [stage.alice, other]
    stage.agent.on_devices(ALICE, [stage.alice.id, other.id])
    stage.put(1)
    await stage.until(lambda: not len(stage.agent.outbox))
    ((_, sealed),) = stage.northbound.sent
    assert [key[1] for key in sealed.keys] == [stage.alice.id]
    assert any("untrusted" in line for line in stage.agent.log_lines), "the owner can read why"


async def test_reading_goes_once_though_the_second_owner_fails(monkeypatch):
    monkeypatch.setattr(agent_module, "_RETRY_SECONDS", 0.05)
    async with Stage() as stage:
        bob = Device("bob@example.org")
        stage.board.pin(bob)
        stage.put(1)
        real, failures = stage.northbound.send, []

        async def send(jid, encrypted, group=False):
            if jid == bob.jid and len(failures) < 2:
                failures.append(jid)
                raise StateError("offline")
            await real(jid, encrypted)

        stage.northbound.send = send
        stage.northbound.known[bob.jid] = [bob]
        await stage.until(lambda: not len(stage.agent.outbox))
        assert len(failures) == 2
        assert sorted(jid for jid, _ in stage.northbound.sent) == [ALICE, bob.jid]


# A room

ROOM = "sensors@rooms.example.org"


async def to_room(stage):
    """The board has a room; Alice is in it, Bob is another owner."""
    bob = Device("bob@example.org", peer=BOARD)
    stage.board.pin(bob)
    stage.northbound.known[bob.jid] = [bob]
    stage.agent.store.commit([settings.change("room", ROOM), settings.change("label", "Kitchen")])
    stage.agent.reload_settings()
    stage.agent.wake()
    await stage.until(lambda: stage.northbound.entered)
    return bob


def addressed(stage):
    return [jid for jid, one in stage.northbound.sent if one.payload]


@covers("O-083", "O-112")
async def test_readings_go_to_the_room_and_to_the_owners_who_are_not_in_it(stage):
    bob = await to_room(stage)
    assert stage.northbound.entered == [(ROOM, "Kitchen", [ALICE, bob.jid])]
    stage.put(1)
    await stage.until(lambda: not len(stage.agent.outbox))
    assert addressed(stage) == [ROOM, bob.jid]
    (_, sealed), _ = stage.northbound.sent
    assert {key[0] for key in sealed.keys} == {ALICE}
    assert stage.alice.engine.open(BOARD, sealed, None, ROOM).envelope.body == "n 1"
    stage.northbound.sent.clear()
    rooms.on_room(stage.agent, {"room": ROOM, "text": "Kitchen", "members": [], "others": 0})
    stage.put(2)
    await stage.until(lambda: not len(stage.agent.outbox))
    assert addressed(stage) == [ALICE, bob.jid]


@covers("O-110", "O-111")
async def test_without_a_room_that_may_be_used_each_owner_gets_the_readings(stage):
    stage.northbound.room = RemoteError("refused", "the room is open to all")
    bob = await to_room(stage)
    stage.put(1)
    await stage.until(lambda: not len(stage.agent.outbox))
    assert addressed(stage) == [ALICE, bob.jid]
    assert stage.engine.counters == {"refused": 1}
    assert any("refused the room is open to all" in line for line in stage.agent.log_lines)
    await stage.settle()
    assert len(stage.northbound.entered) == 1, "the gateway tells when it may be used"


async def test_who_is_pinned_later_and_each_new_gateway_are_told_to_the_room(stage):
    bob = await to_room(stage)
    trust.pin(stage.agent.store, "carol@example.org", [bytes(32)])
    stage.agent.wake()
    await stage.until(lambda: len(stage.northbound.entered) == 2)
    assert stage.northbound.entered[1][2] == [ALICE, bob.jid, "carol@example.org"]
    stage.agent.on_online()
    await stage.until(lambda: len(stage.northbound.entered) == 3)
    rooms.perform(stage.agent, {"op": "room", "room": ""})
    await stage.until(lambda: len(stage.northbound.entered) == 4)
    assert stage.northbound.entered[3][0] == "" and stage.agent.members == []
    stage.put(1)
    await stage.until(lambda: not len(stage.agent.outbox))
    assert ROOM not in addressed(stage)


async def test_a_gateway_that_goes_is_asked_again(stage, monkeypatch):
    monkeypatch.setattr(agent_module, "_RETRY_SECONDS", 0.05)
    stage.northbound.room = StateError("timeout")
    await to_room(stage)
    await stage.until(lambda: len(stage.northbound.entered) > 1)
    stage.northbound.room = {"text": "Kitchen", "members": [ALICE], "others": 0}
    await stage.until(lambda: stage.agent.members == [ALICE])


@covers("O-140", "S-05", "M-02")
async def test_a_command_in_the_room_begins_with_our_name(stage):
    await to_room(stage)
    await stage.until(lambda: stage.agent.nick)
    heard = []
    stage.agent.command("relay")(lambda text: heard.append(text) or "done")

    def says(text, to=ROOM, device=stage.alice, group=True):
        stage.agent.on_message(device.jid, device.engine.seal([BOARD], text, to=to), None, group)

    for text in ("set relay 1", "Kitchenette: set relay 1", "kit: set relay 1", "Kitchen", "Kitchen:"):
        says(text)
    says("Kitchen: set relay 2")
    says("kitchen, set relay 3")
    says("KITCHEN set relay 4")
    says("Kitchen: set relay 5", to=BOARD)
    says("Kitchen: set relay 6", to="other@rooms.example.org")
    says("Kitchen: set relay 7", group=False)
    eve = Device(EVE)
    eve.list(stage.board)
    eve.pin(stage.board)
    eve.start(stage.board)
    says("Kitchen: set relay 8", device=eve)
    await stage.until(lambda: len(heard) == 3)
    await stage.settle()
    assert heard == ["2", "3", "4"]
    assert stage.engine.counters["envelope"] == 3 and stage.engine.counters["untrusted"] == 1
    assert set(addressed(stage)) == {ALICE}, "the answers are for who asked"
    stage.agent.store.commit([settings.change("room", "")])
    stage.agent.reload_settings()
    says("Kitchen: set relay 9")
    await stage.settle()
    assert len(heard) == 3


async def test_devices_that_are_left_out_are_told_once():
    async with Stage(devices=1) as stage:
        second = Device(ALICE, which=1)
        stage.board.pin(stage.alice, second)
        stage.northbound.known[ALICE] = [stage.alice, second]
        stage.agent.on_devices(ALICE, [stage.alice.id, second.id])
        await to_room(stage)
        for number in range(3):
            stage.put(number)
        await stage.until(lambda: not len(stage.agent.outbox))
        lines = [line for line in stage.agent.log_lines if "too-large" in line]
        assert len(lines) == 1 and ROOM in lines[0] and "1 devices left out" in lines[0]
        assert stage.engine.counters["too-large"] == 3


# Trust


@covers("O-140")
async def test_a_pinned_owner_pins_and_unpins_by_chat(stage):
    bob = Device("bob@example.org")
    fingerprint = bob.engine.keys.fingerprint
    assert await stage.answer("trust pin bob@example.org " + fingerprint.hex()) == "Pinned for bob@example.org."
    assert trust.is_pinned(stage.agent.store, bob.jid, fingerprint)
    assert "bob@example.org:" in await stage.answer("trust list")
    assert "Unpinned for bob@example.org: 1." in await stage.answer("trust unpin bob@example.org")
    assert trust.owners(stage.agent.store) == [ALICE]
    assert "refused" in await stage.answer("trust unpin " + ALICE)
    assert "64 hex digits" in await stage.answer("trust pin bob@example.org 12")
    assert "trust list" in await stage.answer("trust") and "trust list" in await stage.answer("help")


@covers("O-140", "O-141")
async def test_nobody_else_changes_pins_by_chat(stage):
    eve, other = Device(EVE), Device(ALICE, which=1)
    for device in (eve, other):
        device.pin(stage.board)
        device.list(stage.board)
        device.engine.on_bundle(BOARD, stage.engine.keys.device, make_bundle(stage.engine.keys))
        stage.says(f"trust pin {device.jid} {device.engine.keys.fingerprint.hex()}", device, device.jid)
    await stage.settle()
    assert trust.owners(stage.agent.store) == [ALICE] and len(trust.pins(stage.agent.store, ALICE)) == 1
    assert stage.engine.counters["untrusted"] == 2


@covers("O-140")
async def test_commands_that_wait_end_with_the_pin_of_their_device(stage):
    calls = []
    stage.agent.command("relay")(calls.append)
    await stage.answer("help")
    stage.northbound.online = False
    stage.says("set relay on")
    request = {"op": "remove-pins", "jid": ALICE, "force": True}
    assert pinning.perform(stage.agent, request) == {"count": 1}
    stage.northbound.online = True
    stage.agent.wake()
    await stage.settle()
    assert calls == [] and stage.engine.counters["untrusted"] == 1
    assert stage.northbound.forgotten == [(ALICE, stage.alice.id)]
    assert [one for _, one in stage.northbound.sent if one.payload] == []


async def test_a_sample_that_nobody_may_get_is_counted(stage):
    trust.pin(stage.agent.store, ALICE, [])
    stage.put(1)
    await stage.until(lambda: not len(stage.agent.outbox))
    assert stage.engine.counters == {"no-devices": 1}


# Opt-out, notices, retirement

OPT_OUT = "<opt-out xmlns='urn:xmpp:omemo:2'><reason>compliance</reason></opt-out>"


@covers("O-102", "O-103", "O-104", "O-105")
async def test_opt_out_stops_what_goes_to_the_account_until_it_is_back(stage):
    await stage.answer("help")
    stage.read()
    stage.agent.on_message(ALICE, stage.alice.engine.seal([BOARD], None, more=OPT_OUT))
    assert any("opt-out" in line and ALICE in line for line in stage.agent.log_lines)
    assert not any("compliance" in line for line in stage.agent.log_lines), "no content in the log"
    stage.put(1, 2)
    await stage.until(lambda: not len(stage.agent.outbox))
    await stage.settle()
    assert stage.read() == [] and stage.engine.counters == {"opt-out": 2}
    assert status.fields(stage.agent)["opted_out"] == [ALICE]
    assert trust.has_opted_out(stage.agent.store.copy(), ALICE), "a power cut changes nothing"
    assert "nothing: " not in await stage.answer("status"), "any message of theirs brings OMEMO back"
    stage.put(3)
    await stage.until(lambda: stage.northbound.sent)
    assert [one.body for one in stage.read()] == ["n 3"]


@covers("O-105")
async def test_pinning_again_ends_an_opt_out(stage):
    stage.agent.on_message(ALICE, stage.alice.engine.seal([BOARD], "and a text", more=OPT_OUT))
    request = {"op": "add-pins", "jid": ALICE, "fingerprints": [stage.alice.engine.keys.fingerprint]}
    assert trust.has_opted_out(stage.agent.store, ALICE)
    assert pinning.perform(stage.agent, request) == {"count": 0}
    stage.put(1)
    await stage.until(lambda: any(one.payload for _, one in stage.northbound.sent))
    assert [one.body for one in stage.read()] == ["n 1"], "what came with the opt-out is no command"


@covers("O-102", "O-142")
async def test_opt_out_of_an_unpinned_device_changes_nothing(stage):
    other = Device(ALICE, which=1)
    other.pin(stage.board)
    other.list(stage.board)
    other.engine.on_bundle(BOARD, stage.engine.keys.device, make_bundle(stage.engine.keys))
    stage.agent.on_message(ALICE, other.engine.seal([BOARD], None, more=OPT_OUT))
    assert stage.engine.counters == {"untrusted": 1} and not trust.has_opted_out(stage.agent.store, ALICE)


@covers("M-02", "O-123")
async def test_every_message_that_is_not_shown_has_a_counter_and_a_line(stage):
    agent = stage.agent
    agent.set_clock(1_700_000_000)
    agent.on_message(ALICE, stage.alice.engine.seal([BOARD], None, more="<x xmlns='urn:x'>secret</x>"))
    agent.on_message(ALICE, stage.alice.engine.seal([BOARD], ""))
    agent.on_message(ALICE, stage.alice.engine.seal([BOARD], "hello", more="<notice xmlns='urn:motemo:notice:1'/>"))
    stage.northbound.online = False
    for _ in range(9):
        stage.says("help")
    agent.stop_engine()
    stage.says("help")
    assert agent.counters == {"unknown": 2, "notice": 1, "full": 1, "not-provisioned": 9}
    assert status.perform(agent, {"op": "log"})["lines"] == agent.log_lines
    for line in agent.log_lines:
        moment, text = line.split(": ", 1)
        assert abs(int(moment) - 1_700_000_000) < 60
        assert text.startswith(f"message of {ALICE} device {stage.alice.id}: ") and "secret" not in text


async def test_a_line_of_the_log_before_the_time_is_known(stage):
    stage.agent.log("something")
    assert stage.agent.log_lines[-1].split(": ")[0] in ("0 s", "1 s", "2 s")


@covers("O-095", "O-123")
async def test_a_pinned_owner_is_told_once_that_a_message_could_not_be_read(stage):
    await stage.answer("help")
    stage.read()

    def spoilt():
        sealed = stage.alice.seal("set relay on")
        jid, device, kex, data = sealed.keys[0]
        return Encrypted(2, sealed.sid, [(jid, device, kex, data[:-1] + bytes([data[-1] ^ 1]))], sealed.payload)

    for _ in range(3):
        stage.agent.on_message(ALICE, spoilt())
    await stage.until(lambda: stage.northbound.sent)
    await stage.settle()
    (notice,) = stage.read()
    assert f"device {stage.alice.id} (bad-tag)" in notice.body and NOTICE in notice.others
    stage.agent.told_at = 0
    stage.agent.on_message(ALICE, spoilt())
    await stage.settle()
    assert stage.read() == []
    await stage.answer("help")  # this could be read
    stage.agent.on_message(ALICE, spoilt())
    await stage.until(lambda: stage.northbound.sent)
    assert len(stage.read()) == 1
    assert stage.engine.counters == {"bad-tag": 5}


@covers("O-123", "O-140")
async def test_nobody_is_told_of_messages_of_strangers(stage):
    stage.agent.on_message(EVE, sealed_for(stage, stage.alice.seal("help"), sid=5))
    await stage.settle()
    assert stage.northbound.sent == [] and stage.engine.counters == {"no-session": 1}


def retire(stage, **words):
    return retirement.perform(stage.agent, {"op": "retire", **words})


@covers("O-100", "O-101", "O-129")
async def test_a_board_that_retires_says_farewell_and_falls_silent(stage):
    await stage.answer("help")
    bob = Device("bob@example.org")
    stage.board.pin(bob)  # nobody can reach him
    stage.read()
    assert retire(stage, text="it <broke>")["missing"]
    await stage.until(lambda: not retire(stage)["missing"])
    assert retire(stage) == {"told": [ALICE], "untold": [bob.jid], "missing": 0}
    (farewell,) = stage.read()
    assert farewell.opt_out == "it <broke>" and farewell.body.endswith("it <broke>")
    announced = len(stage.northbound.published)
    stage.agent.on_devices(BOARD, [])
    stage.put(1)
    stage.says("help")
    await stage.settle()
    assert len(stage.northbound.published) == announced and stage.northbound.sent == []
    again = Agent(stage.agent.store, stage.agent.profile, stage.northbound)
    assert again.retiring == {}, "it goes on after a power cut"
    assert retirement.perform(again, {"op": "retire"})["missing"] == 1


async def test_a_board_that_retires_tells_nobody_unless_it_is_told_to(stage):
    await stage.answer("help")
    retire(stage)
    await stage.until(lambda: not retire(stage)["missing"])
    assert retire(stage) == {"told": [], "untold": [], "missing": 0} and stage.read() == []
    with pytest.raises(StateError):
        stage.agent.stop_engine()
        retire(stage)


# The rest


async def test_message_ids_are_never_used_twice(stage):
    ids = [stage.agent.next_message_id() for _ in range(3)]
    for _ in range(3):
        again = Agent(stage.agent.store, stage.agent.profile, stage.northbound)
        ids += [again.next_message_id() for _ in range(3)]
    assert len(set(ids)) == len(ids) and all(0 < number < 1 << 32 for number in ids)


async def test_more_message_ids_than_one_life_has(stage):
    agent = stage.agent
    ids = {agent.next_message_id() for _ in range(70000)}
    assert len(ids) == 70000
    assert agent.next_message_id() not in ids


async def test_engine_that_was_stopped_takes_nothing():
    async with Stage() as stage:
        sealed = stage.alice.seal("help")
        stage.agent.stop_engine()
        stage.agent.on_message(ALICE, sealed)
        stage.agent.on_devices(ALICE, [1])
        stage.put(1)
        await stage.settle()
        assert stage.northbound.sent == []


async def test_names_are_checked_when_they_are_registered():
    stage = Stage()
    for register in (stage.agent.sensor, stage.agent.command):
        with pytest.raises(ValueError):
            register("a b")


async def test_list_of_a_stranger_is_not_kept(stage):
    stage.agent.on_devices("stranger@example.org", [1, 2])
    assert stage.agent.store.get(records.DEVICES, b"stranger@example.org") is None


@covers("O-053")
async def test_owner_who_lists_another_device_is_looked_up_again(stage):
    """The list said that nobody is there; a fetch brings the device that is (O-053)."""
    stage.agent.on_devices(ALICE, [])
    stage.put(1)
    await stage.until(lambda: not len(stage.agent.outbox))
    assert stage.engine.counters == {"no-devices": 1}
    stage.put(2)
    await stage.until(lambda: not len(stage.agent.outbox))
    assert [one.body for one in stage.read()] == ["n 2"]

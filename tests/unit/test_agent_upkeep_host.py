"""The agent's part of upkeep, with a northbound that is no link: what it fetches, republishes, puts off, tells."""

import sys
import types

import pytest

from motemo import agent as agent_module
from motemo import overlay, settings
from motemo.agent import Agent
from motemo.errors import RemoteError
from motemo.omemo import records
from motemo.omemo.elements import LEGACY, OMEMO2
from motemo.omemo.envelope import NOTICE
from tests.covers import covers
from tests.unit.test_agent_host import Stage
from tests.unit.test_engine import ALICE, BOARD, Device

NEW_SIGNED_PREKEY = 2


@pytest.fixture
async def stage():
    async with Stage() as one:
        yield one


# The signed prekey


@covers("O-002", "O-003")
async def test_signed_prekey_that_is_old_is_replaced_and_published(stage):
    stage.agent.set_clock(1767225600)
    stage.agent._upkeep = 0
    await stage.until(lambda: settings.read(stage.board.store, "signed_prekey") != "0 0")
    assert len(stage.northbound.published) == 2, "it is not due"
    stage.agent.set_clock(1767225600 + 7 * 86400)
    stage.agent._upkeep = 0
    await stage.until(lambda: len(stage.northbound.published) == 3)
    assert stage.northbound.published[2].signed_prekey_id == NEW_SIGNED_PREKEY
    assert stage.says("to the former one") and stage.engine.counters == {}, "Alice has the former bundle"


# Catch-up


@covers("O-124", "O-125")
async def test_agent_ends_what_a_catch_up_has_put_off(stage):
    stage.agent.on_catch_up(True)
    stage.says("help")
    await stage.until(lambda: len(stage.northbound.sent) == 2)
    assert stage.board.store.keys(records.USED_PREKEY)
    kinds = [one.payload is None for _, one in stage.northbound.sent]
    assert kinds == [True, False], "the ping is the first to go"
    stage.read()
    stage.alice.lose(stage.board, 60)
    stage.agent.on_message(ALICE, stage.alice.nudge(stage.board))
    await stage.settle()
    assert stage.northbound.sent == []
    stage.agent.on_catch_up(False)
    await stage.until(lambda: len(stage.northbound.sent) == 1)
    assert not stage.board.store.keys(records.USED_PREKEY)


async def test_catch_up_of_a_board_without_an_account_is_nothing():
    bare = Stage().agent
    bare.stop_engine()
    bare.on_catch_up(True)
    bare.on_catch_up(False)


# Devices that do not answer


def lose(stage, count):
    """Messages of the board that do not reach Alice."""
    session = stage.engine.session(stage.board.key_of(stage.alice))
    for _ in range(count):
        session.lease(1)
        session.encrypt(bytes(32), stage.engine.keys.identity_key)


async def test_owner_is_told_of_a_stale_device_and_status_counts_it(stage):
    await stage.answer("help")
    lose(stage, 200)
    for number in range(3):
        stage.put(number)
    await stage.until(lambda: len(stage.northbound.sent) == 2)
    assert not len(stage.agent.outbox), "a reading that is held back is done with"
    envelopes = stage.read()
    bodies = [envelope.body for envelope in envelopes]
    assert [one.others for one in envelopes] == [[], [NOTICE]], "no program answers a notice"
    assert bodies[0] == "n 0" and bodies[1].startswith(f"Your device {stage.alice.id} has not answered")
    assert any("stale" in line for line in stage.agent.log_lines)
    assert overlay.call("motemo.status", "fields", stage.agent)["stale"] == 1
    stage.northbound.sent.clear()
    assert "stale 0" in await stage.answer("status"), "to ask is to answer"


async def test_device_that_never_answers_is_given_a_new_session_and_the_owner_is_told(stage):
    await stage.answer("help")
    lose(stage, 880)
    stage.agent.replies.append((ALICE, "an answer", ""))
    stage.agent.wake()
    await stage.until(lambda: len(stage.northbound.sent) == 2)
    assert all(one.keys[0][2] for _, one in stage.northbound.sent), "key exchanges"
    assert stage.read()[0].body == "an answer"


async def test_every_command_gets_an_answer_with_content():
    """Some clients stop to encrypt to a device that only pings."""
    async with Stage() as stage:
        texts = ["nonsense", "help", "get", "status", "log", "set", "every", "trust list", "?", " "]
        for text in texts:
            assert await stage.answer(text), text
        stage.read()
        for _ in range(20):
            stage.says("status")
        await stage.settle()
        answers = stage.read()
        assert len(answers) == 8 and stage.engine.counters["full"] == 12, "a flood is answered at the bound"


# Device lists


async def test_refused_list_stays_as_it_was(stage, monkeypatch):
    await stage.answer("help")
    known = stage.engine.devices(ALICE)
    assert known == [stage.alice.id]
    stage.northbound.fail = RemoteError("refused", "try again later")
    stage.engine.look_again(ALICE)
    stage.agent.replies.append((ALICE, "answer", ""))
    stage.agent.wake()
    await stage.until(lambda: any(one.payload for _, one in stage.northbound.sent) or stage.engine.counters)
    assert stage.engine.devices(ALICE) == known
    assert any("refused" in line for line in stage.agent.log_lines)


async def test_refused_list_is_asked_for_once_for_each_message(stage, monkeypatch):
    asked = []

    async def refuse(northbound, jid, device, dialect):
        asked.append(dialect)
        raise RemoteError("refused")

    await stage.answer("help")
    monkeypatch.setattr("tests.unit.test_agent_host.fetch_devices", refuse)
    stage.engine.look_again(ALICE)
    assert await stage.answer("help")
    assert asked == [LEGACY, OMEMO2]


@covers("O-128")
async def test_lists_are_fetched_when_an_unlisted_device_writes(stage):
    other = Device(ALICE, which=1)
    other.pin(stage.board)
    other.list(stage.board)
    stage.board.pin(stage.alice, other)
    stage.engine.on_devices(ALICE, [stage.alice.id])
    stage.northbound.known[ALICE] = [stage.alice, other]
    other.start(stage.board)
    stage.agent.on_message(ALICE, other.nudge(stage.board))
    await stage.until(lambda: stage.engine.devices(ALICE) == sorted([stage.alice.id, other.id]))


@covers("O-060", "O-061")
@pytest.mark.parametrize("dialect", [LEGACY, OMEMO2])
async def test_own_id_that_has_gone_from_either_list_is_announced_again(stage, dialect):
    own = stage.engine.keys.device
    stage.agent.on_devices(BOARD, [own], dialect)
    await stage.settle()
    assert stage.northbound.published[2:] == []
    stage.agent.on_devices(BOARD, [], dialect)
    await stage.until(lambda: stage.northbound.published[2:] == [own])


@covers("O-060", "O-061")
async def test_own_list_is_looked_at_when_the_northbound_is_back(stage):
    own = stage.engine.keys.device
    stage.northbound.known[BOARD] = [own]
    stage.agent.on_online()
    await stage.settle()
    assert BOARD in stage.northbound.fetched and stage.northbound.published[2:] == []
    stage.northbound.known[BOARD] = [5]
    stage.agent.on_online()
    await stage.until(lambda: stage.northbound.published[2:] == [own])


async def test_owners_hear_of_new_devices_on_the_boards_account(stage):
    own = stage.engine.keys.device
    stage.agent.on_devices(BOARD, [own], OMEMO2)
    await stage.settle()
    assert stage.northbound.sent == []
    for _ in range(2):
        stage.agent.on_devices(BOARD, [own, 5, 6], OMEMO2)
        stage.agent.on_devices(BOARD, [5, own], LEGACY)
    await stage.until(lambda: stage.northbound.sent)
    await stage.settle()
    (notice,) = stage.read()
    assert notice.body.startswith("My account has new devices that are not me: 5, 6.")
    assert any("5, 6" in line for line in stage.agent.log_lines)
    stage.northbound.sent.clear()
    assert "2 other devices on my account" in await stage.answer("status")


# Limits


def test_bad_board_file_is_told_and_the_board_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(agent_module.gc, "threshold", lambda *_: None, raising=False)
    monkeypatch.setattr(agent_module.gc, "mem_free", lambda: 1 << 20, raising=False)
    monkeypatch.setitem(sys.modules, "motemo.link.stdio", types.SimpleNamespace(StdioPort=lambda: None))
    (tmp_path / "board.json").write_text('{"limits": {"prekeys": 10}}')
    agent = Agent.load()
    assert agent.profile.prekeys == 32
    assert "board.json: prekeys must be 25 to 100" in agent.log_lines[0]

"""A board, python-omemo and a collector in one room, over gateway and server; rooms that may not be used."""

import asyncio
import itertools

import pytest

from motemo.crypto.points import edwards_to_montgomery
from motemo.errors import MotemoError, RemoteError, StateError
from motemo.omemo.elements import OMEMO2 as NUMBER2
from motemo.omemo.elements import Encrypted
from motemo_host import room as room_module
from motemo_host.room import try_room
from tests.covers import covers
from tests.interop.test_board_legacy import harmless
from tests.interop.test_board_peer import linked
from tests.interop.test_xmpp_account import (
    PASSWORD,
    account,  # noqa: F401 (a fixture)
    collect,
    until,
)
from tests.peers.omemo_peer import LEGACY, OMEMO2
from tests.system.stage import COUNTING_MAIN

_numbers = itertools.count(1)


def new_room():
    return f"sensors{next(_numbers)}@conference.localhost"


def pin(peer):
    return f"{peer.jid}={edwards_to_montgomery(peer.identity_key).hex()}"


# --- a board


@covers("O-083", "O-110", "O-111", "O-112", "O-113", "O-115", "S-05", "S-06", "M-10")
async def test_a_board_a_peer_and_a_collector_in_a_room(start_peer, stage):
    peer = await start_peer("roompeer")
    stranger = await start_peer("roomstranger")
    room = new_room()
    jid, owner, outside = stage.account("roomboard"), stage.account("roomcollector"), stage.account("roomoutside")
    await peer.make_room(room, jid, owner, stranger.jid)
    await stranger.enter(room)

    def set_up():
        owners = [word for one in (owner, outside) for word in ("--owner", f"{one}={stage.identity(one)}")]
        board = stage.board("roomboard", COUNTING_MAIN)
        report = stage.provision(
            board, jid, "--owner", pin(peer), *owners, "--every", "1", "--room", room, "--label", "Kitchen"
        )
        assert report["room"] == room
        return stage.listen(owner, "--room", room), stage.listen(outside), stage.gateway(board)

    listener, other, gateway = await asyncio.to_thread(set_up)

    event = await peer.wait("message", sender=jid, dialect=OMEMO2, room=room)
    assert event["body"].startswith("count 1000")
    reading = await asyncio.to_thread(listener.event, "reading", jid=jid)
    assert (reading["room"], reading["trusted"]) == (room, True)
    # Who is not in the room gets it alone; who is in it and not pinned gets nothing.
    reading = await asyncio.to_thread(other.event, "reading", jid=jid)
    assert "room" not in reading and reading["trusted"]
    assert not [one for one in stranger.events if one["event"] in ("message", "empty") and one["sender"] == jid]

    # What is said in the room is a command when it begins with the board's name there; the answer is for who asked.
    await peer.say(room, "set relay on")
    await peer.say(room, "kitchen: set relay on")
    await peer.wait("message", sender=jid, body="relay is on", room=None)
    await stranger.say(room, "Kitchen: set relay off")
    await peer.say(room, "Kitchen, set relay here", to=jid)  # an envelope for elsewhere
    await peer.say(room, "Kitchen, every 86400 s")
    await peer.wait("message", sender=jid, body="A reading every 86400 s from now on.", room=None)
    await peer.say(room, "Kitchen status")
    status = (await peer.wait("message", sender=jid, room=None))["body"]
    assert "untrusted 1" in status and "envelope 1" in status, status
    answers = [one["body"] for one in peer.events if one["event"] == "message" and one["room"] is None]
    assert [text for text in answers if text.startswith("relay is")] == ["relay is on"]
    for one in peer.events:
        assert one["event"] not in ("undecryptable", "refused"), one
    document = await asyncio.to_thread(lambda: stage.motemo("room", "show", jid, "--json").document)
    assert document == {"board": jid, "room": room, "members": sorted([peer.jid, owner])}
    listener.stop()
    other.stop()
    await asyncio.to_thread(gateway.stop)


@covers("O-083")
async def test_a_room_with_devices_of_both_dialects(start_peer, stage):
    old = await start_peer("roomold", dialects=(LEGACY,))
    new = await start_peer("roomnew")
    room = new_room()
    await new.make_room(room, old.jid, "roommixed@localhost")
    await old.enter(room)
    _, jid, gateway = await linked(
        stage, "roommixed", COUNTING_MAIN, pin(old), "--owner", pin(new), "--every", "1", "--room", room
    )
    for peer, dialect in ((old, LEGACY), (new, OMEMO2)):
        heard = set()
        while not heard >= {"count 10001", "count 10002"}:
            heard.add((await peer.wait("message", sender=jid, dialect=dialect, room=room))["body"])
    await old.say(room, "roommixed: every 86400 s")
    await old.wait("message", sender=jid, body="A reading every 86400 s from now on.", room=None)
    await new.say(room, "roommixed: status", OMEMO2, LEGACY)
    status = (await new.wait("message", sender=jid, room=None))["body"]
    assert harmless(status), status
    await asyncio.to_thread(gateway.stop)


# --- the room as an account sees it


@pytest.fixture
async def stays(account, monkeypatch):  # noqa: F811
    """A function that lets a new account, or a member's, stay in a room: the account, its `Room`."""
    monkeypatch.setattr(room_module, "_LONGEST_PAUSE", 0.3)
    tasks = []

    async def stay(one, room, nick="board"):
        if not one.online:
            await one.connect()
        entered = one.room(room, nick)
        tasks.append(asyncio.ensure_future(entered.stay()))
        return entered

    yield stay
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def hindrance(room):
    with pytest.raises(MotemoError) as caught:
        await room.enter()
    return caught.value


@covers("O-110", "O-111")
async def test_a_room_that_may_not_be_used_is_refused(start_peer, account, stays):  # noqa: F811
    owner = await start_peer("roomowner")
    one = account()
    for settings, word in (({"whois": "moderators"}, "anonymous"), ({"membersonly": "0"}, "open to all")):
        room = new_room()
        await owner.make_room(room, one.jid, **settings)
        error = await hindrance(await stays(one, room))
        assert (type(error), error.reason) == (RemoteError, "refused") and word in error.text and room in error.text
    room = new_room()
    await owner.make_room(room)
    error = await hindrance(await stays(one, room))
    assert error.reason == "refused" and f"{one.jid} is no member" in error.text
    await owner.muc.set_affiliation(room, "outcast", jid=one.jid)
    error = await hindrance(one._rooms[room])
    assert error.reason == "refused"
    error = await hindrance(await stays(one, new_room()))
    assert error.reason == "not-found" and "there is no room" in error.text
    room = new_room()
    await owner.make_room(room, one.jid)
    new = one.room(room, "board")
    await try_room(new)
    await until(lambda: list(owner.muc.get_roster(room)) == ["roomowner"])
    await one.close()
    assert (await hindrance(new)).reason == "offline"


@covers("O-112", "O-113", "O-114")
async def test_affiliations_are_followed_in_both_directions(start_peer, account, stays):  # noqa: F811
    owner = await start_peer("roomchief")
    one = account()
    room = new_room()
    await owner.make_room(room, one.jid, "away@localhost")
    await owner.muc.set_affiliation(room, "admin", jid="deputy@localhost")
    await owner.muc.set_affiliation(room, "outcast", jid="banned@localhost")
    entered = await stays(one, room)
    await entered.enter()
    everybody = {owner.jid, one.jid, "away@localhost", "deputy@localhost"}  # none but the owner is there
    assert entered.members == everybody
    news = []
    entered.on_members = lambda: news.append(set(entered.members))
    await owner.muc.set_affiliation(room, "member", jid="new@localhost")
    await until(lambda: entered.members == everybody | {"new@localhost"})
    await owner.muc.set_affiliation(room, "none", jid="away@localhost")
    await owner.muc.set_affiliation(room, "outcast", jid="deputy@localhost")
    await until(lambda: entered.members == {owner.jid, one.jid, "new@localhost"})
    assert len(news) == 3
    # Those who are there as well.
    two = account()
    await owner.muc.set_affiliation(room, "member", jid=two.jid)
    await (await stays(two, room, "two")).enter()
    await until(lambda: entered.who("two") == two.jid)
    await owner.muc.set_affiliation(room, "none", jid=two.jid)
    await until(lambda: two.jid not in entered.members and entered.who("two") is None)


async def test_what_puts_an_account_out_is_told_and_it_comes_back(start_peer, account, stays, monkeypatch):  # noqa: F811
    owner = await start_peer("roomjudge")
    one = account()
    room = new_room()
    await owner.make_room(room, one.jid)
    entered = await stays(one, room)
    await entered.enter()
    out = []
    entered.on_out = lambda error: out.append((error.reason, error.text))

    async def told(word):
        await until(lambda: any(reason == "refused" and word in text for reason, text in out))
        out.clear()

    await owner.muc.set_role(room, "board", "none")
    await told("kicked")
    await until(lambda: entered.inside)
    await owner.muc.set_affiliation(room, "none", jid=one.jid)
    await told("off its members")
    assert not entered.inside and (await hindrance(entered)).reason == "refused"
    await owner.muc.set_affiliation(room, "member", jid=one.jid)
    await until(lambda: entered.inside)
    await owner.muc.set_affiliation(room, "outcast", jid=one.jid)
    await told("banned")
    await owner.muc.set_affiliation(room, "member", jid=one.jid)
    await until(lambda: entered.inside)
    # It becomes one that may not be used.
    await owner.configure(room, whois="moderators")
    await told("anonymous")
    await until(lambda: "board" not in owner.muc.get_roster(room))
    await owner.configure(room, whois="anyone")
    await until(lambda: entered.inside)
    await owner.muc.destroy(room)
    await until(lambda: ("not-found", f"the room {room} was destroyed") in out)


async def test_a_name_that_is_taken(start_peer, account, stays):  # noqa: F811
    owner = await start_peer("roomtaken")
    one = account()
    room = new_room()
    await owner.make_room(room, one.jid)
    entered = await stays(one, room, "roomtaken")
    await entered.enter()
    assert entered.nick == "roomtaken 2" and entered.who("roomtaken") == owner.jid


def said(jid, number):
    return Encrypted(NUMBER2, 7, [(jid, 5, False, b"data")], b"payload %d" % number)


@covers("M-10", "M-16")
async def test_what_is_said_counts_when_the_room_repeats_it(start_peer, account, stays, prosody):  # noqa: F811
    owner = await start_peer("roomecho")
    one, two = account(), account()
    room = new_room()
    await owner.make_room(room, one.jid, two.jid, persistentroom="1")
    entered, other = await stays(one, room), await stays(two, room, "two")
    await asyncio.gather(entered.enter(), other.enter())
    heard, own = collect(two), collect(one)
    await entered.send(said(two.jid, 1), "first")
    (received,) = await until(lambda: heard)
    assert (received.sender, received.kind, received.room, received.id) == (one.jid, "groupchat", room, "first")
    assert received.stamp is None and not own  # the own message does not come back
    # The room has lost us and nobody said so.
    two._client.send_presence(pto=f"{room}/two", ptype="unavailable")
    with pytest.raises(StateError):
        await other.send(said(one.jid, 2), "second")
    await other.enter()
    await other.send(said(one.jid, 2), "second")
    await until(lambda: own)
    assert [(one.sender, one.id) for one in own] == [(two.jid, "second")]


async def test_a_restart_of_the_server(start_peer, tmp_path, stays, account):  # noqa: F811
    from motemo_host.xmpp import Account
    from tests.peers.prosody import Prosody

    with Prosody() as server:
        owner = Account(
            server.add_account("owner", PASSWORD),
            PASSWORD,
            host=server.host,
            port=server.starttls_port,
            ca=str(server.certificate),
        )
        one = Account(
            server.add_account("one", PASSWORD),
            PASSWORD,
            host=server.host,
            port=server.starttls_port,
            ca=str(server.certificate),
        )
        room = new_room()
        await owner.connect()
        muc = owner._client.plugin["xep_0045"]
        muc.make_join_stanza(room_module.JID(room), "owner").send()
        await asyncio.sleep(0.3)
        form = await muc.get_room_config(room)
        form.get_fields()["muc#roomconfig_persistentroom"]["value"] = "1"
        await muc.set_room_config(room, form)
        await muc.set_affiliation(room, "member", jid=one.jid)
        online = asyncio.ensure_future(one.stay_online())
        await until(lambda: one.online)
        entered = await stays(one, room)
        await entered.enter()
        await asyncio.to_thread(server.restart)
        await until(lambda: not entered.inside)
        await until(lambda: entered.inside, 30)
        assert entered.members == {owner.jid, one.jid}
        await entered.send(said("a@localhost", 1), "again")
        online.cancel()
        await one.close()
        await owner.close()

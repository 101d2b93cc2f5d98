"""The gateway between a link and a real Prosody; the test plays the board."""

import asyncio
import itertools
import logging
import os
import time

import pytest

from motemo.crypto.ed25519 import ed25519_public
from motemo.errors import REASONS, LocalError, MotemoError, StateError
from motemo.omemo.elements import DIALECTS, LEGACY, OMEMO2, Bundle, Encrypted
from motemo_host import gateway as module
from motemo_host.gateway import Gateway
from motemo_host.queue import Queue
from motemo_host.stanzas import Device, legacy_form
from motemo_host.xmpp import Account
from tests.covers import covers

BOARD_DEVICE = 77
_numbers = itertools.count(1)


class FakeLink:
    """A link whose board is the test: `taken` is what the board has, `refuse` an error for what it is to get."""

    def __init__(self, jid):
        self.status = {"jid": jid, "device": BOARD_DEVICE}
        self.taken = []
        self.refuse = None
        self.on_message = None
        self.on_up = lambda: None

    async def send(self, message):
        await asyncio.sleep(0)
        if self.refuse is not None:
            raise self.refuse
        self.taken.append(message)

    async def request(self, op, **args):
        assert (op, args) == ("status", {})
        return self.status

    def of(self, kind):
        return [message for message in self.taken if message["type"] == kind]


async def until(condition, seconds=10):
    async with asyncio.timeout(seconds):
        while not (value := condition()):
            await asyncio.sleep(0.01)
        return value


class Site:
    """A board's account with its gateway, and an owner who talks to it."""

    def __init__(self, prosody, path):
        self._server, self._path = prosody, path
        self.board = prosody.add_account(f"board{next(_numbers)}", "pw")
        self.link = FakeLink(self.board)
        self._accounts = [self.board, prosody.add_account(f"owner{next(_numbers)}", "pw")]
        self.owner = self.account(self._accounts[1])
        self.heard = []
        self.owner.on_message = self.heard.append
        self.gateway = self.queue = None
        self._work = None

    def account(self, jid, password="pw"):
        server = self._server
        others = [other for other in self._accounts if other != jid]
        where = {"host": server.host, "port": server.starttls_port, "ca": str(server.certificate)}
        return Account(jid, password, owners=others, **where)

    async def start(self):
        await self.owner.connect()
        await self.start_gateway()

    async def start_gateway(self):
        self.queue = Queue(self._path)
        self.gateway = Gateway(self.link, self.account(self.board), self.queue)
        self._work = asyncio.ensure_future(self.gateway.run())
        await until(lambda: self.gateway._account.online or self._work.done())
        if self._work.done():
            await self._work

    async def stop_gateway(self):
        self._work.cancel()
        await asyncio.gather(self._work, return_exceptions=True)
        self.queue.close()

    async def stop(self):
        if self._work:
            await self.stop_gateway()
        await self.owner.close()

    async def cut(self):
        """Break the gateway's connection."""
        await until(lambda: self.gateway._account.online)
        self.gateway._account._client.transport.abort()
        await self.gateway._account.wait_offline()

    async def to_board(self, payload=b"payload", keys=None, kex=False):
        keys = keys or [(self.board, BOARD_DEVICE, kex, b"for the board")]
        await self.owner.send(self.board, Encrypted(OMEMO2, 5, keys, payload))

    async def from_board(self, number, payload=b"payload", **changes):
        message = {
            "type": "message",
            "id": number,
            "to": self.owner.jid,
            "dialect": OMEMO2,
            "sid": BOARD_DEVICE,
            "keys": [(self.owner.jid, 5, False, b"for the owner")],
            "payload": payload,
            **changes,
        }
        await self.link.on_message(message)

    async def ask(self, message):
        """What the board gets for a request."""
        number = next(_numbers)
        await self.link.on_message({"dialect": OMEMO2, **message, "id": number})
        (answer,) = await until(lambda: [m for m in self.link.taken if m.get("id") == number])
        return answer


@pytest.fixture
async def site(prosody, tmp_path):
    site = Site(prosody, tmp_path / "queue.db")
    await site.start()
    yield site
    await site.stop()


# --- to the board


@covers("O-090")
async def test_the_board_gets_its_own_key_of_a_message(site):
    others = [(site.board, 1, False, b"another device"), (site.owner.jid, BOARD_DEVICE, True, b"same id, not it")]
    await site.to_board(b"secret", [*others, (site.board, BOARD_DEVICE, True, b"for the board")])
    (message,) = await until(lambda: site.link.of("message"))
    number = message.pop("id")
    assert number > 0
    assert message == {
        "type": "message",
        "from": site.owner.jid,
        "dialect": OMEMO2,
        "sid": 5,
        "kex": True,
        "data": b"for the board",
        "payload": b"secret",
    }
    await until(lambda: site.queue.waiting(site.board) == (0, 0))


@covers("M-10")
async def test_a_copy_of_the_boards_own_message_is_not_given_to_it(site):
    other = site.account(site.board)
    await other.connect()
    try:
        for device in (BOARD_DEVICE, 9):
            keys = [(site.board, BOARD_DEVICE, False, b"%d" % device)]
            await other.send(site.board, Encrypted(OMEMO2, device, keys, b"payload"))
        (message,) = await until(lambda: site.link.of("message"))
        assert (message["from"], message["sid"]) == (site.board, 9)
        assert not site.gateway.counters
    finally:
        await other.close()


async def test_an_empty_message_has_no_payload(site):
    await site.to_board(None)
    (message,) = await until(lambda: site.link.of("message"))
    assert "payload" not in message


@covers("O-091", "M-02")
async def test_a_message_without_a_key_for_the_board_is_counted(site, caplog):
    await site.to_board(keys=[(site.board, 1, False, b"another device")])
    await until(lambda: site.gateway.counters["not-for-us"] == 1)
    assert site.owner.jid in caplog.text
    assert site.link.of("message") == []


async def test_what_the_board_did_not_take_waits_for_it(site, monkeypatch):
    monkeypatch.setattr(module, "_RETRY", 0.05)
    site.link.refuse = StateError("offline")
    for number in range(3):
        await site.to_board(b"%d" % number)
    await until(lambda: site.queue.waiting(site.board)[0] == 3)
    assert site.link.of("message") == []
    site.link.refuse = None
    await until(lambda: len(site.link.of("message")) == 3)
    assert [message["payload"] for message in site.link.of("message")] == [b"0", b"1", b"2"]


async def test_what_the_board_can_never_take_is_counted_and_does_not_stop_the_rest(site):
    site.link.refuse = LocalError("too-large")
    await site.to_board(b"large")
    await until(lambda: site.gateway.counters["too-large"] == 1)
    site.link.refuse = None
    await site.to_board(b"small")
    (message,) = await until(lambda: site.link.of("message"))
    assert message["payload"] == b"small"


async def test_what_came_before_the_gateway_was_ended_reaches_the_board_after_it(site):
    site.link.refuse = StateError("offline")
    await site.to_board(b"kept")
    await until(lambda: site.queue.waiting(site.board)[0] == 1)
    await site.stop_gateway()
    site.link.refuse = None
    await site.start_gateway()
    (message,) = await until(lambda: site.link.of("message"))
    assert message["payload"] == b"kept"


@covers("M-12")
async def test_what_came_while_no_gateway_ran_reaches_the_board_with_its_time(site):
    await until(lambda: site.queue.last_online(site.board))
    await site.stop_gateway()
    await site.to_board(b"missed")
    await site.start_gateway()
    (message,) = await until(lambda: site.link.of("message"))
    assert message["payload"] == b"missed"
    assert abs(message["stamp"] - time.time()) < 60
    await site.to_board(b"live")
    await until(lambda: len(site.link.of("message")) == 2)
    assert "stamp" not in site.link.of("message")[1]


# --- from the board


@covers("O-085", "S-08", "S-09", "S-10")
async def test_a_message_of_the_board_reaches_its_owner(site):
    await site.from_board(1, b"reading", keys=[(site.owner.jid, 5, False, b"a"), (site.owner.jid, 6, True, b"b")])
    (got,) = await until(lambda: site.heard)
    assert (got.sender, got.encrypted.sid, got.encrypted.payload) == (site.board, BOARD_DEVICE, b"reading")
    assert got.encrypted.keys == [(site.owner.jid, 5, False, b"a"), (site.owner.jid, 6, True, b"b")]
    await until(lambda: site.queue.waiting(site.board) == (0, 0))


async def test_a_message_that_the_board_repeats_goes_out_once(site):
    for _ in range(3):
        await site.from_board(1, b"first")
    await site.from_board(2, b"second")
    await until(lambda: len(site.heard) >= 2)
    await site.from_board(1, b"first")
    await site.from_board(3, b"third")
    await until(lambda: len(site.heard) >= 3)
    assert [got.encrypted.payload for got in site.heard] == [b"first", b"second", b"third"]


async def test_messages_with_the_same_bytes_and_other_ids_all_go_out(site):
    for number in range(3):
        await site.from_board(number, b"same")
    await until(lambda: len(site.heard) == 3)
    assert len({got.id for got in site.heard}) == 3


@covers("M-16")
async def test_messages_survive_losses_of_the_connection(site):
    for number in range(60):
        await site.from_board(number, b"%d" % number)
        if number % 20 == 10:
            await site.cut()
    await until(lambda: site.queue.waiting(site.board) == (0, 0), 30)
    await until(lambda: len({got.id for got in site.heard}) == 60)
    # What may have come twice has the same id and the same bytes.
    assert len({(got.id, got.encrypted.payload) for got in site.heard}) == 60


async def test_messages_survive_the_end_of_the_gateway(site):
    await site.cut()
    for number in range(3):
        await site.from_board(number, b"%d" % number)
    await site.stop_gateway()
    await site.start_gateway()
    await until(lambda: len(site.heard) >= 3)
    assert [got.encrypted.payload for got in site.heard][:3] == [b"0", b"1", b"2"]


async def test_a_full_queue_makes_the_board_wait(site, monkeypatch):
    monkeypatch.setattr(module, "_RETRY", 0.05)
    full = True
    keep = site.queue.keep_outbound

    def keep_outbound(*args):
        if full:
            raise StateError("full")
        return keep(*args)

    monkeypatch.setattr(site.queue, "keep_outbound", keep_outbound)
    handing_over = asyncio.ensure_future(site.from_board(1))
    await until(lambda: site.gateway.counters["full"] >= 2)
    assert not handing_over.done()
    full = False
    await handing_over
    await until(lambda: site.heard)


@pytest.mark.parametrize(
    "change", [{"keys": [("not a JID@@", 5, False, b"x")]}, {"keys": [("a@b", 5, False, b"x" * 2000)]}, {"to": "@"}]
)
async def test_a_message_that_others_would_refuse_is_counted(site, change):
    await site.from_board(1, **change)
    assert site.gateway.counters.total() == 1
    await site.from_board(2, b"good")
    await until(lambda: site.heard)


async def test_a_message_of_unknown_type_is_counted(site):
    await site.link.on_message({"type": "hello"})
    assert site.gateway.counters["protocol"] == 1


# --- device lists and bundles


def some_bundle(prekeys=100):
    keys = [(number, os.urandom(32)) for number in range(1, prekeys + 1)]
    return Bundle(os.urandom(32), 1, os.urandom(32), os.urandom(64), keys)


@covers("O-062", "O-063", "O-064", "O-084")
async def test_the_board_publishes_and_the_owner_finds_it(site):
    bundle = some_bundle(25)
    bundle.identity_key = ed25519_public(os.urandom(32))  # of which there is a legacy form
    bundle.legacy_signature = os.urandom(64)
    answer = await site.ask(
        {
            "type": "publish-bundle",
            "ik": bundle.identity_key,
            "spk_id": bundle.signed_prekey_id,
            "spk": bundle.signed_prekey,
            "spks": bundle.signature,
            "prekeys": b"".join(number.to_bytes(4, "big") + key for number, key in bundle.prekeys),
            "legacy": {"spks": bundle.legacy_signature},
        }
    )
    assert answer["type"] == "result" and "code" not in answer
    signed = {"label": "Thermometer", "labelsig": b"s" * 64}
    answer = await site.ask({"type": "publish-devices", "device": BOARD_DEVICE, **signed})
    assert answer["type"] == "result" and "code" not in answer
    assert await site.owner.pep.fetch_devices(site.board) == [Device(BOARD_DEVICE, "Thermometer", b"s" * 64)]
    stored, legacy = [await site.owner.pep.fetch_bundle(site.board, BOARD_DEVICE, dialect) for dialect in DIALECTS]
    assert vars(legacy) == vars(legacy_form(bundle))
    bundle.legacy_signature = None
    assert vars(stored) == vars(bundle)
    assert await site.owner.pep.fetch_devices(site.board, LEGACY) == [Device(BOARD_DEVICE)]
    # An unsigned label is not published (O-057).
    await site.ask({"type": "publish-devices", "device": BOARD_DEVICE, "label": "no"})
    assert await site.owner.pep.fetch_devices(site.board) == [Device(BOARD_DEVICE)]


@covers("O-070")
async def test_the_board_gets_one_prekey_at_random(site):
    bundle = some_bundle()
    await site.owner.pep.publish_bundle(5, bundle)
    given = set()
    for _ in range(20):
        answer = await site.ask({"type": "fetch-bundle", "jid": site.owner.jid, "rid": 5})
        assert (answer["type"], answer["jid"], answer["rid"]) == ("bundle", site.owner.jid, 5)
        assert (answer["ik"], answer["spk_id"], answer["spk"], answer["spks"]) == (
            bundle.identity_key,
            bundle.signed_prekey_id,
            bundle.signed_prekey,
            bundle.signature,
        )
        assert (answer["pk_id"], answer["pk"]) in bundle.prekeys
        given.add(answer["pk_id"])
    assert len(given) > 5


@covers("P-09")
async def test_what_is_not_there_is_said_to_the_board(site):
    answer = await site.ask({"type": "fetch-devices", "jid": site.owner.jid})
    assert (answer["type"], answer["devices"], answer["others"]) == ("devices", [], 0)
    answer = await site.ask({"type": "fetch-bundle", "jid": site.owner.jid, "rid": 5})
    assert (answer["type"], REASONS[answer["code"]]) == ("result", "not-found")
    await site.owner.pep.publish_bundle(6, some_bundle(0))
    answer = await site.ask({"type": "fetch-bundle", "jid": site.owner.jid, "rid": 6})
    assert REASONS[answer["code"]] == "no-prekey"
    answer = await site.ask({"type": "fetch-devices", "jid": "not a JID@@"})
    assert REASONS[answer["code"]] == "format"


@covers("O-052")
async def test_a_long_list_is_reduced_to_what_the_board_knows_and_a_count(site):
    for device in range(1, 31):
        await site.owner.pep.publish_devices(Device(device))
    await site.from_board(1, keys=[(site.owner.jid, 30, False, b"x")])
    answer = await site.ask({"type": "fetch-devices", "jid": site.owner.jid})
    assert len(answer["devices"]) == 16
    assert answer["devices"][0] == 30
    assert answer["others"] == 14


@covers("O-051", "O-060")
async def test_changes_of_lists_are_told_to_the_board_unasked(site):
    await site.owner.pep.publish_devices(Device(5))
    await site.ask({"type": "fetch-devices", "jid": site.owner.jid})

    def told(jid):
        return [told["devices"] for told in site.link.of("devices") if told["jid"] == jid and "id" not in told]

    await until(lambda: site.gateway._account._client.client_roster[site.owner.jid]["to"])
    await site.owner.pep.publish_devices(Device(6))
    await until(lambda: [5, 6] in told(site.owner.jid))
    await site.ask({"type": "publish-devices", "device": BOARD_DEVICE})
    await until(lambda: [BOARD_DEVICE] in told(site.board))


async def test_a_request_without_a_connection_is_answered(site, monkeypatch):
    monkeypatch.setattr(site.gateway._account, "connect", lambda **_: asyncio.sleep(3600))
    await site.cut()
    answer = await site.ask({"type": "fetch-devices", "jid": site.owner.jid})
    assert REASONS[answer["code"]] == "offline"


# --- the rest


async def test_the_board_hears_the_time_and_whether_its_account_is_online(site):
    await until(lambda: site.link.of("online")[-1]["state"])
    assert abs(site.link.of("time")[0]["now"] - time.time()) < 5
    await site.cut()
    await until(lambda: len(site.link.of("online")) >= 4)
    assert [message["state"] for message in site.link.of("online")][-2:] == [False, True]
    site.link.taken.clear()
    site.link.on_up()
    await until(lambda: len(site.link.taken) == 3)
    assert site.link.of("online") == [{"type": "online", "jid": site.board, "state": True}]
    assert site.link.of("catch-up") == [{"type": "catch-up", "state": False}]


def told(site):
    """What the board was told of messages and of catching up, in order."""
    kinds = {"message": lambda message: message["payload"], "catch-up": lambda message: message["state"]}
    return [kinds[message["type"]](message) for message in site.link.taken if message["type"] in kinds]


@covers("M-12", "O-124")
async def test_the_board_hears_when_what_it_missed_begins_and_ends(site):
    await until(lambda: told(site)[-1:] == [False])
    site.link.refuse = StateError("offline")
    for payload in (b"one", b"two"):
        await site.to_board(payload)
    await until(lambda: site.queue.waiting(site.board)[0] == 2)
    site.link.taken.clear()
    site.link.refuse = None
    site.link.on_up()
    await until(lambda: told(site) == [True, b"one", b"two", False])
    await site.to_board(b"three")
    await until(lambda: told(site)[4:] == [b"three"])


@covers("M-12", "O-124")
async def test_what_the_archive_has_is_told_as_catching_up(site):
    await until(lambda: site.queue.last_online(site.board))
    await site.stop_gateway()
    await site.to_board(b"one")
    await site.to_board(b"two")
    site.link.taken.clear()
    await site.start_gateway()
    await until(lambda: told(site)[-1:] == [False] and b"two" in told(site))
    assert told(site) == [True, b"one", b"two", False]


async def test_a_board_that_comes_up_anew_meanwhile_is_told_again(site):
    await until(lambda: told(site)[-1:] == [False])
    site.link.taken.clear()
    site.gateway._set_reading_archive(True)
    await until(lambda: told(site) == [True])
    site.link.on_up()
    await until(lambda: told(site) == [True, True])
    site.gateway._catch_up_changed(False)
    await until(lambda: told(site) == [True, True, False])


@pytest.mark.parametrize(
    "status, reason", [({}, "not-provisioned"), ({"jid": "other@localhost", "device": 5}, "provisioned")]
)
async def test_a_board_that_is_not_ours_is_refused(prosody, tmp_path, status, reason):
    site = Site(prosody, tmp_path / "queue.db")
    site.link.status = status
    with pytest.raises(StateError) as caught:
        await site.start_gateway()
    assert caught.value.reason == reason
    await site.stop()


async def test_a_wrong_password_ends_it_with_a_sentence(prosody, tmp_path):
    site = Site(prosody, tmp_path / "queue.db")
    queue = Queue(tmp_path / "queue.db")
    with pytest.raises(MotemoError) as caught:
        await Gateway(site.link, site.account(site.board, "wrong"), queue).run()
    assert (caught.value.reason, "password" in caught.value.text) == ("refused", True)
    queue.close()


async def test_the_password_is_in_no_log(prosody, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    site = Site(prosody, tmp_path / "queue.db")
    secret = "correct-horse-battery"
    prosody.add_account(site.board.split("@")[0], secret)
    queue = Queue(tmp_path / "queue.db")
    work = asyncio.ensure_future(Gateway(site.link, site.account(site.board, secret), queue).run())
    await until(lambda: any(message["state"] for message in site.link.of("online")))
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    queue.close()
    assert secret not in caplog.text
    assert "SCRAM" not in caplog.text and "<auth" not in caplog.text


# --- a room


async def room_of(site, start_peer, name):
    """A room whose owner has nothing to do with the board, which is a member as the board's owner is."""
    peer = await start_peer(name)
    room = f"{name}@conference.localhost"
    await peer.make_room(room, site.board, site.owner.jid)
    return peer, room


def in_room(site, room, number, **changes):
    return site.from_board(number, b"payload %d" % number, to=room, group=True, **changes)


async def enter(site, room, *members):
    return await site.ask({"type": "enter-room", "room": room, "text": "Kitchen", "members": list(members)})


@covers("O-112", "O-113", "O-114")
async def test_a_board_is_told_which_of_its_pinned_accounts_are_in_its_room(site, start_peer):
    peer, room = await room_of(site, start_peer, "gwmembers")
    answer = await enter(site, room, site.owner.jid, "else@localhost")
    assert (answer["members"], answer["others"], answer["text"]) == ([site.owner.jid], 1, "Kitchen")
    site.link.taken.clear()
    await peer.muc.set_affiliation(room, "member", jid="else@localhost")
    (news,) = await until(lambda: site.link.of("room"))
    assert news["members"] == sorted(["else@localhost", site.owner.jid]) and "id" not in news
    await peer.muc.set_affiliation(room, "none", jid=site.owner.jid)
    await until(lambda: len(site.link.of("room")) == 2)
    assert site.link.of("room")[1]["members"] == ["else@localhost"]
    await peer.muc.set_affiliation(room, "none", jid=site.board)
    await until(lambda: len(site.link.of("room")) == 3)
    last = site.link.of("room")[2]
    assert REASONS[last["code"]] == "refused" and "off its members" in last["text"] and last["members"] == []
    answer = await enter(site, "nowhere@conference.localhost")
    assert REASONS[answer["code"]] == "not-found"
    answer = await enter(site, "")
    assert answer["type"] == "result" and "code" not in answer


@covers("M-10", "M-16", "O-085")
async def test_what_a_board_says_in_its_room_waits_until_it_is_in(site, start_peer):
    peer, room = await room_of(site, start_peer, "gwsays")
    await in_room(site, room, 1)
    await site.from_board(2)
    await until(lambda: site.heard)  # what is for one alone does not wait
    heard = []
    inside = site.owner.room(room, "owner")
    stays = asyncio.ensure_future(inside.stay())
    await inside.enter()
    site.owner.on_message = heard.append
    await enter(site, room, site.owner.jid)
    await in_room(site, room, 3)
    await until(lambda: len(heard) == 2)
    assert [one.encrypted.payload for one in heard] == [b"payload 1", b"payload 3"]
    assert {(one.sender, one.room, one.kind) for one in heard} == {(site.board, room, "groupchat")}
    # The connection goes, and the room with it; then the gateway.
    await site.cut()
    await in_room(site, room, 4)
    await until(lambda: len(heard) == 3, 30)
    await until(lambda: site.queue.waiting(site.board) == (0, 0))  # else it says it again, and members drop that
    await site.stop_gateway()
    await site.start_gateway()
    await in_room(site, room, 5)
    await enter(site, room, site.owner.jid)
    await until(lambda: len(heard) == 4)
    assert heard[3].encrypted.payload == b"payload 5"
    await until(lambda: site.queue.waiting(site.board) == (0, 0))
    assert not site.link.of("message"), "its own words do not come back"
    # For a room that it has left.
    await in_room(site, "former@conference.localhost", 6)
    await until(lambda: site.gateway.counters["refused"] == 1)
    assert site.queue.waiting(site.board) == (0, 0)
    stays.cancel()
    await asyncio.gather(stays, return_exceptions=True)


async def test_a_message_in_the_room_reaches_the_board_with_who_said_it(site, start_peer):
    peer, room = await room_of(site, start_peer, "gwhears")
    await enter(site, room, site.owner.jid)
    inside = site.owner.room(room, "owner")
    stays = asyncio.ensure_future(inside.stay())
    await inside.enter()
    await inside.send(Encrypted(OMEMO2, 5, [(site.board, BOARD_DEVICE, False, b"for the board")], b"payload"), "x")
    await inside.send(Encrypted(OMEMO2, 5, [(site.board, 99, False, b"for others")], b"other"), "y")
    (message,) = await until(lambda: site.link.of("message"))
    assert (message["from"], message["group"], message["data"]) == (site.owner.jid, True, b"for the board")
    await until(lambda: site.gateway.counters["not-for-us"] == 1)
    stays.cancel()
    await asyncio.gather(stays, return_exceptions=True)

"""The gateway of one board: its stanzas over the link, its link messages over XMPP. It holds no key.

What the board hands over is on disk before the board may forget it, and stays until the server has it; what comes
in for the board stays until the board has it. A board gets only what concerns it: its own key of each message, one
prekey of a bundle, the devices that it talks to. It believes nothing of that: it checks signatures and keys itself.
"""

import asyncio
import logging
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from motemo.errors import REASONS, MotemoError, RemoteError, StateError
from motemo.omemo.bundle import unpack
from motemo.omemo.elements import DIALECTS, LEGACY, Bundle, Encrypted
from motemo.omemo.forms import form_for, key_for

from .pep import listed_devices
from .queue import Outbound, Queue
from .room import Room, try_room
from .stanzas import Device, bare_jid, forms_from_text, forms_to_text
from .xmpp import Account, Received

__all__ = ["BoardLink", "Gateway", "run_beside"]

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_DEVICES = 16  # ids of one device list that a board gets; more are only counted
_TOGETHER = 32  # messages on their way to the server at once
_RETRY = 1  # seconds until a board or a queue that took nothing is tried again
_NOTE_EVERY = 60
_ROOM_SECONDS = 40  # until a board is told that its room does not answer; it waits for longer
_MAX_UNHEARD = 3  # times that a message is said in a room that does not repeat it
# A stanza that the link refuses for these reasons will never get through.
_HOPELESS = ("too-large", "length", "format")


class BoardLink(Protocol):
    """What the gateway asks of a link (`motemo_host.boardlink.BoardLink`)."""

    on_message: Callable[[dict[str, Any]], Awaitable[None]]  # returns when the message has been taken over
    on_up: Callable[[], None]  # a new session with the board stands

    async def send(self, message: dict[str, Any]) -> None:
        """Return when the board has taken the message over."""
        ...

    async def request(self, op: str, **args: Any) -> dict[str, Any]:
        """Return the board's answer; MotemoError with its reason if it refuses."""
        ...


class Gateway:
    """Bridges a board and its account until cancelled. `counters` tells by cause what was not passed on."""

    def __init__(self, link: BoardLink, account: Account, queue: Queue):
        self.counters: Counter[str] = Counter()
        self._link = link
        self._account = account
        self._queue = queue
        self._device = 0
        self._known: defaultdict[str, set[int]] = defaultdict(set)  # JID: devices that the board has to do with
        self._complete = False  # the account's messages came to us since its session began
        self._reading_archive = True  # what was kept for the account has yet to come
        self._behind = True  # what waits for the board came while it or its account was away (O-124)
        self._told: bool | None = None  # ... and what the board knows of that
        self._sessions = 0  # of the link
        self._to_board = asyncio.Event()
        self._to_server = asyncio.Event()
        self._to_room = asyncio.Event()
        self._room: Room | None = None
        self._room_stays: asyncio.Task[None] | None = None
        self._pinned: set[str] = set()  # accounts whose membership in the room matters to the board
        self._told_of_room: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._serving = {
            "fetch-devices": self._fetch_devices,
            "fetch-bundle": self._fetch_bundle,
            "publish-bundle": self._publish_bundle,
            "publish-devices": self._publish_devices,
            "enter-room": self._enter_room,
        }

    async def run(self) -> None:
        """Work until cancelled.

        StateError "not-provisioned" or "provisioned" (for another account) of the board, RemoteError "refused" of a
        server that does not let us in at the first attempt; later losses are repaired.
        """
        await self._meet_board()
        self._link.on_message = self._from_board
        self._link.on_up = self._greet
        self._account.on_message = self._from_server
        self._account.on_unreadable = self._unreadable
        self._account.on_devices = self._devices_changed
        self._account.on_online = self._online_changed
        self._account.on_catch_up = self._catch_up_changed
        self._greet()
        staying = self._account.stay_online(self._last_online)
        parts = [staying, self._feed_board(), self._feed_server(), self._feed_room(), self._note_online_often()]
        works = [asyncio.ensure_future(part) for part in parts]
        try:
            await asyncio.gather(*works)
        finally:
            self._account.on_online = lambda online: None  # the end is no news for the board
            for task in [*works, *self._tasks]:
                task.cancel()
            await self._leave_room()
            await asyncio.gather(*works, *self._tasks, return_exceptions=True)
            await self._account.close()

    # --- both ends

    async def _meet_board(self) -> None:
        status = await self._link.request("status")
        jid, self._device = status.get("jid"), status.get("device", 0)
        if not jid or not self._device:
            raise StateError("not-provisioned", "the board has no account yet; run motemo provision")
        if bare_jid(jid) != self._account.jid:
            raise StateError("provisioned", f"the board belongs to {jid}, not to {self._account.jid}")

    def _last_online(self) -> int | None:
        return self._queue.last_online(self._account.jid)

    async def _note_online_often(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_EVERY)
            self._note_online()

    def _note_online(self) -> None:
        if self._complete and self._account.caught_up:
            self._queue.note_online(self._account.jid, int(time.time()))

    def _online_changed(self, online: bool) -> None:
        self._complete = self._complete or online
        self._note_online()
        self._set_reading_archive(not self._account.caught_up)
        self._to_server.set()
        self._to_room.set()
        self._tell({"type": "online", "jid": self._account.jid, "state": online})

    def _greet(self) -> None:
        """Tell a board that came up what it cannot know: the time, and whether its account is reachable."""
        self._tell({"type": "time", "now": int(time.time())})
        self._tell({"type": "online", "jid": self._account.jid, "state": self._account.online})
        self._sessions += 1
        self._told = None
        self._behind = self._reading_archive or self._queue.next_inbound(self._account.jid) is not None
        self._to_board.set()

    def _catch_up_changed(self, begins: bool) -> None:
        self._note_online()
        # What broke off with the connection goes on with the next one; if the server refuses, that was the end.
        self._set_reading_archive(begins or not self._account.online)

    def _set_reading_archive(self, reading: bool) -> None:
        self._reading_archive = reading
        self._behind = self._behind or reading
        self._to_board.set()

    def _tell(self, message: dict[str, Any]) -> None:
        """Send something that may get lost: it is out of date when it cannot be delivered."""
        self._spawn(self._send(message))

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await self._link.send(message)
        except MotemoError as error:
            self._count(error.reason, "%s did not reach the board", message["type"])

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _count(self, cause: str, text: str, *values: object) -> None:
        self.counters[cause] += 1
        log.warning("%s: " + text + " (%s)", self._account.jid, *values, cause)

    # --- from the server to the board

    def _from_server(self, received: Received) -> None:
        encrypted = form_for(received.encrypted, self._account.jid, self._device)
        if received.sender == self._account.jid and encrypted.sid == self._device:
            return  # the board's own message (M-10)
        if received.room is not None and received.stamp is not None:
            return  # what a room repeats of former days is no command for today
        mine = key_for(encrypted, self._account.jid, self._device)
        if mine is None:
            self._count("not-for-us", "no key for the board in a message from %s", received.sender)  # O-091
            return
        kex, data = mine
        message = {
            "type": "message",
            "from": received.sender,
            "dialect": encrypted.dialect,
            "sid": encrypted.sid,
            "kex": kex,
            "data": data,
        }
        if encrypted.payload is not None:
            message["payload"] = encrypted.payload
        if encrypted.iv is not None:
            message["iv"] = encrypted.iv
        if received.stamp is not None:
            message["stamp"] = received.stamp
        if received.room is not None:
            message["group"] = True
        try:
            self._queue.keep_inbound(self._account.jid, message, received.archive_id)
        except MotemoError as error:
            self._count(error.reason, "a message from %s could not be kept", received.sender)
            return
        self._known[received.sender].add(encrypted.sid)
        self._to_board.set()

    def _unreadable(self, sender: str, reason: str) -> None:
        self._count(reason, "a message from %s is no OMEMO message", sender)

    async def _feed_board(self) -> None:
        while True:
            self._to_board.clear()
            waiting = self._queue.next_inbound(self._account.jid)
            if waiting is None and not self._reading_archive:
                self._behind = False
            if self._told != self._behind:
                if not await self._tell_behind(self._behind):
                    await asyncio.sleep(_RETRY)
                continue
            if waiting is None:
                await self._to_board.wait()
                continue
            number, message = waiting
            try:
                await self._link.send({**message, "id": number})
            except MotemoError as error:
                if error.reason not in _HOPELESS:
                    await asyncio.sleep(_RETRY)
                    continue
                self._count(error.reason, "the board cannot take a message from %s", message["from"])
            self._queue.inbound_taken(number)

    async def _tell_behind(self, state: bool) -> bool:
        """Tell the board that a catch-up begins or has ended; between its messages, so in the right place."""
        session = self._sessions
        try:
            await self._link.send({"type": "catch-up", "state": state})
        except MotemoError as error:
            self._count(error.reason, "catch-up did not reach the board")
            return False
        if session == self._sessions:
            self._told = state
        return True

    def _devices_changed(self, jid: str, devices: list[Device], dialect: int) -> None:
        if jid == self._account.jid or jid in self._known or jid in self._account.owners:
            self._tell(self._reduced(jid, devices, dialect))

    def _reduced(self, jid: str, devices: list[Device], dialect: int) -> dict[str, Any]:
        """Return the list as a link message: at most 16 ids, first those that the board knows, and a count."""
        known = self._known[jid] | ({self._device} if jid == self._account.jid else set())
        ids = sorted((device.id for device in devices), key=lambda id: id not in known)
        return {
            "type": "devices",
            "dialect": dialect,
            "jid": jid,
            "devices": ids[:MAX_DEVICES],
            "others": max(0, len(ids) - MAX_DEVICES),
        }

    # --- from the board to the server

    async def _from_board(self, message: dict[str, Any]) -> None:
        """Take a message over: what this returns for, the board may forget."""
        kind = message["type"]
        if kind == "message":
            try:
                await self._take_over(message)
            except RemoteError as error:
                self._count(error.reason, "the board sent a message that is none")
        elif kind in self._serving:
            self._spawn(self._serve(message))
        elif kind == "log":
            log.info("%s says: %s", self._account.jid, message["text"])
        else:
            self._count("protocol", "the board sent %s", kind)

    async def _take_over(self, message: dict[str, Any]) -> None:
        keys = [(bare_jid(jid), rid, kex, data) for jid, rid, kex, data in message["keys"]]
        encrypted = Encrypted(message["dialect"], message["sid"], keys, message.get("payload"), message.get("iv"))
        if legacy := message.get("legacy"):
            others = [(bare_jid(jid), rid, kex, data) for jid, rid, kex, data in legacy["keys"]]
            encrypted.legacy = Encrypted(LEGACY, message["sid"], others, legacy["payload"], legacy["iv"])
            keys = [*keys, *others]
        stanza = forms_to_text(encrypted)
        forms_from_text(stanza)  # what others would refuse is refused here
        for jid, rid, _, _ in keys:
            self._known[jid].add(rid)
        kind = "groupchat" if message.get("group") else "chat"
        await self._keep(message["id"], bare_jid(message["to"]), stanza, kind)
        (self._to_room if kind == "groupchat" else self._to_server).set()

    async def _keep(self, id: int, recipient: str, stanza: str, kind: str) -> None:
        """Keep a message of the board; when the queue is full, the board waits."""
        while True:
            try:
                if not self._queue.keep_outbound(self._account.jid, id, recipient, stanza, kind):
                    log.info("%s: message %d came again", self._account.jid, id)
                return
            except StateError as error:
                self._count(error.reason, "a message of the board has to wait")
                await asyncio.sleep(_RETRY)

    async def _feed_server(self) -> None:
        while True:
            self._to_server.clear()
            waiting = self._queue.outbound(self._account.jid, _TOGETHER) if self._account.online else []
            if not waiting:
                await self._to_server.wait()
                continue
            await asyncio.gather(*(self._pass_on(message) for message in waiting))

    async def _pass_on(self, message: Outbound) -> None:
        try:
            await self._account.send(message.recipient, forms_from_text(message.stanza), id=message.stanza_id)
        except StateError:
            return  # offline: it stays, and goes out again byte for byte (M-16)
        self._queue.outbound_taken(self._account.jid, message.seq)

    async def _feed_room(self) -> None:
        """Say what waits for the room, one after the other: it counts when the room has repeated it."""
        unheard: Counter[int] = Counter()
        while True:
            self._to_room.clear()
            room = self._room
            there = room and room.inside and self._account.online
            waiting = self._queue.outbound(self._account.jid, 1, "groupchat") if there else []
            if not waiting or not room:
                await self._to_room.wait()
                continue
            (message,) = waiting
            if message.recipient != room.jid:
                self._count(
                    "refused", "a message for the room %s, which the board has left, is dropped", message.recipient
                )
            else:
                try:
                    await room.send(forms_from_text(message.stanza), message.stanza_id)
                except RemoteError as error:
                    self._count(error.reason, "%s", error.text)
                except StateError:
                    unheard[message.seq] += self._account.online
                    if unheard[message.seq] < _MAX_UNHEARD:
                        continue  # once we are in again it goes out again, byte for byte
                    self._count("timeout", "a message for the room %s is dropped: the room lost it", room.jid)
            unheard.clear()
            self._queue.outbound_taken(self._account.jid, message.seq)

    async def _serve(self, message: dict[str, Any]) -> None:
        try:
            answer = await self._serving[message["type"]](message)
        except MotemoError as error:
            log.info("%s: %s failed: %s", self._account.jid, message["type"], error)
            answer = {"type": "result", "code": REASONS.index(error.reason), "text": error.text[:80]}
        await self._send({**answer, "id": message["id"]})

    async def _fetch_devices(self, message: dict[str, Any]) -> dict[str, Any]:
        jid, dialect = bare_jid(message["jid"]), message["dialect"]
        return self._reduced(jid, await listed_devices(self._account.pep, jid, dialect), dialect)

    async def _fetch_bundle(self, message: dict[str, Any]) -> dict[str, Any]:
        jid, rid, dialect = bare_jid(message["jid"]), message["rid"], message["dialect"]
        bundle = await self._account.pep.fetch_bundle(jid, rid, dialect)
        if not bundle.prekeys:
            raise RemoteError("no-prekey", "the bundle has none")
        self._known[jid].add(rid)
        prekey_id, prekey = secrets.choice(bundle.prekeys)  # O-070
        return {
            "type": "bundle",
            "dialect": dialect,
            "jid": jid,
            "rid": rid,
            "ik": bundle.identity_key,
            "spk_id": bundle.signed_prekey_id,
            "spk": bundle.signed_prekey,
            "spks": bundle.signature,
            "pk_id": prekey_id,
            "pk": prekey,
        }

    async def _publish_bundle(self, message: dict[str, Any]) -> dict[str, Any]:
        bundle = Bundle(
            message["ik"],
            message["spk_id"],
            message["spk"],
            message["spks"],
            unpack(message["prekeys"]),
        )
        if legacy := message.get("legacy"):  # a board of an older version has none
            bundle.legacy_signature = legacy["spks"]
        await self._account.pep.publish_bundle(self._device, bundle)
        return {"type": "result"}

    async def _publish_devices(self, message: dict[str, Any]) -> dict[str, Any]:
        device = Device(message["device"], message.get("label"), message.get("labelsig"))
        for dialect in DIALECTS:
            await self._account.announce(device, dialect)
        return {"type": "result"}

    # --- the room

    async def _enter_room(self, message: dict[str, Any]) -> dict[str, Any]:
        jid = bare_jid(message["room"]) if message["room"] else ""
        self._pinned = {bare_jid(member) for member in message["members"]}
        self._told_of_room = {}
        if self._room and self._room.jid != jid:
            await self._leave_room()
        if not jid:
            return {"type": "result"}
        room = self._room
        if room is None:
            room = self._room = self._account.room(jid, message["text"])
            room.on_members = self._room_changed
            room.on_out = self._room_lost
            self._room_stays = asyncio.ensure_future(room.stay())
        try:
            async with asyncio.timeout(_ROOM_SECONDS):
                await room.enter()
        except TimeoutError:
            raise RemoteError("timeout", f"the room {jid} does not answer") from None
        self._told_of_room = self._members_of(room)
        return self._told_of_room

    async def check_room(self, jid: str) -> None:
        """Return if that room can be used, else raise a RemoteError that says why not."""
        if self._room and self._room.jid == jid:
            await self._room.enter()
            return
        room = self._account.room(jid, self._account.jid.partition("@")[0])
        try:
            await try_room(room)
        finally:
            self._account.forget_room(room)

    async def _leave_room(self) -> None:
        room, self._room = self._room, None
        if room and self._room_stays:
            room.on_members, room.on_out = lambda: None, lambda error: None
            self._room_stays.cancel()
            await asyncio.gather(self._room_stays, return_exceptions=True)
            self._account.forget_room(room)

    def _members_of(self, room: Room) -> dict[str, Any]:
        members = sorted(self._pinned & room.members)
        others = len(room.members - self._pinned - {self._account.jid})
        return {"type": "room", "room": room.jid, "text": room.nick, "members": members, "others": others}

    def _room_changed(self) -> None:
        self._to_room.set()
        if self._room:
            self._tell_of_room(self._members_of(self._room))

    def _room_lost(self, error: MotemoError) -> None:
        if self._room and error.reason in ("refused", "not-found"):  # all else is repaired without the board
            fields = {"code": REASONS.index(error.reason), "text": error.text[:120], "members": [], "others": 0}
            self._tell_of_room({"type": "room", "room": self._room.jid, **fields})

    def _tell_of_room(self, message: dict[str, Any]) -> None:
        if message != self._told_of_room:
            self._told_of_room = message
            self._tell(message)


async def run_beside(link: BoardLink, account: Account, queue: Queue, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, for as long as which one board and its account are bridged.

    Raises what `work` raises; or, when the bridge ends before it, what ended that (see `Gateway.run`).
    """
    gateway, working = asyncio.create_task(Gateway(link, account, queue).run()), asyncio.create_task(work)
    try:
        await asyncio.wait({gateway, working}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            gateway.result()
        return working.result()
    finally:
        for task in (gateway, working):
            task.cancel()
        await asyncio.gather(gateway, working, return_exceptions=True)

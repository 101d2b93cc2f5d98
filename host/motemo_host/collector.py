"""The collector: an owner's OMEMO device on this machine. It decrypts what boards send, stores and shows it.

The same engine as on the board, over the account's XMPP connection. A message is decrypted, and its readings are on
disk, before the server hears that we have it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from motemo import rotation
from motemo.errors import MotemoError, RemoteError, StateError
from motemo.omemo import bundle, identity, trust, upkeep
from motemo.omemo.elements import DIALECTS, OMEMO2, Encrypted
from motemo.omemo.engine import Engine, Opened
from motemo.omemo.envelope import NOTICE, SENML
from motemo.omemo.keys import ANNOUNCED, BUNDLE_DIRTY
from motemo.omemo.records import device_key, split_device_key
from motemo.profile import host_profile
from motemo.store.journal import Journal

from .arrivals import Arrivals
from .labels import valid
from .pep import listed_devices
from .readings import Reading, Readings, parse_senml
from .room import Room
from .stanzas import Device
from .xmpp import Account, Received

__all__ = ["Collector", "Heard", "open_identity"]

log = logging.getLogger(__name__)

_FETCH_ROUNDS = 3  # a list names bundles, and may change meanwhile
_NOTE_EVERY = 60  # seconds
_READY_SECONDS = 30
_ROTATION_EVERY = 3600  # seconds between looks at the signed prekey's age
_ROOM_PAUSE = 2


class Heard(NamedTuple):
    """What one message of a board said: readings, or a text (an answer), or the reason why it could not be read.

    opt_out: the reason with which it asks for plain text, maybe "". notice: the text is no answer, but what the board
    says of itself. label: the name that the device has signed.
    """

    jid: str
    device: int
    trusted: bool
    text: str = ""
    readings: tuple[Reading, ...] = ()
    problem: str = ""
    opt_out: str | None = None
    notice: bool = False
    label: str = ""
    room: str | None = None  # the group chat in which it was said


def open_identity(folder: Path, jid: str) -> Engine:
    """The engine of an identity's folder; its keys are made when it is new. The caller holds the folder's lock."""
    store = Journal(str(folder))
    try:
        identity.create(store, jid)
    except StateError as error:
        if error.reason != "provisioned":
            raise
    profile = host_profile()
    engine = Engine(store, profile)
    bundle.fill(engine.keys, profile.prekeys)
    return engine


class Collector:
    """Runs an identity over its account. `on_heard` gets what comes in; nothing of it is acknowledged before.

    `rooms`: group chats of the account that it listens in too; a room that cannot be used at the first attempt ends
    `run`.

    The readings and the arrivals are closed at the end of `run`.
    """

    def __init__(
        self,
        engine: Engine,
        account: Account,
        readings: Readings,
        arrivals: Arrivals,
        rooms: Sequence[Room] = (),
    ):
        self.engine = engine
        self.on_heard: Callable[[Heard], None] = lambda heard: None
        self._account = account
        self._readings = readings
        self._arrivals = arrivals
        self._rooms = rooms
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ready = asyncio.Event()
        self._wake = asyncio.Event()
        self._sending = asyncio.Lock()
        self._waiting: list[tuple[str, asyncio.Future[str]]] = []
        self._labelled: dict[str, dict[int, Device]] = {}  # JID: devices that have a label, signed by them or not
        account.on_message = self._received
        account.on_unreadable = self._unreadable
        account.on_devices = self._devices_changed
        account.on_online = self._online_changed
        account.on_catch_up = self._catch_up_changed
        engine.catching_up = True  # what was kept for us has yet to come

    async def run(self) -> None:
        """Stays online and keeps bundle, list, pings and sessions in order, until cancelled.

        Raises RemoteError "refused" when the server or a room does not let us in at the first attempt, StateError when
        readings cannot be stored.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._account.stay_online(self._arrivals.last_online))
                group.create_task(self._keep_up())
                group.create_task(self._note_online_often())
                group.create_task(self._rotate())
                group.create_task(self._fail())
                for room in self._rooms:
                    group.create_task(room.stay())
                    group.create_task(self._enter(room))
        finally:
            self._note_online()
            await self._account.close()
            self.engine.flush()
            self._arrivals.close()
            self._readings.close()

    async def _enter(self, room: Room) -> None:
        await self.ready()
        while True:
            try:
                await room.enter()
                return
            except MotemoError as error:
                if error.reason in ("refused", "not-found"):
                    raise
                await asyncio.sleep(_ROOM_PAUSE)

    async def ready(self) -> None:
        """Returns once keys and list are published, so that boards can reach us."""
        await self._ready.wait()

    async def send(self, jid: str, text: str, wait: float) -> str:
        """Sends an encrypted text to the pinned devices of `jid`; returns the answer, "" when wait is 0.

        Raises StateError "no-devices", "offline" without a connection, RemoteError "timeout" when no answer came in
        `wait` seconds.
        """
        try:
            async with asyncio.timeout(_READY_SECONDS):
                await self.ready()
        except TimeoutError:
            raise StateError(
                "offline", f"{self._account.jid} has no connection; see the log of motemo listen"
            ) from None
        answer = asyncio.get_running_loop().create_future()
        entry = (jid, answer)
        self._waiting.append(entry)
        try:
            async with self._sending:
                await self._fetch_devices(jid)
                await self._fetch([jid])
                sealed = self._seal(jid, text)
                await self._account.send(jid, sealed)
            if not wait:
                return ""
            async with asyncio.timeout(wait):
                return await answer
        except TimeoutError:
            raise RemoteError(
                "timeout", f"sent, but {jid} did not answer in {wait:g} s; check that it is on and its gateway runs"
            ) from None
        finally:
            self._waiting.remove(entry)

    def _seal(self, jid: str, text: str) -> Encrypted:
        try:
            sealed = self.engine.seal([jid], text)
            assert sealed  # only readings are held back
            return sealed
        except StateError as error:
            if error.reason == "opt-out":
                raise StateError(
                    "opt-out",
                    f"{jid} asked for plain text, which motemo never sends; to go on with OMEMO, name it as "
                    f"{jid}=FINGERPRINT",
                ) from None
            if error.reason != "no-devices":
                raise
            raise StateError(
                "no-devices",
                f"no device of {jid} is both trusted and on the server; name it as {jid}=FINGERPRINT (motemo provision "
                "and motemo status show that), and check that motemo gateway runs for it",
            ) from None

    # What comes in: plain functions, done before the server hears that we have it

    def _received(self, received: Received) -> None:
        if received.archive_id is None:
            self._open(received)
        elif not self._arrivals.has(received.archive_id):
            self._open(received)
            self._arrivals.add(received.archive_id)

    def _open(self, received: Received) -> None:
        device = received.encrypted.sid
        try:
            opened = self.engine.open(received.sender, received.encrypted, received.stamp, received.room)
            heard = self._read(opened, received.room)
        except MotemoError as error:
            self._wake.set()
            if error.reason != "duplicate":  # O-122: without any warning
                self.on_heard(Heard(received.sender, device, False, problem=error.reason, room=received.room))
            return
        self._wake.set()
        if heard is None:
            return
        if heard.trusted:
            trust.note_opt_out(self.engine.store, heard.jid, heard.opt_out is not None)
        if heard.readings:
            self._store(heard)
        elif heard.trusted and heard.text and not heard.notice and not heard.room:
            self._answered(heard.jid, heard.text)
        self.on_heard(heard._replace(label=self._label(received)))

    def _store(self, heard: Heard) -> None:
        try:
            self._readings.add(heard.jid, heard.device, heard.trusted, list(heard.readings))
        except StateError as error:
            if not self._failed.done():
                self._failed.set_exception(error)  # what comes from now on stays on the server

    def _read(self, opened: Opened, room: str | None) -> Heard | None:
        content = opened.envelope
        if content is None:
            return None
        readings: list[Reading] = []
        for datatype, text in content.records:
            if datatype == SENML:
                readings += parse_senml(text)
        problem = ""
        if not readings and not content.body and content.opt_out is None:
            problem = "unknown"
            self.engine.count(problem)
        return Heard(
            opened.jid,
            opened.device,
            opened.trusted,
            content.body or "",
            tuple(readings),
            problem,
            content.opt_out,
            NOTICE in content.others,
            room=room,
        )

    def _label(self, received: Received) -> str:
        device = self._labelled.get(received.sender, {}).get(received.encrypted.sid)
        session = device and self.engine.session(device_key(received.sender, device.id))
        return valid(device, session.their_identity) if device and session else ""

    def _answered(self, jid: str, text: str) -> None:
        for sender, answer in self._waiting:
            if sender == jid and not answer.done():
                answer.set_result(text)
                return

    def _unreadable(self, sender: str, reason: str) -> None:
        self.engine.count(reason)
        self.on_heard(Heard(sender, 0, False, problem=reason))

    def _devices_changed(self, jid: str, devices: list[Device], dialect: int) -> None:
        if jid == self.engine.keys.jid or trust.pins(self.engine.store, jid):
            self._take_devices(jid, devices, dialect)

    def _take_devices(self, jid: str, devices: list[Device], dialect: int) -> None:
        if dialect == OMEMO2:
            self._labelled[jid] = {device.id: device for device in devices if device.label}
        self.engine.on_devices(jid, [device.id for device in devices], dialect)

    def _online_changed(self, online: bool) -> None:
        self._note_online()
        self._set_catching_up(not self._account.caught_up)

    def _catch_up_changed(self, begins: bool) -> None:
        self._note_online()
        # What broke off with the connection goes on with the next one; if the server refuses, that was the end.
        self._set_catching_up(begins or not self._account.online)

    def _set_catching_up(self, state: bool) -> None:
        if state:
            self.engine.catching_up = True
        else:
            upkeep.end_catch_up(self.engine)
        self._wake.set()

    # Upkeep

    def _note_online(self) -> None:
        if self._account.caught_up:
            self._arrivals.note_online(int(time.time()))

    async def _note_online_often(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_EVERY)
            self._note_online()

    async def _rotate(self) -> None:
        counted = time.monotonic()
        while True:
            now = time.monotonic()
            if rotation.look(self.engine.keys, self.engine.profile.rotation, int(now - counted), int(time.time())):
                counted = now
                self._wake.set()
            await asyncio.sleep(_ROTATION_EVERY)

    async def _fail(self) -> None:
        await self._failed

    async def _keep_up(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self._account.online:
                continue
            try:
                async with self._sending:
                    await self._publish()
                    await self._fetch([])
                    await self._ping()
                self._log_notices()
                self._ready.set()
            except MotemoError as error:
                if not self._ready.is_set() and error.reason == "refused":
                    raise
                log.warning("upkeep: %s", error)
                await asyncio.sleep(1)
                self._wake.set()

    async def _publish(self) -> None:
        own = self.engine.keys
        pep = self._account.pep
        if not own.flags & ANNOUNCED:
            while await pep.device_taken(own.device, own.identity_key):
                identity.draw_device_again(own)
        bundle.complete(own)
        if own.flags & BUNDLE_DIRTY:
            newest, prekeys = bundle.pack(own)
            newest.prekeys = bundle.unpack(prekeys)
            await pep.publish_bundle(own.device, newest)
            bundle.published(own, newest.signed_prekey_id, prekeys)
        if not self._ready.is_set():
            bundle.announced(own)
            for dialect in DIALECTS:
                await self._account.announce(Device(own.device), dialect)

    async def _ping(self) -> None:
        while (ping := self.engine.next_ping()) is not None:
            jid, encrypted = ping
            await self._account.send(jid, encrypted)

    def _log_notices(self) -> None:
        while self.engine.notices:
            key, text = self.engine.notices.pop(0)
            jid, device, _ = split_device_key(key)
            log.warning("device %d of %s: %s", device, jid, text)

    async def _fetch_devices(self, jid: str) -> None:
        for dialect in reversed(DIALECTS):
            self._take_devices(jid, await listed_devices(self._account.pep, jid, dialect), dialect)

    async def _fetch(self, jids: list[str]) -> None:
        refused = []
        for _ in range(_FETCH_ROUNDS):
            needs = [need for need in self.engine.needs(jids) if need not in refused]
            if not needs:
                return
            for need in needs:
                kind, jid, *place = need
                if kind == "devices":
                    try:
                        await self._fetch_devices(jid)
                    except RemoteError as error:
                        if error.reason in ("offline", "timeout"):
                            raise
                        refused.append(need)  # the list is as it was
                        log.warning("device list of %s: %s", jid, error)
                else:
                    await self._fetch_bundle(jid, *place)

    async def _fetch_bundle(self, jid: str, device: int, dialect: int) -> None:
        try:
            self.engine.on_bundle(jid, device, await self._account.pep.fetch_bundle(jid, device, dialect))
        except RemoteError as error:
            if error.reason in ("offline", "timeout"):
                raise
            if error.reason == "not-found":
                self.engine.on_no_bundle(jid, device, dialect)
            log.warning("bundle of %s, device %d: %s", jid, device, error)

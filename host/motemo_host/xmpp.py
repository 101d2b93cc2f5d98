"""One XMPP account over slixmpp: login, OMEMO messages with the server's receipt, device lists, PEP.

Certificates are always checked, against the system's authorities or a file of them, for the JID's domain. Login
is by SCRAM only, after TLS only. The callbacks of an `Account` are plain functions: what they store is stored
before the server hears (XEP-0198) that we have the stanza.
"""

import asyncio
import contextlib
import functools
import logging
import random
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from slixmpp import JID, ClientXMPP, InvalidJID, Message
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.types import MessageTypes
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from motemo.errors import LocalError, MotemoError, RemoteError, StateError
from motemo.omemo.elements import OMEMO2, Encrypted

from .archive import Archive
from .pep import PUBSUB_NS, Pep
from .room import Room
from .stanzas import (
    DEVICES_NODES,
    EME_NS,
    Device,
    bare_jid,
    devices_from_xml,
    find_encrypted,
    message_elements,
)

__all__ = ["Account", "Received", "tls_context"]

log = logging.getLogger(__name__)
# slixmpp's debug log shows the login; what matters in its errors reaches us as events.
logging.getLogger("slixmpp").setLevel(logging.CRITICAL)

_DELAY = "{urn:xmpp:delay}delay"
_STANZA_ID = "{urn:xmpp:sid:0}stanza-id"
_CONTENT = ("{jabber:client}body", f"{{{EME_NS}}}encryption", "{urn:xmpp:sce:1}envelope")
_EVENT = f"{{{PUBSUB_NS}#event}}"
_ACK_REQUEST = "<r xmlns='urn:xmpp:sm:3'/>"
_MECHANISMS = {"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512"}
_FEATURES = (*(node + "+notify" for node in DEVICES_NODES.values()), EME_NS)  # O-051, M-01
_DIALECTS = {node: dialect for dialect, node in DEVICES_NODES.items()}
_PING_EVERY = 60  # seconds between looks whether the server is still there
_PING_PATIENCE = 20
_LAST_WORDS = 0.2  # seconds in which the reason for a loss may still come
_LONGEST_PAUSE = 300  # seconds between two attempts to reach the server
_SEEN = 1000  # archive ids by which a message that comes twice, live and from the archive, is known
_CLOCKS = 300  # seconds that our clock and the server's may differ when catching up
_ANNOUNCE_PAUSE = 10  # seconds between two re-announcements, so that two clients cannot fight at full speed


class Received(NamedTuple):
    """An OMEMO message as it came in.

    `stamp`: unix seconds, only of one that was kept for us while we were away. `archive_id`: its id in the own archive;
    after a restart a message may come again, with the same one. `room`: the group chat that it came through, whose
    bare JID that is; the sender is who is called so there.
    """

    sender: str  # bare JID
    kind: str  # the stanza's type: chat, normal, groupchat, headline
    encrypted: Encrypted
    id: str
    stamp: int | None
    archive_id: str | None
    room: str | None = None


class Account:
    """One connection of one account, made again by `connect` after each loss.

    `on_message` gets each OMEMO message that could be parsed, `on_unreadable(sender, reason)` one that could not
    and one that says something without OMEMO (reason "plain"),
    `on_devices(jid, devices, dialect)` each change of a device list (the own ones among them), `on_online(bool)` the
    state, `on_catch_up(bool)` begin and end of catching up from the archive (M-12, O-124).
    """

    def __init__(
        self,
        jid: str,
        password: str,
        *,
        host: str | None = None,
        port: int | None = None,
        tls: str = "starttls",
        ca: str | None = None,
        owners: Iterable[str] = (),
    ):
        """`host` and `port`: where to connect, else by DNS; `tls`: "direct" or "starttls"; `ca`: file of authorities.

        `owners`: bare JIDs whose subscription is accepted and asked for.
        """
        self.jid = bare_jid(jid)
        self.owners = {bare_jid(owner) for owner in owners}
        self.on_message: Callable[[Received], None] = _ignore
        self.on_unreadable: Callable[[str, str], None] = _ignore
        self.on_devices: Callable[[str, list[Device], int], None] = _ignore
        self.on_online: Callable[[bool], None] = _ignore
        self.on_catch_up: Callable[[bool], None] = _ignore
        self.online = False
        self._address = (host, port)
        self._tls = tls
        self._client = self._make_client(password, tls_context(ca))
        self._pep = Pep(self._client)
        self._archive = Archive(self._client, self._from_archive)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._attempt: asyncio.Future[None] | None = None
        self._failure: MotemoError | None = None
        self._begun = False  # the session has presence and roster
        self._behind: int | None = None  # unix seconds from when on the archive has yet to be read
        self._offline = asyncio.Event()
        self._offline.set()
        self._untaken: dict[str, tuple[Message, asyncio.Future[None]]] = {}
        self._announced: dict[int, Device] = {}  # by dialect
        self._announcing: set[int] = set()
        self._listing = asyncio.Lock()  # of who writes to the own lists
        self._rooms: dict[str, Room] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- connection

    async def connect(self, timeout: float = 30, since: int | None = None) -> None:
        """Log in, or resume the session that was lost; errors say what to do.

        `since`: unix seconds up to which everything was received; where the session is a new one, what came later is
        taken from the archive. RemoteError "offline" (cannot be reached), "refused" (certificate, password, no TLS),
        "timeout".
        """
        if self.online:
            return
        self._attempt = asyncio.get_running_loop().create_future()
        self._failure = None
        if since is not None and not self._begun:
            self._behind = since
        self._client.connect(*self._address)
        try:
            async with asyncio.timeout(timeout):
                await self._attempt
        except TimeoutError:
            raise RemoteError("timeout", f"{self._where} does not finish the login; try again later") from None
        finally:
            self._attempt = None
            if not self.online:
                await self._drop()

    async def close(self) -> None:
        """Leave in good order: what the server sent so far is acknowledged, the session ends."""
        if self.online:
            if self._stream_management:
                self._client.plugin["xep_0198"].send_ack()  # M-14
        await self._drop()
        self._leave_rooms()
        self._lose_untaken()
        tasks: list[asyncio.Future[Any]] = list(self._tasks)
        if self._client._run_out_filters:
            tasks.append(self._client._run_out_filters)  # slixmpp leaves its sending task behind
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stay_online(self, since: Callable[[], int | None] = lambda: None) -> None:
        """Connect, and again after each loss with growing pauses, until cancelled; `since` as for `connect`.

        RemoteError "refused" when the server does not let us in at the first attempt.
        """
        pause, known = 1.0, False
        while True:
            try:
                await self.connect(since=since())
            except MotemoError as error:
                if error.reason == "refused" and not known:
                    raise
                log.warning("%s; again in %d s", error.text, pause)
                # Many accounts must not come back at the same instant.
                await asyncio.sleep(pause * random.uniform(0.5, 1))
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause, known = 1.0, True
            await self._offline.wait()

    @property
    def caught_up(self) -> bool:
        """Whether everything that came in so far has been handed over."""
        return self.online and self._behind is None

    async def wait_offline(self) -> None:
        """Return when the connection is lost or closed."""
        await self._offline.wait()

    # --- messages

    async def send(self, to: str, encrypted: Encrypted, *, id: str | None = None, kind: MessageTypes = "chat") -> None:
        """Send an OMEMO message; returns once the server has taken it.

        StateError "offline" when it may not have: send the same again then, byte for byte (M-16).
        """
        self._require_online()
        client = self._client
        id = id or client.new_id()
        if id in self._untaken:
            raise LocalError("duplicate", "a message with this id is on its way")
        message = client.make_message(mto=JID(to), mtype=kind)
        message["id"] = id
        for element in message_elements(encrypted):
            message.append(element)
        taken = asyncio.get_running_loop().create_future()
        self._untaken[id] = (message, taken)
        message.send()
        if self._stream_management:
            # After the message in the same queue; slixmpp's own requests overtake the stanza they are for.
            client.send(_ACK_REQUEST)
        else:
            self._spawn(self._take_by_ping(id))
        try:
            await taken
        finally:
            self._untaken.pop(id, None)

    # --- PEP

    @property
    def pep(self) -> Pep:
        """Device lists and bundles; StateError "offline" without a connection."""
        self._require_online()
        return self._pep

    async def announce(self, device: Device, dialect: int = OMEMO2) -> None:
        """Put the own device into the account's list and keep it there: again whenever it goes (O-060, O-061)."""
        self._announced[dialect] = device
        await self._list(device, dialect)

    async def retire(self, device: int) -> None:
        """Take an own device and its bundles off the server, and keep it off (O-129)."""
        self._announced.clear()
        async with self._listing:
            await self.pep.remove_device(device)

    # --- rooms

    def room(self, jid: str, nick: str) -> Room:
        """The group chat of this address, for `Room.stay`; what is said there comes to `on_message`."""

        async def say(to: str, encrypted: Encrypted, id: str | None) -> None:
            await self.send(to, encrypted, id=id, kind="groupchat")

        room = self._rooms[bare_jid(jid)] = Room(self._client, bare_jid(jid), nick, say)
        if self.online:
            room.connected()
        return room

    def forget_room(self, room: Room) -> None:
        """What is said in a room concerns us no more; the caller has ended `Room.stay`."""
        if self._rooms.get(room.jid) is room:
            del self._rooms[room.jid]

    # --- inside

    def _make_client(self, password: str, context: ssl.SSLContext) -> "_Client":
        client = _Client(self.jid, password, ssl_context=context)
        client.enable_direct_tls = self._tls == "direct"
        client.enable_starttls = self._tls != "direct"
        for plugin in ("xep_0030", "xep_0004", "xep_0045", "xep_0060", "xep_0115", "xep_0198", "xep_0199"):
            client.register_plugin(plugin)
        client.plugin["feature_mechanisms"].use_mechs = set(_MECHANISMS)
        client.plugin["xep_0198"].window = 2**31  # we ask for acknowledgements ourselves
        client.auto_authorize = None
        client.auto_subscribe = False
        client.register_handler(Callback("Motemo", MatchXPath("{jabber:client}message"), self._received))
        for event, handler in {
            "connection_failed": self._connection_failed,
            "reconnect_delay": self._connection_given_up,
            "ssl_invalid_chain": self._bad_certificate,
            "stream_error": self._stream_error,
            "failed_auth": self._login_failed,
            "failed_all_auth": self._no_login_left,
            "stream_negotiated": self._negotiated,
            "session_resumed": self._resumed,
            "session_end": self._session_ended,
            "disconnected": self._disconnected,
            "presence_subscribe": self._asked_for_subscription,
            "stanza_acked": self._acknowledged,
            "groupchat_presence": self._room_presence,
            "presence_error": self._room_presence,
        }.items():
            client.add_event_handler(event, handler)
        return client

    @property
    def _where(self) -> str:
        host, port = self._address
        return f"{host}:{port}" if host else self._client.boundjid.domain

    @property
    def _stream_management(self) -> bool:
        return self._client.plugin["xep_0198"].enabled_out

    def _require_online(self) -> None:
        if not self.online:
            raise StateError("offline", f"no connection for {self.jid}")

    def _spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fail(self, error: MotemoError) -> None:
        if self._attempt and not self._attempt.done():
            self._attempt.set_exception(error)

    async def _drop(self) -> None:
        """Give up an attempt or end the session, and return when the connection is gone."""
        client = self._client
        client.cancel_connection_attempt()
        if client.is_connected():
            await client.disconnect(wait=1, ignore_send_queue=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while client.is_connected():
                    await asyncio.sleep(0.01)

    # --- events of the connection

    def _connection_failed(self, error: object) -> None:
        self._failure = self._connection_error(error)

    def _connection_given_up(self, _delay: object) -> None:
        # slixmpp would go on by itself for ever: who connects decides about that.
        self._client.cancel_connection_attempt()
        self._fail(self._failure or RemoteError("offline", f"{self._where} cannot be reached"))

    def _bad_certificate(self, error: object) -> None:
        self._fail(self._connection_error(error))

    def _connection_error(self, error: object) -> MotemoError:
        where, domain = self._where, self._client.default_domain
        if isinstance(error, ssl.SSLCertVerificationError):
            what = error.verify_message.rstrip(".")
            return RemoteError(
                "refused",
                f"the certificate of {where} is not good for {domain}: {what}; give its authority with --ca, "
                "or check the server's address",
            )
        if isinstance(error, ssl.SSLError) and "UNRECOGNIZED_NAME" in str(error.reason):
            return self._wrong_domain()
        if isinstance(error, ssl.SSLError):
            other = "starttls" if self._tls == "direct" else "direct"
            return RemoteError("refused", f"{where} does not speak TLS like this; try --tls {other}")
        if isinstance(error, str | socket.gaierror):
            return RemoteError("offline", f"{where} has no address; check the server's name")
        why = error.strerror if isinstance(error, OSError) and error.strerror else "no connection"
        return RemoteError("offline", f"{where} cannot be reached ({why}); check host, port and network")

    def _wrong_domain(self) -> MotemoError:
        domain = self._client.default_domain
        return RemoteError("refused", f"{self._where} does not serve {domain}; check the JID and the server's address")

    def _stream_error(self, error: Any) -> None:
        condition = error["condition"]
        if condition == "host-unknown":
            self._fail(self._wrong_domain())
        else:
            self._fail(RemoteError("refused", f"{self._where} ended the connection ({condition})"))
            log.warning("%s: the server ended the connection (%s)", self.jid, condition)

    def _login_failed(self, failure: Any) -> None:
        condition = failure["condition"]
        if condition in ("not-authorized", "account-disabled", "credentials-expired"):
            self._fail(
                RemoteError("refused", f"{self.jid}: the server does not accept this password ({condition}); check it")
            )

    def _no_login_left(self, _event: object) -> None:
        if isinstance(self._client.socket, ssl.SSLSocket | ssl.SSLObject):
            self._fail(RemoteError("refused", f"{self._where} offers no SCRAM login; enable it on the server"))
        else:
            self._fail(
                RemoteError("refused", f"{self._where} offers no TLS; enable it on the server or try --tls direct")
            )

    def _disconnected(self, _reason: object) -> None:
        if self._attempt:
            # A bad certificate is reported after the loss of the connection that it causes.
            asyncio.get_running_loop().call_later(_LAST_WORDS, self._closed_early, self._attempt)
        # slixmpp would write what is left into the next connection, before its login.
        unsent = self._client.waiting_queue
        while not unsent.empty():
            unsent.get_nowait()
            unsent.task_done()
        self._offline.set()
        if self.online:
            self.online = False
            log.info("%s: connection lost", self.jid)
            self.on_online(False)

    def _closed_early(self, attempt: asyncio.Future[None]) -> None:
        if attempt is self._attempt:
            other = "starttls" if self._tls == "direct" else "direct"
            self._fail(
                RemoteError(
                    "offline",
                    f"{self._where} closed the connection before the login; is it the port for --tls {other}?",
                )
            )

    def _session_ended(self, _event: object) -> None:
        self._begun = False
        self._leave_rooms()
        self._lose_untaken()

    async def _negotiated(self, _event: object) -> None:
        if not self._client.bound:
            self._fail(RemoteError("refused", f"{self._where} binds no resource"))
            return
        self._begun = False
        self._leave_rooms()
        await self._begin()

    async def _begin(self) -> None:
        """Start the session that was bound: features, presence, roster."""
        client, attempt = self._client, self._attempt
        # Features that are added before binding belong to the unbound JID and never reach the presence's caps.
        for feature in _FEATURES:
            await client.plugin["xep_0030"].add_feature(feature, jid=client.boundjid)
        await client.plugin["xep_0115"].update_caps(client.boundjid, broadcast=False)
        client.send_presence()
        try:
            # The answer says that the server has our presence too.
            await client.get_roster(timeout=_PING_PATIENCE)
        except (IqError, IqTimeout):
            if attempt is self._attempt:
                self._fail(RemoteError("refused", f"{self._where} does not let {self.jid} begin a session"))
            return
        for owner in self.owners:
            self._subscribe(owner)
        self._begun = True
        self._came_online()

    def _resumed(self, _event: object) -> None:
        # What had not yet reached the socket when the connection went is not among what slixmpp sends again.
        resent = {stanza["id"] for _, stanza in self._client.plugin["xep_0198"].unacked_queue}
        for id, (message, _) in self._untaken.items():
            if id not in resent:
                message.send()
        if self._untaken:
            self._client.send(_ACK_REQUEST)
        if self._begun:
            self._came_online()
        else:
            self._spawn(self._begin())

    def _came_online(self) -> None:
        if self._attempt is None or self._attempt.done():
            return  # given up in the meantime
        self.online = True
        self._offline.clear()
        self._attempt.set_result(None)
        self._spawn(self._watch())
        log.info("%s: online", self.jid)
        for room in self._rooms.values():
            room.connected()
        self.on_online(True)
        if self._behind is not None:
            self._spawn(self._catch_up(self._behind))

    async def _watch(self) -> None:
        """Drop a connection whose other end does not answer any more."""
        while self.online:
            try:
                async with asyncio.timeout(_PING_EVERY):
                    await self._offline.wait()
            except TimeoutError:
                if not await self._ping():
                    log.warning("%s: the server does not answer", self.jid)
                    self._client.abort()

    async def _ping(self) -> bool:
        try:
            domain = self._client.boundjid.domain
            await self._client.plugin["xep_0199"].send_ping(JID(domain), timeout=_PING_PATIENCE)
        except IqTimeout:
            return False
        except IqError:
            pass  # it answers, and that is the question
        return True

    # --- receipts

    def _acknowledged(self, stanza: Any) -> None:
        self._take(stanza["id"])

    async def _take_by_ping(self, id: str) -> None:
        """Without XEP-0198: a server that answers a later ping has taken what came before it."""
        if await self._ping():
            self._take(id)
        else:
            self._lose_untaken()

    def _take(self, id: str) -> None:
        if id in self._untaken:
            _, taken = self._untaken[id]
            if not taken.done():
                taken.set_result(None)

    def _lose_untaken(self) -> None:
        for _, taken in self._untaken.values():
            if not taken.done():
                taken.set_exception(StateError("offline", "the connection went before the server had the message"))

    # --- stanzas that come in

    def _leave_rooms(self) -> None:
        for room in self._rooms.values():
            room.disconnected()

    def add_owner(self, jid: str) -> None:
        """One more account whose subscription is accepted and asked for."""
        owner = bare_jid(jid)
        if owner not in self.owners:
            self.owners.add(owner)
            if self.online:
                self._subscribe(owner)

    def _asked_for_subscription(self, presence: Any) -> None:
        asker = presence["from"].bare
        if asker in self.owners:
            self._client.send_presence(pto=asker, ptype="subscribed")
            self._subscribe(asker)

    def _subscribe(self, owner: str) -> None:
        entry = self._client.client_roster[owner]
        if not entry["to"] and not entry["pending_out"]:
            self._client.send_presence(pto=owner, ptype="subscribe")

    async def _catch_up(self, since: int) -> None:
        self.on_catch_up(True)
        try:
            if not await self._archive.catch_up(since - _CLOCKS):
                log.info("%s: the server keeps no archive", self.jid)
            self._behind = None
        except (IqError, IqTimeout) as error:
            log.warning("%s: catching up broke off (%s)", self.jid, error.condition)
        self.on_catch_up(False)

    def _received(self, stanza: Any) -> None:
        message = stanza.xml
        sender = stanza["from"]
        if self._archive.take(sender, message):
            return
        if sender.bare in self._rooms:
            self._from_room(self._rooms[sender.bare], sender.resource, stanza)
            return
        if stanza["type"] == "error":
            log.warning("%s: a message to %s came back (%s)", self.jid, sender.bare, stanza["error"]["condition"])
            return
        event = message.find(_EVENT + "event")
        if event is None:
            # Only the own account's server may say so (XEP-0359, "Security Considerations").
            ids = [e.get("id") for e in message.iterfind(_STANZA_ID) if e.get("by") == self.jid]
            self._take_message(sender.bare or self.jid, message, message, ids[0] if ids else None)
        elif not sender.resource:  # P-05
            self._notified(sender.bare or self.jid, event)

    def _from_archive(self, message: Element, wrapper: Element, archive_id: str) -> None:
        try:
            sender = JID(message.get("from", "")).bare
        except InvalidJID:
            self.on_unreadable("", "format")
            return
        # What a group chat said is not told by whom here.
        if sender != self.jid and message.get("type") not in ("error", "groupchat"):
            self._take_message(sender, message, wrapper, archive_id)

    def _room_presence(self, presence: Any) -> None:
        room = self._rooms.get(presence["from"].bare)
        if room is not None:
            room.on_presence(presence)

    def _from_room(self, room: Room, nick: str, stanza: Any) -> None:
        message = stanza.xml
        if stanza["type"] == "error":
            log.warning("%s: a message to %s came back (%s)", self.jid, room.jid, stanza["error"]["condition"])
            room.bounced(stanza["id"], stanza["error"]["condition"])
        elif not room.take(message, nick):
            return
        elif nick == room.nick:  # our own (M-10)
            with contextlib.suppress(MotemoError):
                encrypted = find_encrypted(message)
                if encrypted:
                    room.echoed(encrypted)
        else:
            # Without a real JID it can be nobody's.
            self._take_message(room.who(nick) or "", message, message, None, room.jid)

    def _take_message(
        self, sender: str, message: Element, delayed: Element, archive_id: str | None, room: str | None = None
    ) -> None:
        """Hand on an OMEMO message, once, whether it comes live or from the archive. `delayed` has the time stamp."""
        if archive_id:
            if archive_id in self._seen:
                return
            self._seen[archive_id] = None
            if len(self._seen) > _SEEN:
                self._seen.popitem(last=False)
        try:
            encrypted = find_encrypted(message)
            if encrypted is None:
                if room is None and _says_something(message):
                    self.on_unreadable(sender, "plain")  # S-14, S-16; or encrypted in another way
                return
            received = Received(
                sender,
                message.get("type", "normal"),
                encrypted,
                message.get("id", ""),
                self._stamp(delayed, room),
                archive_id,
                room,
            )
            if not sender:
                raise RemoteError("unknown", "sender in a room")
        except MotemoError as error:
            self.on_unreadable(sender or room or "", error.reason)
            return
        try:
            self.on_message(received)
        except Exception:
            # slixmpp would send the error to the message's sender.
            log.exception("%s: a message from %s was not handled", self.jid, sender)

    def _stamp(self, message: Element, room: str | None) -> int | None:
        for delay in message.iterfind(_DELAY):
            if delay.get("from") in (None, self.jid, self._client.boundjid.domain, room or self.jid):
                try:
                    when = datetime.fromisoformat(delay.get("stamp", ""))
                except ValueError:
                    raise RemoteError("format", "delay stamp") from None
                return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
        return None

    def _notified(self, jid: str, event: Element) -> None:
        for child in event:
            dialect = _DIALECTS.get(child.get("node", ""))
            if dialect is None:
                continue
            # A purged, deleted or retracted list is an empty one.
            items = child.findall(_EVENT + "item")
            try:
                devices = devices_from_xml(items[-1][0]) if items and len(items[-1]) else []
            except RemoteError as error:
                log.warning("%s: the device list of %s is none (%s)", self.jid, jid, error)
                return
            self.on_devices(jid, devices, dialect)
            announced = self._announced.get(dialect)
            if jid == self.jid and announced and all(d.id != announced.id for d in devices):
                self._spawn(self._announce_again(announced, dialect))

    async def _announce_again(self, device: Device, dialect: int) -> None:
        if dialect in self._announcing:
            return
        self._announcing.add(dialect)
        try:
            log.info("%s: device %d has gone from the list, announced again", self.jid, device.id)
            await self._list(device, dialect)
            await asyncio.sleep(_ANNOUNCE_PAUSE)
            await self._list(device, dialect)
        except MotemoError as error:
            log.warning("%s: device %d could not be announced: %s", self.jid, device.id, error)
        finally:
            self._announcing.discard(dialect)

    async def _list(self, device: Device, dialect: int) -> None:
        async with self._listing:
            if self._announced.get(dialect) == device:  # else it was retired, or has another label now
                await self.pep.publish_devices(device, dialect)


class _Client(ClientXMPP):
    """slixmpp's client, whose uncaught errors go to our log."""

    def exception(self, exception: Exception) -> None:
        log.error("error in a handler", exc_info=exception)


@functools.cache
def tls_context(ca: str | None) -> ssl.SSLContext:
    """Return the shared TLS context for a file of authorities (None: the system's). It always verifies.

    LocalError "refused" if the file cannot be used. One for all accounts: each costs 0.9 MB and 50 ms.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError):
        raise LocalError("refused", f"{ca} is not a file of certificates (PEM)") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _says_something(message: Element) -> bool:
    """Whether a message without OMEMO was for people to see; what clients tell each other beside that is not."""
    return message.get("type") in (None, "chat", "normal") and any(message.find(tag) is not None for tag in _CONTENT)


def _ignore(*_args: object) -> None:
    pass

"""A group chat (XEP-0045) as OMEMO needs it: members-only and non-anonymous, with its members known by their real JIDs.

A room that everybody may enter, or in which not everybody sees who is who, is refused, and left when it becomes one
(O-110, O-111). Members are those on the three lists, present or not (O-113), and what is told afterwards (O-114).
What the server has taken may still get lost on the way to a room: a message counts as sent once the room repeats it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any
from xml.etree.ElementTree import Element

from slixmpp import JID, ClientXMPP, InvalidJID
from slixmpp.exceptions import IqError, IqTimeout

from motemo.errors import MotemoError, RemoteError, StateError
from motemo.omemo.elements import Encrypted

__all__ = ["Room", "try_room"]

log = logging.getLogger(__name__)

_USER = "{http://jabber.org/protocol/muc#user}"
_X = _USER + "x"
_AFFILIATIONS = ("member", "admin", "owner")
_NICKS = 5  # names that are tried
_TIMEOUT = 15  # seconds for each answer of the room
_ECHO_TIMEOUT = 20
_FIRST_PAUSE = 1
_LONGEST_PAUSE = 300  # seconds between two attempts to enter; a room that refuses us is asked no more often
_SELF, _CREATED, _NEW_NICK = "110", "201", "303"
_NEW_CONFIGURATION = {"104", "172", "173", "174"}
_REMOVED = {
    "301": "has banned {jid}",
    "307": "has kicked {jid} out",
    "321": "has taken {jid} off its members",
    "322": "is for members now, and {jid} is none",
    "332": "closes, for its server stops",
    "333": "has lost {jid}",
}
_BRIEF = ("332", "333")  # no decision of anybody
_CONDITIONS = {
    "registration-required": ("refused", "{jid} is no member of the room {room}; let its owner make it one"),
    "forbidden": ("refused", "the room {room} has banned {jid}; let its owner lift that"),
    "not-authorized": ("refused", "the room {room} wants a password, which motemo has none for; let its owner drop it"),
    "item-not-found": ("not-found", "there is no room {room}; make it first, members-only and non-anonymous"),
    "not-allowed": ("not-found", "there is no room {room}; make it first, members-only and non-anonymous"),
    "gone": ("not-found", "there is no room {room} any more"),
    "service-unavailable": ("offline", "the room {room} is full, or its server is away"),
    "remote-server-not-found": ("offline", "the server of the room {room} cannot be reached"),
    "remote-server-timeout": ("offline", "the server of the room {room} cannot be reached"),
}


class Room:
    """One room, seen from one account; `motemo_host.xmpp.Account.room` makes it.

    `stay` enters it and enters again after each loss. `inside`: whether we are in it. `nick`: what we are called there.
    `members`: bare JIDs. `on_members()`: they have changed, or we have come in. `on_out(error)`: we are out. After
    RemoteError "refused" or "not-found" somebody has to do something; all else is repaired.
    """

    def __init__(
        self,
        client: ClientXMPP,
        jid: str,
        nick: str,
        say: Callable[[str, Encrypted, str | None], Awaitable[None]],
    ):
        """say: sends an OMEMO message to the room as `Account.send` does: to, encrypted, id."""
        self.jid = jid
        self.nick = ""
        self.inside = False
        self.members: set[str] = set()
        self.on_members: Callable[[], None] = lambda: None
        self.on_out: Callable[[MotemoError], None] = lambda error: None
        self._client = client
        self._wanted = nick
        self._say = say
        self._occupants: dict[str, str] = {}  # name in the room: bare JID
        self._changes = 0  # of affiliations
        self._connected = asyncio.Event()
        self._again = asyncio.Event()  # enter now, without the rest of a pause
        self._outcome: asyncio.Future[None] = _future()
        self._joining: asyncio.Future[set[str]] | None = None
        self._left: asyncio.Future[None] | None = None
        self._echoes: dict[tuple[int, bytes | None], tuple[str, asyncio.Future[None]]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- being there

    async def stay(self) -> None:
        """Be in the room until cancelled: enter, and again after each loss, with growing pauses."""
        pause = _FIRST_PAUSE
        try:
            while True:
                await self._connected.wait()
                self._again.clear()
                began = time.monotonic()
                try:
                    await self._enter()
                    await self._stay_in()
                except MotemoError as error:
                    self._out(error)
                    if error.reason in ("refused", "not-found"):
                        pause = _LONGEST_PAUSE
                    elif time.monotonic() - began > _LONGEST_PAUSE:
                        pause = _FIRST_PAUSE
                    if self._connected.is_set():
                        log.warning("%s; again in %d s", error.text, pause)
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(pause):
                                await self._again.wait()
                        pause = min(pause * 2, _LONGEST_PAUSE)
        except Exception:
            log.exception("the room %s is given up", self.jid)
            raise
        finally:
            self.leave()

    async def enter(self) -> None:
        """Return when `stay` is in the room; else raise what hinders it: a RemoteError, or StateError "offline"."""
        if not self._connected.is_set():
            raise StateError("offline", f"no connection for {self._client.boundjid.bare}")
        if not self.inside:
            self._again.set()
            if self._outcome.done():
                self._outcome = _future()
        await asyncio.shield(self._outcome)

    def leave(self) -> None:
        """Say goodbye to the room, if it knows us."""
        for task in self._tasks:
            task.cancel()
        if self.nick and self._connected.is_set():
            self._say_goodbye()
        self._out(StateError("offline", f"the room {self.jid} was left"))
        self.nick = ""

    def connected(self) -> None:
        """The account's session stands: the room can be entered."""
        self._connected.set()

    def disconnected(self) -> None:
        """The account's session has ended, and with it our presence in the room."""
        self._connected.clear()
        self._lose(StateError("offline", f"no connection for {self._client.boundjid.bare}"))

    def _out(self, error: MotemoError) -> None:
        self.inside = False
        for _, echo in self._echoes.values():
            if not echo.done():
                echo.set_exception(StateError("offline", error.text))
        if self._outcome.done():
            self._outcome = _future()
        self._outcome.set_exception(error)
        self.on_out(error)

    def _lose(self, error: MotemoError) -> None:
        """What ends an attempt to enter, or the stay."""
        self.inside = False
        for waiting in (self._joining, self._left):
            if waiting and not waiting.done():
                waiting.set_exception(error)

    async def _enter(self) -> None:
        self.members, self._occupants = set(), {}
        await self._check()
        self._left = _future()
        await self._join()
        await self._ask_for_members()
        if self._left.done():
            self._left.result()
        self.inside = True
        log.info("in the room %s as %s, with %d members", self.jid, self.nick, len(self.members))
        if self._outcome.done():
            self._outcome = _future()
        self._outcome.set_result(None)
        self.on_members()

    async def _stay_in(self) -> None:
        assert self._left
        await self._left

    async def _check(self) -> None:
        """RemoteError "refused" for an anonymous or open room (O-110, O-111), "not-found" where there is none."""
        disco = self._client.plugin["xep_0030"]
        try:
            answer = await disco.get_info(jid=JID(self.jid), cached=False, timeout=_TIMEOUT)
        except IqTimeout:
            raise RemoteError("timeout", f"the room {self.jid} does not answer") from None
        except IqError as error:
            raise self._refusal(error.condition) from None
        features = answer["disco_info"]["features"]
        if "muc_nonanonymous" not in features:
            raise RemoteError(
                "refused",
                f"the room {self.jid} is anonymous; let its owner set that anyone sees real addresses, or use another",
            )
        if "muc_membersonly" not in features:
            raise RemoteError(
                "refused",
                f"the room {self.jid} is open to all; let its owner make it members-only, or use another",
            )

    async def _join(self) -> None:
        for number in range(1, _NICKS + 1):
            self.nick = self._wanted if number == 1 else f"{self._wanted} {number}"
            self._joining = _future()
            try:
                stanza = self._client.plugin["xep_0045"].make_join_stanza(JID(self.jid), self.nick, maxstanzas=0)
                stanza.send()
                async with asyncio.timeout(_TIMEOUT):
                    statuses = await self._joining
            except InvalidJID:
                raise RemoteError("refused", f"{self._wanted!r} cannot be a name in the room {self.jid}") from None
            except TimeoutError:
                raise RemoteError("timeout", f"the room {self.jid} does not answer") from None
            except RemoteError as error:
                if error.reason == "duplicate":
                    log.info("the room %s has another %s", self.jid, self.nick)
                    continue
                raise
            finally:
                self._joining = None
            if _CREATED in statuses:
                self._say_goodbye()  # it was made for us, and goes with us
                raise self._refusal("item-not-found")
            return
        raise RemoteError("refused", f"the room {self.jid} has others of the name {self._wanted}; set another label")

    def _refusal(self, condition: str) -> RemoteError:
        reason, text = _CONDITIONS.get(condition, ("refused", "the room {room} does not let {jid} in ({condition})"))
        return RemoteError(reason, text.format(jid=self._client.boundjid.bare, room=self.jid, condition=condition))

    async def _ask_for_members(self) -> None:
        """The three lists in one (O-113), asked for again when something changes meanwhile."""
        changes, listed = None, set[str]()
        while changes != self._changes:
            changes = self._changes
            listed = set[str]()
            for affiliation in _AFFILIATIONS:
                try:
                    found = await self._client.plugin["xep_0045"].get_affiliation_list(
                        self.jid, affiliation, timeout=_TIMEOUT
                    )
                except IqError as error:
                    log.warning("the room %s does not tell who is %s (%s)", self.jid, affiliation, error.condition)
                    # Those who are there have said so themselves.
                    listed |= self.members
                except IqTimeout:
                    raise RemoteError("timeout", f"the room {self.jid} does not answer") from None
                else:
                    listed |= {_bare(str(jid)) for jid in found}
        self.members = listed - {""}

    # --- what the room says

    def on_presence(self, presence: Any) -> None:
        """Take a presence of the room or of somebody in it."""
        nick = presence["from"].resource
        ours = nick == self.nick
        if presence["type"] == "error":
            self._take_refusal(presence["error"]["condition"])
            return
        x = presence.xml.find(_X)
        if x is None:
            return
        statuses = {status.get("code", "") for status in x.iterfind(_USER + "status")}
        item = x.find(_USER + "item")
        ours = ours or _SELF in statuses
        if presence["type"] == "unavailable":
            self._occupants.pop(nick, None)
            self._note(item)
            if ours and _NEW_NICK in statuses and item is not None:
                self.nick = item.get("nick", self.nick)
            elif ours:
                self._put_out(statuses, x)
            return
        jid = _bare(_jid_of(item))
        if jid:
            self._occupants[nick] = jid
        self._note(item)
        if ours:
            self.nick = nick
            if self._joining and not self._joining.done():
                self._joining.set_result(statuses)

    def _take_refusal(self, condition: str) -> None:
        if self._joining and not self._joining.done():
            if condition == "conflict":
                self._joining.set_exception(RemoteError("duplicate", "the name is taken"))
            else:
                self._joining.set_exception(self._refusal(condition))

    def _put_out(self, statuses: set[str], x: Element) -> None:
        jid = self._client.boundjid.bare
        if x.find(_USER + "destroy") is not None:
            self._lose(RemoteError("not-found", f"the room {self.jid} was destroyed"))
            return
        for code, what in _REMOVED.items():
            if code in statuses:
                reason = "offline" if code in _BRIEF else "refused"
                self._lose(RemoteError(reason, f"the room {self.jid} " + what.format(jid=jid)))
                return
        self._lose(StateError("offline", f"{jid} is not in the room {self.jid} any more"))

    def take(self, message: Element, nick: str) -> bool:
        """Take what a message of the room says of the room itself; True when somebody (`nick`) said it."""
        x = message.find(_X)
        if not nick and x is not None:
            for item in x.iterfind(_USER + "item"):
                self._note(item)
            if x.find(_USER + "invite") is not None:
                self._again.set()
            if _NEW_CONFIGURATION & {status.get("code") for status in x.iterfind(_USER + "status")}:
                task = asyncio.ensure_future(self._check_again())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return bool(nick) and message.get("type") == "groupchat"

    async def _check_again(self) -> None:
        try:
            await self._check()
        except MotemoError as error:
            if error.reason in ("refused", "not-found") and self.inside:
                self._say_goodbye()
                self._lose(error)

    def who(self, nick: str) -> str | None:
        """The bare JID of who is called so, None if nobody is."""
        return self._occupants.get(nick)

    def _note(self, item: Element | None) -> None:
        """Follow an affiliation, in both directions (O-114)."""
        jid = _bare(_jid_of(item))
        if item is None or not jid:
            return
        is_member = item.get("affiliation") in _AFFILIATIONS
        if is_member == (jid in self.members):
            return
        (self.members.add if is_member else self.members.discard)(jid)
        self._changes += 1
        if self.inside:
            self.on_members()

    # --- what we say

    async def send(self, encrypted: Encrypted, id: str) -> None:
        """Send to the room; returns once it has repeated that to all.

        StateError "offline" when it may not have: send the same again when we are in again. RemoteError "refused" when
        it does not want it.
        """
        if not self.inside:
            raise StateError("offline", f"not in the room {self.jid}")
        key = (encrypted.sid, encrypted.payload)
        echo: asyncio.Future[None] = _future()
        self._echoes[key] = id, echo
        try:
            await self._say(self.jid, encrypted, id)
            async with asyncio.timeout(_ECHO_TIMEOUT):
                await echo
        except TimeoutError:
            self._lose(RemoteError("timeout", f"the room {self.jid} does not repeat what is said"))
            raise StateError("offline", f"the room {self.jid} may not have the message") from None
        finally:
            del self._echoes[key]

    def echoed(self, encrypted: Encrypted) -> None:
        """The room has repeated a message of ours."""
        _, echo = self._echoes.get((encrypted.sid, encrypted.payload), ("", None))
        if echo and not echo.done():
            echo.set_result(None)

    def bounced(self, id: str, condition: str) -> None:
        """A message to the room has come back."""
        for sent, echo in self._echoes.values():
            if sent == id and not echo.done():
                if condition == "not-acceptable":  # not in it, without being told
                    self._lose(StateError("offline", f"not in the room {self.jid} any more"))
                    echo.set_exception(StateError("offline", f"not in the room {self.jid}"))
                else:
                    echo.set_exception(RemoteError("refused", f"the room {self.jid} takes no message ({condition})"))

    def _say_goodbye(self) -> None:
        jid = JID(self.jid)
        jid.resource = self.nick
        self._client.send_presence(pto=jid, ptype="unavailable")


async def try_room(room: Room) -> None:
    """Enter a room and leave it again; RemoteError or StateError with what hinders it."""
    stays = asyncio.ensure_future(room.stay())
    try:
        await room.enter()
    finally:
        stays.cancel()
        await asyncio.gather(stays, return_exceptions=True)


def _future() -> asyncio.Future[Any]:
    """One that nobody has to ask how it went."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def _jid_of(item: Element | None) -> str:
    return "" if item is None else item.get("jid", "")


def _bare(text: str) -> str:
    try:
        return JID(text).bare
    except InvalidJID:
        return ""

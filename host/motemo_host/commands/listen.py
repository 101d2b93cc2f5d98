"""`motemo listen`: the collector. It decrypts, stores and prints readings, and works for `motemo send` meanwhile."""

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from motemo.omemo import trust
from motemo.omemo.engine import Engine

from .. import local
from ..arrivals import Arrivals
from ..collector import Collector, Heard, open_identity
from ..fingerprint import parse_pin
from ..home import Credentials, Home, locked, parse_address
from ..readings import Readings
from ..room import Room
from .common import Common, Login, connect_account
from .identity import identity_document

_MOST_REASON = 500  # characters of an opt-out's reason
_PROBLEMS = {
    "plain": "a message without OMEMO came, which is not shown",
    "unknown": "a message had nothing in it that is known here",
}


def listen(
    *,
    login: Login,
    from_: Annotated[list[str], Parameter(name="--from", negative="")] = [],  # noqa: B006 (cyclopts reads it)
    room: Annotated[list[str], Parameter(negative="")] = [],  # noqa: B006 (cyclopts reads it)
    db: Path | None = None,
    common: Common | None = None,
) -> None:
    """Receive readings as an owner's device, store and print them, until Ctrl-C.

    Parameters
    ----------
    from_
        Print what this board says only: JID, or JID=FINGERPRINT,… or its URI to trust it. Can be given again. Boards
        that were provisioned from this home are trusted already. What others say is stored all the same.
    room
        A group chat that boards report to, to listen in as well. The account has to be a member of it. Can be given
        again.
    db
        The SQLite file for the readings.
    """
    common = common or Common()
    home = common.open_home()
    credentials = login.credentials(home)
    only = [parse_pin(text).jid for text in from_]
    rooms = [parse_address(text) for text in room]
    folder = home.identity(credentials.jid)
    with locked(folder, f"the identity of {credentials.jid}"):
        engine = open_identity(folder, credentials.jid)
        pin_boards(home, engine.store, from_)
        asyncio.run(_run(engine, credentials, Readings(db or home.readings()), only, rooms, home, common))


def pin_boards(home: Home, store, named: list[str]) -> None:
    """Pins the boards of this home, and those that are named with fingerprints in place of their former pins."""
    for board in home.known_boards():
        pins, fingerprint = trust.pins(store, board.jid), bytes.fromhex(board.fingerprint)
        if fingerprint not in pins:
            trust.pin(store, board.jid, [*pins, fingerprint])
    for text in named:
        pin = parse_pin(text)
        if pin.fingerprints or pin.distrusted:
            left = [one for one in trust.pins(store, pin.jid) if one not in pin.distrusted]
            trust.pin(store, pin.jid, pin.fingerprints or left)
            trust.note_opt_out(store, pin.jid, False)  # O-105


async def _run(
    engine: Engine,
    credentials: Credentials,
    readings: Readings,
    only: list[str],
    rooms: list[str],
    home: Home,
    common: Common,
) -> None:
    account = connect_account(credentials, trust.owners(engine.store))
    entered = [account.room(jid, account.jid.partition("@")[0]) for jid in rooms]
    for one in entered:
        one.on_members = partial(_show_room, common, one)
    collector = Collector(engine, account, readings, Arrivals(home.arrivals(account.jid)), entered)
    collector.on_heard = lambda heard: show(common, heard) if not only or heard.jid in only else None

    async def announce() -> None:
        await collector.ready()
        home.save_credentials(credentials)
        own = collector.engine.keys
        common.show(
            {"event": "ready", "jid": own.jid, "device": own.device},
            f"listening as {own.jid}, device {own.device}; Ctrl-C ends it",
        )

    async def send(to: str, text: str, wait: float) -> str:
        pin_boards(home, engine.store, [to])
        return await collector.send(parse_pin(to).jid, text, wait)

    async def identify() -> dict[str, Any]:
        return identity_document(engine)

    server = await local.serve(home.identity(account.jid), {"send": send, "identity": identify})
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(collector.run())
            group.create_task(announce())
    finally:
        server.close()


def _line(text: str) -> str:
    return " ".join(text.split())


def _show_room(common: Common, room: Room) -> None:
    if room.inside:
        document = {"event": "room", "room": room.jid, "nick": room.nick, "members": sorted(room.members)}
        common.show(document, f"in the room {room.jid} as {room.nick}; it has {len(room.members)} members")


def show(common: Common, heard: Heard) -> None:
    """Prints what a message said."""
    place = f"{heard.jid} in {heard.room}" if heard.room else heard.jid
    start = f"{time.strftime('%H:%M:%S')}  {place}  "
    document: dict[str, Any] = {"jid": heard.jid, "device": heard.device, "trusted": heard.trusted}
    if heard.label:
        document["label"] = heard.label
        start = f"{start.rstrip()} ({heard.label})  "
    if heard.room:
        document["room"] = heard.room
    if heard.problem:
        what = _PROBLEMS.get(heard.problem, f"a message of device {heard.device} could not be read: {heard.problem}")
        common.show({"event": "problem", **document, "time": int(time.time()), "reason": heard.problem}, start + what)
        return
    if heard.opt_out is not None:
        reason = heard.opt_out[:_MOST_REASON]
        common.show(
            {"event": "opt-out", **document, "text": heard.text, "reason": reason},
            f"{start}WARNING: wants no OMEMO messages any more; nothing is sent to it{reason and ': ' + _line(reason)}"
            + ("" if heard.trusted else "  (NOT a pinned device: this changes nothing)"),
        )
        return
    line = start + heard.text.replace("\n", "\n" + " " * len(start))
    line += "" if heard.trusted else "  (NOT a pinned device)"
    if heard.readings:
        readings = [one._asdict() for one in heard.readings]
        common.show({"event": "reading", **document, "text": heard.text, "readings": readings}, line)
    else:
        common.show({"event": "notice" if heard.notice else "text", **document, "text": heard.text}, line)

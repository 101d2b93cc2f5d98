"""`motemo listen`: the collector. It decrypts, stores and prints readings, and works for `motemo send` meanwhile."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from motemo.omemo import trust
from motemo.omemo.engine import Engine

from .. import local
from ..arrivals import Arrivals
from ..collector import Collector, Heard, open_identity
from ..fingerprint import parse_pin
from ..home import Credentials, Home, locked
from ..readings import Readings
from .common import Common, Login, connect_account
from .identity import identity_document


def listen(
    *,
    login: Login,
    from_: Annotated[list[str], Parameter(name="--from", negative="")] = [],  # noqa: B006 (cyclopts reads it)
    db: Path | None = None,
    common: Common | None = None,
) -> None:
    """Receive readings as an owner's device, store and print them, until Ctrl-C.

    Parameters
    ----------
    from_
        Print what this board says only: JID, or JID=FINGERPRINT,… or its URI to trust it. Can be given again. Boards
        that were provisioned from this home are trusted already. What others say is stored all the same.
    db
        The SQLite file for the readings.
    """
    common = common or Common()
    home = common.open_home()
    credentials = login.credentials(home)
    only = [parse_pin(text).jid for text in from_]
    folder = home.identity(credentials.jid)
    with locked(folder, f"the identity of {credentials.jid}"):
        engine = open_identity(folder, credentials.jid)
        pin_boards(home, engine.store, from_)
        asyncio.run(_run(engine, credentials, Readings(db or home.readings()), only, home, common))


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


async def _run(
    engine: Engine, credentials: Credentials, readings: Readings, only: list[str], home: Home, common: Common
) -> None:
    account = connect_account(credentials, trust.owners(engine.store))
    collector = Collector(engine, account, readings, Arrivals(home.arrivals(account.jid)))
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


def show(common: Common, heard: Heard) -> None:
    """Prints what a message said."""
    start = f"{time.strftime('%H:%M:%S')}  {heard.jid}  "
    document = {"jid": heard.jid, "device": heard.device, "trusted": heard.trusted}
    if heard.problem:
        common.show(
            {"event": "problem", **document, "reason": heard.problem},
            f"{start}a message of device {heard.device} could not be read: {heard.problem}",
        )
        return
    line = start + heard.text.replace("\n", "\n" + " " * len(start))
    line += "" if heard.trusted else "  (NOT a pinned device)"
    if heard.readings:
        readings = [one._asdict() for one in heard.readings]
        common.show({"event": "reading", **document, "text": heard.text, "readings": readings}, line)
    else:
        common.show({"event": "text", **document, "text": heard.text}, line)

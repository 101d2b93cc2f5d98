"""`motemo listen`: the collector. It decrypts, stores and prints readings, and works for `motemo send` meanwhile."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from motemo.omemo import trust
from motemo.omemo.engine import Engine

from .. import local
from ..collector import Collector, Heard, open_identity
from ..fingerprint import parse_pin
from ..home import Credentials, Home, locked
from ..readings import Readings
from .common import Common, Login, connect_account


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
        Listen to this board only: JID, or JID=FINGERPRINT,… to trust it. Can be given again. Boards that were
        provisioned from this home are trusted already.
    db
        The SQLite file for the readings.
    """
    common = common or Common()
    home = common.open_home()
    credentials = login.credentials(home)
    folder = home.identity(credentials.jid)
    with locked(folder, f"the identity of {credentials.jid}"):
        engine = open_identity(folder, credentials.jid)
        only = pin_boards(home, engine.store, from_)
        asyncio.run(_run(engine, credentials, Readings(db or home.readings()), frozenset(only), folder, common))


def pin_boards(home: Home, store, named: list[str]) -> list[str]:
    """Pins the boards of this home and those named with a fingerprint; returns the named ones."""
    for board in home.known_boards():
        if not trust.pins(store, board.jid):
            trust.pin(store, board.jid, [bytes.fromhex(board.fingerprint)])
    only = []
    for text in named:
        jid, fingerprints = parse_pin(text)
        only.append(jid)
        if fingerprints:
            trust.pin(store, jid, fingerprints)
    return only


async def _run(
    engine: Engine,
    credentials: Credentials,
    readings: Readings,
    only: frozenset[str],
    folder: Path,
    common: Common,
) -> None:
    collector = Collector(engine, connect_account(credentials, trust.owners(engine.store)), readings, only)
    collector.on_heard = lambda heard: show(common, heard)

    async def announce() -> None:
        await collector.ready()
        own = collector.engine.keys
        common.show(
            {"event": "ready", "jid": own.jid, "device": own.device},
            f"listening as {own.jid}, device {own.device}; Ctrl-C ends it",
        )

    server = await local.serve(folder, collector.send)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(collector.run())
            group.create_task(announce())
    finally:
        server.close()


def show(common: Common, heard: Heard) -> None:
    """Prints what a message said."""
    mark = "" if heard.trusted else "  (NOT a pinned device)"
    document = {"jid": heard.jid, "device": heard.device, "trusted": heard.trusted}
    clock = time.strftime("%H:%M:%S")
    if heard.problem:
        common.show(
            {"event": "problem", **document, "reason": heard.problem},
            f"{clock}  {heard.jid}  a message of device {heard.device} could not be read: {heard.problem}",
        )
    elif heard.readings:
        readings = [one._asdict() for one in heard.readings]
        common.show(
            {"event": "reading", **document, "text": heard.text, "readings": readings},
            f"{clock}  {heard.jid}  {heard.text}{mark}",
        )
    else:
        common.show({"event": "text", **document, "text": heard.text}, f"{clock}  {heard.jid}  {heard.text}{mark}")

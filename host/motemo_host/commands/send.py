"""`motemo send`: an encrypted command from the collector's identity."""

import asyncio
from pathlib import Path

from motemo.errors import StateError

from .. import local
from ..collector import Collector, open_identity
from ..fingerprint import parse_pin
from ..home import Home, locked
from ..readings import Readings
from .common import Common, Login, connect_account
from .listen import pin_boards


def send(text: str, /, *, to: str, login: Login, wait: float = 0, common: Common | None = None) -> None:
    """Send an encrypted text to a board, for example "set relay on".

    Parameters
    ----------
    text
        What to say.
    to
        The board's address, or JID=FINGERPRINT to trust it.
    wait
        Seconds to wait for the answer, which is then printed.
    """
    common = common or Common()
    home = common.open_home()
    credentials = login.credentials(home)
    jid, _ = parse_pin(to)
    answer = asyncio.run(_send(home, credentials, to, jid, text, wait))
    common.show({"to": jid, "text": text, "answer": answer or None}, answer or f"{jid} has it")


async def _send(home: Home, credentials, to: str, jid: str, text: str, wait: float) -> str:
    folder = home.identity(credentials.jid)
    answer = await local.ask(folder, jid, text, wait)
    if answer is not None:
        return answer
    with locked(folder, f"the identity of {credentials.jid}"):
        return await _send_alone(folder, home, credentials, to, jid, text, wait)


async def _send_alone(folder: Path, home: Home, credentials, to: str, jid: str, text: str, wait: float) -> str:
    engine = open_identity(folder, credentials.jid)
    pin_boards(home, engine.store, [to])
    account = connect_account(credentials, [jid])
    collector = Collector(engine, account, Readings(home.readings()))
    running = asyncio.create_task(collector.run())
    sending = asyncio.create_task(collector.send(jid, text, wait))
    try:
        await asyncio.wait({running, sending}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
            raise StateError("offline", "the connection ended")
        return sending.result()
    finally:
        running.cancel()
        sending.cancel()
        await asyncio.gather(running, sending, return_exceptions=True)
        await account.close()
        engine.flush()

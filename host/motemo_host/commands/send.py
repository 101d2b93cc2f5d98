"""`motemo send`: an encrypted command from the collector's identity."""

import asyncio
from typing import Annotated

from cyclopts import Parameter, validators

from motemo.errors import LocalError, StateError

from .. import local
from ..arrivals import Arrivals
from ..collector import Collector, open_identity
from ..fingerprint import parse_pin
from ..home import Credentials, Home, locked
from ..readings import Readings
from .common import Common, Login, connect_account
from .listen import pin_boards

_MOST_BYTES = 1500  # so that any board accepts it


def send(
    text: str,
    /,
    *,
    to: str,
    login: Login,
    wait: Annotated[float, Parameter(validator=validators.Number(gte=0, lte=86400))] = 0,
    common: Common | None = None,
) -> None:
    """Send an encrypted text to a board, for example "set relay on".

    Parameters
    ----------
    text
        What to say.
    to
        The board's address, or JID=FINGERPRINT or its URI to trust it.
    wait
        Seconds to wait for the answer, which is then printed.
    """
    common = common or Common()
    jid = parse_pin(to).jid
    if not text.strip():
        raise LocalError("format", 'there is nothing to send; say, for example, "help"')
    if len(text.encode()) > _MOST_BYTES:
        raise LocalError("too-large", f"a text has at most {_MOST_BYTES} bytes")
    home = common.open_home()
    credentials = login.credentials(home)
    answer = asyncio.run(_send(home, credentials, to, text, wait))
    common.show({"to": jid, "text": text, "answer": answer or None}, answer or f"sent to {jid}")


async def _send(home: Home, credentials: Credentials, to: str, text: str, wait: float) -> str:
    folder = home.identity(credentials.jid)
    answer = await local.ask(folder, "send", to, text, wait)
    if answer is not None:
        return answer
    with locked(folder, f"the identity of {credentials.jid}"):
        return await _send_alone(home, credentials, to, text, wait)


async def _send_alone(home: Home, credentials: Credentials, to: str, text: str, wait: float) -> str:
    engine = open_identity(home.identity(credentials.jid), credentials.jid)
    pin_boards(home, engine.store, [to])
    jid = parse_pin(to).jid
    account = connect_account(credentials, [jid])
    arrivals = Arrivals(home.arrivals(account.jid))
    collector = Collector(engine, account, Readings(home.readings()), arrivals)
    await account.connect(since=arrivals.last_online())  # unlike `run`, it fails when the server is not there
    home.save_credentials(credentials)
    running = asyncio.create_task(collector.run())
    sending = asyncio.create_task(collector.send(jid, text, wait))
    try:
        await asyncio.wait({running, sending}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
            raise StateError("offline", "the connection ended; try again")
        return sending.result()
    finally:
        running.cancel()
        sending.cancel()
        await asyncio.gather(running, sending, return_exceptions=True)

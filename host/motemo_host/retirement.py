"""Taking boards out of service: farewell, id and bundle off the server, keys off the board, and the host forgets it.

Every step can be done again, and what is needed to go on stands in the home until the last one is done.
"""

import asyncio
from typing import Any

from motemo.errors import StateError

from .boardlink import BoardLink
from .gateway import Gateway
from .home import Credentials, Home, RetiringBoard, locked
from .queue import Queue
from .xmpp import Account

__all__ = ["over_link", "over_port", "without_board"]

_FAREWELL_SECONDS = 120
_LOOK_SECONDS = 0.3


async def over_link(
    link: BoardLink, account: Account, queue: Queue, home: Home, port: str, reason: str | None
) -> dict[str, Any]:
    """Retires the board behind a link that a running gateway has; what the home keeps of it stays for `forget`.

    reason: what its owners are told by an opt-out; None tells them nothing. Raises MotemoError; then do it again.
    """
    status = await link.request("status")
    jid, device = account.jid, status["device"]
    home.save_retiring(RetiringBoard(jid, device, port))
    words: dict[str, Any] = {} if reason is None else {"text": reason}
    try:
        async with asyncio.timeout(_FAREWELL_SECONDS):
            while (farewell := await link.request("retire", **words))["missing"] or queue.waiting(jid)[1]:
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise StateError(
            "timeout", f"{jid} or its server does not take part; see motemo status, then run this again"
        ) from None
    await account.retire(device)
    await link.request("wipe", timeout=300)
    return {"jid": jid, "device": device, "told": farewell["told"], "untold": farewell["untold"], "wiped": True}


async def over_port(
    home: Home, port: str, login: Credentials, account: Account, link: BoardLink, reason: str | None
) -> dict[str, Any]:
    """The same for a board without a gateway: one runs for as long as that takes."""
    with locked(home.gateway(login.jid), f"the queue of {login.jid}"):
        queue = Queue(home.queue(login.jid))
        gateway = asyncio.create_task(Gateway(link, account, queue).run())
        work = asyncio.create_task(over_link(link, account, queue, home, port, reason))
        try:
            await asyncio.wait({gateway, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                gateway.result()
            return work.result()
        finally:
            for task in (gateway, work):
                task.cancel()
            await asyncio.gather(gateway, work, return_exceptions=True)
            queue.close()


async def without_board(account: Account, device: int) -> None:
    """Takes a board that is lost, or that is wiped already, off the server."""
    await account.connect()
    try:
        await account.retire(device)
    finally:
        await account.close()

"""`motemo gateway`: proxies XMPP for the boards on these ports, without their keys."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from motemo.errors import StateError

from .. import local, pins
from ..boardlink import BoardLink
from ..gateway import Gateway
from ..home import Home, locked
from ..queue import Queue
from ..serialport import SerialPort
from ..xmpp import Account
from .common import Common, connect_account


def gateway(*, port: Annotated[list[str], Parameter(negative="")], common: Common | None = None) -> None:
    """Carry messages between boards and their accounts until Ctrl-C.

    Parameters
    ----------
    port
        The board's serial port. Can be given again: one for each board.
    """
    common = common or Common()
    asyncio.run(_run(common, port))


async def _run(common: Common, ports: list[str]) -> None:
    home = common.open_home()
    async with asyncio.TaskGroup() as group:
        for path in ports:
            group.create_task(_serve(common, home, path))


async def _serve(common: Common, home: Home, path: str) -> None:
    link = BoardLink(SerialPort(path), persistent=True)
    await link.connect()
    try:
        status = await link.request("status")
        if status["state"] != "ready":
            raise StateError("not-provisioned", f"the board at {path} is not provisioned; run motemo provision")
        jid = status["jid"]
        credentials = home.credentials(jid)
        if credentials is None:
            raise StateError("not-found", f"no login for {jid} is kept here; run motemo provision for {path} again")
        account = connect_account(credentials, status["owners"])
        folder = home.gateway(jid)
        with locked(folder, f"the queue of {jid}"):
            queue = Queue(home.queue(jid))
            server = await local.serve(folder, _work(link, account, path))
            common.show({"event": "board", "port": path, "jid": jid}, f"{path} is {jid}")
            try:
                await Gateway(link, account, queue).run()
            finally:
                server.close()
                queue.close()
    finally:
        await link.close()


def _work(link: BoardLink, account: Account, path: str) -> local.Work:
    """What this gateway does for `motemo trust`."""
    work = pins.work(link)

    async def port() -> str:
        return pins.port_name(path)

    async def add(jid: str, fingerprints: list[str]) -> int:
        count = await work["add-pins"](jid, fingerprints)
        account.add_owner(jid)
        return count

    return {**work, "port": port, "add-pins": add}

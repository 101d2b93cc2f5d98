"""`motemo gateway`: proxies XMPP for the boards on these ports, without their keys."""

import asyncio
from typing import Annotated

from cyclopts import Parameter

from motemo.errors import StateError

from ..boardlink import BoardLink
from ..gateway import Gateway
from ..home import Home
from ..queue import Queue
from ..serialport import SerialPort
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
        queue = Queue(home.queue(jid))
        common.show({"event": "board", "port": path, "jid": jid}, f"{path} is {jid}")
        try:
            await Gateway(link, account, queue).run()
        finally:
            queue.close()
    finally:
        await link.close()

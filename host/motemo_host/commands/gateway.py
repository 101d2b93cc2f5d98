"""`motemo gateway`: proxies XMPP for the boards on these ports, without their keys."""

import asyncio
from typing import Annotated, Any

from cyclopts import Parameter

from motemo.errors import StateError

from .. import labels, local, pins
from ..boardlink import BoardLink
from ..gateway import Gateway
from ..home import Home, locked
from ..queue import Queue
from ..retirement import over_link
from ..serialport import SerialPort
from ..xmpp import Account
from .common import Common, connect_account

_LAST_WORDS = 0.5  # seconds


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
        if status["state"] not in ("ready", "retiring"):
            raise StateError("not-provisioned", f"the board at {path} is not provisioned; run motemo provision")
        jid = status["jid"]
        credentials = home.credentials(jid)
        if credentials is None:
            raise StateError("not-found", f"no login for {jid} is kept here; run motemo provision for {path} again")
        account = connect_account(credentials, status["owners"])
        folder = home.gateway(jid)
        with locked(folder, f"the queue of {jid}"):
            queue = Queue(home.queue(jid))
            gateway = Gateway(link, account, queue)
            running = asyncio.ensure_future(gateway.run())
            retired = asyncio.Event()

            async def retire(reason: str | None) -> dict[str, Any]:
                if not account.online:
                    raise StateError("offline", f"{jid} has no connection to its server; try again when it has one")
                report = await over_link(link, account, queue, home, pins.port_name(path), reason)
                retired.set()
                asyncio.get_running_loop().call_later(_LAST_WORDS, running.cancel)  # the answer goes out first
                return report

            server = await local.serve(folder, {**_work(link, account, gateway, path), "retire": retire})
            common.show({"event": "board", "port": path, "jid": jid}, f"{path} is {jid}")
            try:
                await running
            except asyncio.CancelledError:
                if not retired.is_set():
                    raise
                common.show({"event": "retired", "port": path, "jid": jid}, f"{jid} is retired")
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                server.close()
                queue.close()
    finally:
        await link.close()


def _work(link: BoardLink, account: Account, gateway: Gateway, path: str) -> local.Work:
    """What this gateway does for `motemo trust`, `motemo room` and `motemo status`."""
    work = pins.work(link)

    async def port() -> str:
        return pins.port_name(path)

    async def add(jid: str, fingerprints: list[str]) -> int:
        count = await work["add-pins"](jid, fingerprints)
        account.add_owner(jid)
        return count

    async def room(jid: str | None) -> dict[str, Any]:
        if jid:
            await gateway.check_room(jid)
        return await work["room"](jid)

    async def list_pins() -> pins.Owners:
        return await labels.add_to(await work["list-pins"](), account)

    async def status() -> dict[str, Any]:
        return {**await work["status"](), "gateway": dict(gateway.counters)}

    return {**work, "port": port, "add-pins": add, "list-pins": list_pins, "status": status, "room": room}

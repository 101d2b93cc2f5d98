"""`motemo retire`: takes boards out of service."""

import asyncio
import sys
from typing import Annotated, Any

from cyclopts import Parameter

from motemo.errors import LocalError, StateError

from .. import local
from ..boardlink import BoardLink
from ..home import Credentials, Home, RetiringBoard, locked, parse_address
from ..pins import gateway_of, is_jid, port_name
from ..retirement import over_port, without_board
from ..serialport import SerialPort
from .common import Common, connect_account, for_each

_MOST_REASON = 200  # bytes
_RELEASE_SECONDS = 15


def retire(
    *boards: str,
    tell: str | None = None,
    lost: Annotated[bool, Parameter(negative="")] = False,
    yes: Annotated[bool, Parameter(negative="")] = False,
    common: Common | None = None,
) -> None:
    """Take boards out of service: off the server, their keys erased, forgotten here. Run it again if it is interrupted.

    Parameters
    ----------
    boards
        Serial ports, or JIDs of boards whose gateway runs here.
    tell
        Tell the owners first, by an encrypted opt-out with this reason.
    lost
        The board is out of reach, named by its JID: only take it off the server and forget it. Its keys stay on it.
    yes
        Do not ask.
    """
    common = common or Common()
    if lost and (tell is not None or not all(is_jid(board) for board in boards)):
        raise LocalError("format", "name a lost board by its JID; it cannot --tell anybody anything")
    if tell is not None and len(tell.encode()) > _MOST_REASON:
        raise LocalError("too-large", f"a reason has at most {_MOST_REASON} bytes")
    if not yes and boards:
        _confirm(boards, common)

    async def work(home: Home, board: str) -> tuple[dict[str, Any], str]:
        report = await (_retire_lost(home, board) if lost else _retire(home, board, tell))
        report["forgotten"] = await _forget(home, report["jid"])
        return report, _text(report)

    for_each(boards, common, work)


def _confirm(boards: tuple[str, ...], common: Common) -> None:
    if common.json or not sys.stdin.isatty():
        raise LocalError("format", "nobody can be asked here; to retire these boards, say --yes")
    print(
        f"Retire {', '.join(boards)}? Their keys are erased, and nothing brings them back. [y/N] ", end="", flush=True
    )
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise StateError("refused", "nothing was done")


async def _retire(home: Home, board: str, tell: str | None) -> dict[str, Any]:
    folder = await gateway_of(home, board)
    report = folder and await local.ask(folder, "retire", tell)
    if report:
        return report
    begun = home.retiring_boards()
    port = board
    if is_jid(board):
        places = [one.port for one in begun if one.jid == parse_address(board)]
        if not places:
            raise LocalError(
                "not-found",
                f"no gateway runs here for {board}; start it, or name the board's port, or, if the board is gone, say "
                "--lost",
            )
        port = places[0]
    link = BoardLink(SerialPort(port))
    await link.connect()
    try:
        jid = (await link.request("status")).get("jid")
        if jid is None:
            return await _finish_wipe(link, port, begun)
        if is_jid(board) and jid != parse_address(board):
            raise StateError("provisioned", f"the board at {port} is {jid}; for a board that is gone say --lost")
        login = _login(home, jid)
        return await over_port(home, port_name(port), login, connect_account(login, []), link, tell)
    finally:
        await link.close()


async def _finish_wipe(link: BoardLink, port: str, begun: list[RetiringBoard]) -> dict[str, Any]:
    """The board has no keys any more: that they are off its flash too is made sure of once more."""
    for one in begun:
        if one.port == port_name(port):
            await link.request("wipe", timeout=300)
            return _report(one.jid, one.device, True)
    raise StateError("not-provisioned", f"the board at {port} has no account, so there is nothing to retire")


async def _retire_lost(home: Home, board: str) -> dict[str, Any]:
    jid = parse_address(board)
    devices = [one.device for one in [*home.retiring_boards(), *home.known_boards()] if one.jid == jid]
    if not devices:
        raise LocalError("not-found", f"no board {jid} is known here; run this where it was provisioned")
    login = _login(home, jid)
    with locked(home.gateway(jid), f"the queue of {jid}"):
        await without_board(connect_account(login, []), devices[0])
    return _report(jid, devices[0], False)


def _login(home: Home, jid: str) -> Credentials:
    login = home.credentials(jid)
    if login is None:
        raise StateError("not-found", f"no login for {jid} is kept here; run this where it was provisioned")
    return login


def _report(jid: str, device: int, wiped: bool) -> dict[str, Any]:
    return {"jid": jid, "device": device, "told": [], "untold": [], "wiped": wiped}


async def _forget(home: Home, jid: str) -> list[str]:
    """The last step, once the gateway has let go of the board."""
    deadline = asyncio.get_running_loop().time() + _RELEASE_SECONDS
    while True:
        try:
            with locked(home.gateway(jid), f"the queue of {jid}"):
                forgotten = home.forget_board(jid)
                home.retired(jid)
                return forgotten
        except StateError:
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(0.1)


def _text(report: dict[str, Any]) -> str:
    lines = [f"  {report['jid']}, device {report['device']}: id and bundles are off the server"]
    if report["told"]:
        lines.append(f"  told: {', '.join(report['told'])}")
    if report["untold"]:
        lines.append(f"  could not be told: {', '.join(report['untold'])}")
    if report["wiped"]:
        lines.append("  its keys are erased from its flash")
    else:
        lines.append("  its keys are still on the lost board: unpin it in every client that trusts it")
    lines.append(f"  forgotten here: {', '.join(report['forgotten']) or 'nothing was left'}")
    return "\n".join(lines)

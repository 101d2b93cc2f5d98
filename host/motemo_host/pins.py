"""Pins, sessions, room and status of a board that runs: over its port, or by the gateway that has the port.

A gateway answers on a socket in the folder of the board (`local`). What goes over it is JSON, so fingerprints are hex.
"""

import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from motemo.errors import LocalError

from . import local, sessions
from .boardlink import BoardLink
from .home import Home, parse_address
from .serialport import SerialPort

__all__ = ["ask_board", "gateway_of", "is_jid", "port_name", "work"]

Owners = dict[str, list[dict[str, str]]]


async def _list(link: BoardLink) -> Owners:
    """The pins by owner: fingerprint, and how it was pinned."""
    owners: Owners = {}
    for jid in (await link.request("list-pins"))["owners"]:
        found = await link.request("list-pins", jid=jid)
        pairs = zip(found["fingerprints"], found["how"], strict=True)
        owners[jid] = [{"fingerprint": key.hex(), "how": how} for key, how in pairs]
    return owners


async def _add(link: BoardLink, jid: str, fingerprints: list[str]) -> int:
    """Pins keys; returns how many are new."""
    keys = [bytes.fromhex(one) for one in fingerprints]
    return (await link.request("add-pins", jid=jid, fingerprints=keys))["count"]


async def _remove(link: BoardLink, jid: str, fingerprints: list[str], force: bool) -> int:
    """Unpins keys, all of the account when none is named; returns how many."""
    keys = [bytes.fromhex(one) for one in fingerprints]
    return (await link.request("remove-pins", jid=jid, fingerprints=keys, force=force))["count"]


async def _status(link: BoardLink) -> dict[str, Any]:
    """What the board tells of itself, with the lines of its log."""
    fields = await link.request("status")
    if "fingerprint" in fields:
        fields["fingerprint"] = fields["fingerprint"].hex()
    return {**fields, "log": (await link.request("log"))["lines"]}


async def _room(link: BoardLink, room: str | None) -> dict[str, Any]:
    """Sets the board's room ("" for none), or only tells it (None): `room`, and the pinned `members` in it."""
    found = await link.request("room") if room is None else await link.request("room", room=room)
    return {name: found[name] for name in ("room", "members")}


_OPERATIONS: dict[str, Callable[..., Awaitable[Any]]] = {
    "list-pins": _list,
    "add-pins": _add,
    "remove-pins": _remove,
    "status": _status,
    **sessions.OPERATIONS,
    "room": _room,
}


def work(link: BoardLink) -> dict[str, Callable[..., Awaitable[Any]]]:
    """What a gateway does for others with the link that it holds, for `local.serve`."""
    return {name: partial(operation, link) for name, operation in _OPERATIONS.items()}


def port_name(path: str) -> str:
    """A port's path in the form in which two are compared."""
    return path if "://" in path else os.path.realpath(path)


def is_jid(board: str) -> bool:
    """Whether a board is named by its JID rather than by its port."""
    return "@" in board and "/" not in board


async def gateway_of(home: Home, board: str) -> Path | None:
    """The folder of the gateway of this home that has the board; None when none runs."""
    jid = parse_address(board) if is_jid(board) else ""
    for folder in home.gateways():
        port = await local.ask(folder, "port")
        if port is not None and (folder.name == jid or (not jid and port == port_name(board))):
            return folder
    return None


async def ask_board(home: Home, board: str, operation: str, *arguments: Any) -> Any:
    """Lets a board do one of `_OPERATIONS`. board: its serial port, or its JID.

    The gateway of this home that has the board does it, else it is done over the port. Raises MotemoError.
    """
    folder = await gateway_of(home, board)
    if folder is not None:
        answer = await local.ask(folder, operation, *arguments)
        if answer is not None:
            return answer
    if is_jid(board):
        raise LocalError("not-found", f"no gateway runs here for {board}; start it, or name the board's port instead")
    link = BoardLink(SerialPort(board))
    await link.connect()
    try:
        return await _OPERATIONS[operation](link, *arguments)
    finally:
        await link.close()

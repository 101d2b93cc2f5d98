"""`motemo room`: the group chat that a board reports to."""

from typing import Any

from ..home import Home, parse_address
from ..pins import ask_board
from .common import Common, for_each


def show(*boards: str, common: Common | None = None) -> None:
    """Show the rooms of boards, and who of their owners is in it.

    Parameters
    ----------
    boards
        Serial ports, or JIDs of boards whose gateway runs here.
    """

    async def work(home: Home, board: str) -> tuple[dict[str, Any], str]:
        return _told(await ask_board(home, board, "room", None))

    for_each(boards, common, work)


def set_(*boards: str, room: str, common: Common | None = None) -> None:
    """Let boards report to a room: one for members only, in which everybody sees who is who.

    Make the boards members of it first, and pin who is to read there: motemo trust. Owners who are not in the room get
    their readings as before.

    Parameters
    ----------
    boards
        Serial ports, or JIDs of boards whose gateway runs here. The gateway looks first whether the room can be used.
    room
        The room's address, like sensors@rooms.example.org.
    """
    jid = parse_address(room)

    async def work(home: Home, board: str) -> tuple[dict[str, Any], str]:
        return _told(await ask_board(home, board, "room", jid))

    for_each(boards, common, work)


def leave(*boards: str, common: Common | None = None) -> None:
    """Let boards report to each owner again.

    Parameters
    ----------
    boards
        Serial ports, or JIDs of boards whose gateway runs here.
    """

    async def work(home: Home, board: str) -> tuple[dict[str, Any], str]:
        return _told(await ask_board(home, board, "room", ""))

    for_each(boards, common, work)


def _told(found: dict[str, Any]) -> tuple[dict[str, Any], str]:
    if not found["room"]:
        return found, "  no room: each owner gets the readings"
    return found, "\n".join([f"  {found['room']}", *(f"    {jid}" for jid in found["members"])])

"""`motemo sessions`: the OMEMO sessions of boards that run."""

from typing import Any

from motemo.errors import LocalError

from ..home import Home, parse_address
from ..pins import ask_board
from .common import Common, for_each


def list_(*boards: str, jid: str | None = None, common: Common | None = None) -> None:
    """Show the sessions of boards, one for each device of theirs that they write to or hear from.

    Parameters
    ----------
    boards
        Serial ports, or JIDs of boards whose gateway runs here.
    jid
        Only those with this account.
    """
    account = jid and parse_address(jid)

    async def work(home: Home, board: str) -> tuple[dict[str, Any], str]:
        sessions = await ask_board(home, board, "list-sessions", account)
        return {"sessions": sessions}, "\n".join(_line(one) for one in sessions) or "  there are none"

    for_each(boards, common, work)


def reset(*boards: str, jid: str | None = None, device: int | None = None, common: Common | None = None) -> None:
    """Let boards make new sessions, with all devices that they have one with unless some are named.

    A session that works is none the worse for it: what is under way is still read.

    Parameters
    ----------
    boards
        Serial ports, or JIDs of boards whose gateway runs here.
    jid
        Only those with this account.
    device
        Only that with this device id of the account.
    """
    account = jid and parse_address(jid)
    if device is not None and account is None:
        raise LocalError("format", "whose device? Say --jid JID too")

    async def work(home: Home, board: str) -> tuple[dict[str, Any], str]:
        count = await ask_board(home, board, "reset-sessions", account, device)
        return {"reset": count}, f"  {count} sessions are being replaced"

    for_each(boards, common, work)


def _line(session: dict[str, Any]) -> str:
    notes = [
        "omemo:2" if session["dialect"] == 2 else "legacy",
        "pinned" if session["pinned"] else "not pinned",
        f"{session['received']} received",
    ]
    if session["unanswered"]:
        notes.append(f"{session['unanswered']} sent since")
    if not session["answered"]:
        notes.append("not answered yet")
    return f"  {session['jid']} device {session['device']}: {', '.join(notes)}"

"""Sessions of a board that runs, as operations for `pins.ask_board`."""

from collections.abc import Awaitable, Callable
from typing import Any

from .boardlink import BoardLink

__all__ = ["OPERATIONS"]


async def _list(link: BoardLink, jid: str | None) -> list[dict[str, Any]]:
    """The sessions with one account, or all."""
    return (await link.request("list-sessions", **_named(jid, None)))["sessions"]


async def _reset(link: BoardLink, jid: str | None, device: int | None) -> int:
    """Replaces the session with one device, all with one account, or all; returns how many there are."""
    return (await link.request("reset-sessions", **_named(jid, device)))["count"]


def _named(jid: str | None, device: int | None) -> dict[str, Any]:
    return {name: value for name, value in (("jid", jid), ("device", device)) if value is not None}


OPERATIONS: dict[str, Callable[..., Awaitable[Any]]] = {"list-sessions": _list, "reset-sessions": _reset}

"""`motemo trust`: who may read and command a board that runs."""

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from motemo.errors import LocalError, MotemoError, StateError

from ..fingerprint import Pin, grouped, parse_pin
from ..home import Home
from ..pins import ask_board
from .common import Common, for_each


def list_(*boards: str, common: Common | None = None) -> None:
    """Show the owners of boards, their pinned fingerprints, and how each was pinned.

    Parameters
    ----------
    boards
        Serial ports, or JIDs of boards whose gateway runs here.
    """

    async def work(home: Home, board: str) -> tuple[dict[str, Any], str]:
        owners = await ask_board(home, board, "list-pins")
        lines = []
        for jid, pins in owners.items():
            lines.append(f"  {jid}")
            lines += [
                f"    {grouped(bytes.fromhex(pin['fingerprint']))}  {pin['how']}  {pin.get('label', '')}".rstrip()
                for pin in pins
            ]
        return {"owners": owners}, "\n".join(lines) or "  nobody is pinned"

    for_each(boards, common, work)


def pin(*boards: str, pin: Annotated[list[str], Parameter(negative="")], common: Common | None = None) -> None:
    """Let more devices read and command boards.

    Parameters
    ----------
    boards
        Serial ports, or JIDs of boards whose gateway runs here.
    pin
        JID=FINGERPRINT,… or a URI that names them; keys that the URI distrusts are unpinned. Can be given again.
    """
    pins = [parse_pin(text) for text in pin]
    for one in pins:
        if not one.fingerprints:
            raise LocalError("format", f"which device of {one.jid}? Say --pin {one.jid}=FINGERPRINT")

    async def work(home: Home, board: str) -> tuple[dict[str, Any], str]:
        pinned = unpinned = 0
        for one in pins:
            pinned += await ask_board(home, board, "add-pins", one.jid, _hex(one.fingerprints))
            if one.distrusted:
                known = (await ask_board(home, board, "list-pins")).get(one.jid, [])
                gone = {entry["fingerprint"] for entry in known} & set(_hex(one.distrusted))
                if gone:
                    unpinned += await ask_board(home, board, "remove-pins", one.jid, sorted(gone), False)
        return {"pinned": pinned, "unpinned": unpinned}, f"  {pinned} keys pinned" + (
            f", {unpinned} unpinned" if unpinned else ""
        )

    for_each(boards, common, work)


def unpin(
    *boards: str,
    pin: Annotated[list[str], Parameter(negative="")],
    force: Annotated[bool, Parameter(negative="")] = False,
    common: Common | None = None,
) -> None:
    """Take devices the right to read and command boards; nothing is sent to them from then on.

    Parameters
    ----------
    boards
        Serial ports, or JIDs of boards whose gateway runs here.
    pin
        JID=FINGERPRINT,… or a URI that names them (in one with distrust=, those keys), or JID for all of the account.
        Can be given again.
    force
        Unpin the last owner too. The board then obeys nobody until a new one is pinned over its cable.
    """
    pins = [parse_pin(text) for text in pin]

    async def work(home: Home, board: str) -> tuple[dict[str, Any], str]:
        count = 0
        for one in pins:
            count += await _unpin(home, board, one, force)
        return {"unpinned": count}, f"  {count} keys unpinned"

    for_each(boards, common, work)


async def _unpin(home: Home, board: str, one: Pin, force: bool) -> int:
    keys = _hex(one.distrusted or one.fingerprints)
    try:
        return await ask_board(home, board, "remove-pins", one.jid, keys, force)
    except MotemoError as error:
        if error.reason == "refused" and not force and "nobody" in error.text:
            raise StateError("refused", f"{error.text}; pin another owner first, or say --force") from None
        if error.reason == "not-found" and "pinned" in error.text:
            raise StateError("not-found", f"{error.text}; see motemo trust list {board}") from None
        raise


def _hex(fingerprints: Sequence[bytes]) -> list[str]:
    return [one.hex() for one in fingerprints]

"""`motemo board run`: a virtual board."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from motemo.errors import LocalError

from ..virtual.board import VirtualBoard
from .common import Common


def run(
    name: str,
    /,
    *,
    heap: Annotated[int, Parameter(validator=validators.Number(gte=64, lte=65536))] = 128,
    rom: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65536))] = 256,
    dir: Path | None = None,
    common: Common | None = None,
) -> None:
    """Start a virtual board and print the path of its serial port; it runs until Ctrl-C.

    Parameters
    ----------
    name
        The board's name; the same name is the same board again.
    heap
        MicroPython's heap in KiB.
    rom
        A new board's ROM partition in KiB, from which the agent runs without being loaded into the heap; 0 for none.
    dir
        The folder of its flash; in motemo's home by default.
    """
    common = common or Common()
    if not name.replace("-", "").replace("_", "").isalnum():
        raise LocalError("format", f"a board's name has letters, digits, - and _, not {name!r}")
    with VirtualBoard(name, dir or common.open_home().virtual_boards() / name, heap_kib=heap, rom_kib=rom) as board:
        board.start()
        port = str(board.port)
        common.show(
            {"name": name, "port": port, "heap_kib": heap}, f"board {name} is at {port}; Ctrl-C switches it off"
        )
        board.wait()
        if board.failure:
            raise LocalError("unknown", f"board {name} does not start: {board.failure}")

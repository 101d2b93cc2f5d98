"""The serial ports that are there, which of them answer, and why the others do not.

A port is asked as gently as can be: a hello of the link, then a Ctrl-B and an Enter, which MicroPython's prompt
answers. A program that runs on the board is not interrupted.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serial.tools import list_ports

from motemo.errors import MotemoError

from .boardlink import BoardLink
from .serialport import PortError, SerialPort
from .virtual import is_supervised

__all__ = ["PortReport", "find", "probe", "survey"]

_ANSWER_SECONDS = 3.0


@dataclass
class PortReport:
    """One port. `state`: agent, micropython, program, silent, busy, permission, missing, unplugged or stuck.

    `text` says what that means and what to do. `board` has fields of the agent's status, empty without an agent.
    """

    path: str
    description: str
    state: str = ""
    text: str = ""
    board: dict[str, Any] = field(default_factory=dict)


def find(home: Path) -> list[PortReport]:
    """The ports of this machine and those of virtual boards that run under `home`/boards, not asked yet."""
    ports = [PortReport(port.device, port.description) for port in sorted(list_ports.comports())]
    for directory in sorted((home / "boards").glob("*")):
        if is_supervised(directory):
            ports.append(PortReport(str(directory / "port"), f"virtual board {directory.name}"))
    return ports


async def survey(home: Path) -> list[PortReport]:
    """All ports, asked at the same time."""
    ports = find(home)
    return list(await asyncio.gather(*[probe(port.path, port.description) for port in ports]))


async def probe(path: str, description: str = "") -> PortReport:
    """Asks who is at a port. Raises nothing: what is wrong is in the report."""
    report = PortReport(path, description)
    heard = bytearray()
    link = BoardLink(SerialPort(path), revive=False)
    link.on_noise = heard.extend
    try:
        await link.connect(_ANSWER_SECONDS)
    except PortError as error:
        report.state, report.text = error.kind, error.text
        return report
    except MotemoError as error:
        report.state, report.text = _without_agent(link, error, bool(heard))
        return report
    try:
        report.board = await link.request("status", _ANSWER_SECONDS)
    except MotemoError as error:
        report.state, report.text = "agent", f"the agent answers, but gives no status: {error}"
    else:
        report.state, report.text = "agent", _agent(report.board)
    finally:
        await link.close()
    return report


def _without_agent(link: BoardLink, error: MotemoError, talks: bool) -> tuple[str, str]:
    if error.reason == "protocol":
        return "agent", error.text
    if link.at_prompt:
        return "micropython", "MicroPython without the agent: put it on with `motemo provision`"
    if talks:
        return "program", "a program of its own runs there: `motemo provision` stops it and puts the agent on"
    return (
        "silent",
        "nothing answers: no board, no MicroPython on it, or a program that says nothing; reset it and try again",
    )


def _agent(status: dict[str, Any]) -> str:
    name = f"agent {status.get('version', '')}".strip()
    if status.get("jid"):
        label = f" ({status['label']})" if status.get("label") else ""
        return f"{name}, {status['jid']}{label}"
    return f"{name}, not provisioned yet: `motemo provision`"

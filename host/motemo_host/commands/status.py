"""`motemo status`: what a board is and how it is."""

import asyncio
from datetime import datetime
from typing import Any

from ..fingerprint import grouped
from ..pins import ask_board
from .common import Common


def status(*, port: str, common: Common | None = None) -> None:
    """Show what a board is: its account, fingerprint, sessions, counters, log, free heap and flash.

    Parameters
    ----------
    port
        The board's serial port; a gateway that has it is asked.
    """
    common = common or Common()
    fields = asyncio.run(ask_board(common.open_home(), port, "status"))
    common.show(fields, "\n".join(_lines(fields)))


def _lines(fields: dict[str, Any]):
    if fields["state"] == "retiring":
        yield "being taken out of service; run motemo retire again to finish that"
    elif fields["state"] != "ready":
        yield "not provisioned; run motemo provision"
    if "jid" in fields:
        yield f"account      {fields['jid']} (device {fields['device']})"
        yield f"fingerprint  {grouped(bytes.fromhex(fields['fingerprint']))}"
        yield f"owners       {', '.join(fields['owners']) or 'none'}"
    if fields.get("opted_out"):
        yield f"opted out    {', '.join(fields['opted_out'])}: they want plain text and get nothing"
    if fields["label"]:
        yield f"label        {fields['label']}"
    yield f"firmware     {fields['version']}, up {fields['uptime']} s, a reading every {fields['every']} s"
    yield f"sensors      {', '.join(fields['sensors']) or 'none'}; commands: {', '.join(fields['commands']) or 'none'}"
    waiting = f"waiting {fields['outbox']} readings, dropped {fields['dropped']}"
    yield f"sessions     {fields['sessions']}, stale {fields.get('stale', 0)}; {waiting}"
    if fields.get("own_devices"):
        yield f"warning      {fields['own_devices']} other devices on the board's account, where only it should be"
    yield f"heap         {fields['heap_free']} bytes free, lowest {fields['heap_least']}"
    yield f"flash        {fields['flash_used']} bytes of journal"
    yield f"faults       {_counts(fields['counters'])}"
    if "gateway" in fields:
        yield f"gateway      {_counts(fields['gateway'])}"
    for line in fields["log"]:
        yield f"log          {_with_time(line)}"


def _counts(counters: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counters.items())) or "none"


def _with_time(line: str) -> str:
    """A line of the board's log, its Unix time as that of the clock here."""
    moment, colon, text = line.partition(": ")
    if colon and moment.isdigit():
        return f"{datetime.fromtimestamp(int(moment)):%Y-%m-%d %H:%M:%S}  {text}"
    return line

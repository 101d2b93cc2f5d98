"""`motemo status`: what a board is and how it is."""

import asyncio
from typing import Any

from ..boardlink import BoardLink
from ..fingerprint import grouped
from ..serialport import SerialPort
from .common import Common


def status(*, port: str, common: Common | None = None) -> None:
    """Show what a board is: its account, fingerprint, sessions, counters, free heap and flash.

    Parameters
    ----------
    port
        The board's serial port.
    """
    common = common or Common()
    fields = asyncio.run(_ask(port))
    common.show(fields, "\n".join(_lines(fields)))


async def _ask(path: str) -> dict[str, Any]:
    link = BoardLink(SerialPort(path))
    await link.connect()
    try:
        return await link.request("status")
    finally:
        await link.close()


def _lines(fields: dict[str, Any]):
    if fields["state"] != "ready":
        yield "not provisioned; run motemo provision"
    if "jid" in fields:
        yield f"account      {fields['jid']} (device {fields['device']})"
        yield f"fingerprint  {grouped(fields['fingerprint'])}"
        yield f"owners       {', '.join(fields['owners']) or 'none'}"
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
    faults = ", ".join(f"{name} {count}" for name, count in sorted(fields["counters"].items()))
    yield f"faults       {faults or 'none'}"

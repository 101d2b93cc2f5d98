"""`motemo provision`: makes keys on a board and writes its account, owners and policy."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators

from motemo.errors import LocalError

from ..fingerprint import grouped, parse_pin, qr_text, trust_uri, uri
from ..home import Credentials, Home, parse_address, parse_server, read_password
from ..provision import Plan, Result, as_document
from ..provision import provision as carry_out
from .common import Common, Tls, ask_password, connect_account


def provision(
    *,
    port: str,
    jid: str,
    server: str,
    owner: Annotated[list[str], Parameter(negative="")],
    password_file: Path | None = None,
    tls: Tls = "starttls",
    ca: Path | None = None,
    label: str = "",
    mode: Literal["linked", "direct"] = "linked",
    wifi_file: Path | None = None,
    every: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=86400))] = 60,
    room: str | None = None,
    replace: Annotated[bool, Parameter(negative="")] = False,
    common: Common | None = None,
) -> None:
    """Give a board its account and owners; it makes its keys itself. Run it again after any interruption.

    Parameters
    ----------
    port
        The board's serial port. A bare board gets the agent first.
    jid
        The board's own XMPP account.
    server
        HOST:PORT of the account's server.
    owner
        An account whose devices may read and command the board: JID=FINGERPRINT,…, or a URI that
        names them, or JID, which pins the devices that it lists now. Can be given again.
    password_file
        A file with the account's password; without it you are asked.
    tls
        TLS from the first byte (direct) or after STARTTLS.
    ca
        A file with the certificates of the authorities to trust, for a server of your own.
    label
        A name for the board that people see.
    mode
        linked: the board reaches its server through motemo gateway. (direct, over its own Wi-Fi, is not there yet.)
    wifi_file
        The networks of a board in direct mode.
    every
        Seconds between readings.
    room
        A group chat that the board reports to, for members only, in which everybody sees who is who, and of which the
        board's account is a member. Owners who are not in it get their readings as without one.
    replace
        Erase the keys that the board has for another account.
    """
    common = common or Common()
    home = common.open_home()
    if mode != "linked" or wifi_file:
        raise LocalError("refused", "boards cannot reach their server by themselves yet; use --mode linked")
    parse_server(server)
    if len(label) > 52:
        raise LocalError("too-large", "a label has at most 52 characters")
    own = parse_address(jid)
    owners: dict[str, list[bytes]] = {}
    for text in owner:
        pin = parse_pin(text)
        if pin.distrusted and not pin.fingerprints:
            raise LocalError("format", f"{text!r} names no key to trust")
        owners.setdefault(pin.jid, []).extend(pin.fingerprints)
    password = read_password(password_file) if password_file else ask_password(own)
    credentials = Credentials(own, password, server, tls, str(ca.absolute()) if ca else None)
    plan = Plan(port, credentials, owners, label, every, replace, parse_address(room) if room else "")
    result = asyncio.run(_run(plan, home))
    address = uri(own, {result.device: result.fingerprint})
    common.show(as_document(plan, result, address, trust_uri(own, [result.fingerprint])), _text(plan, result, address))


async def _run(plan: Plan, home: Home) -> Result:
    account = connect_account(plan.credentials, list(plan.owners))
    return await carry_out(plan, home, account, _progress)


def _progress(step: str, text: str) -> None:
    print(f"  {step:8}  {text}", file=sys.stderr, flush=True)


def _text(plan: Plan, result: Result, address: str) -> str:
    lines = [
        f"{plan.credentials.jid} is ready: device {result.device}",
        "Compare this fingerprint with the one in your client, or scan the code:",
        f"  {grouped(result.fingerprint)}",
        f"  {address}",
        qr_text(address),
    ]
    for jid, pins in result.owners.items():
        seen = " (listed on the server now, not compared by you)" if jid in result.first_use else ""
        lines.append(f"owner {jid}{seen}:")
        lines += [f"  {grouped(pin)}" for pin in pins]
    if plan.room:
        lines.append(f"room {plan.room}")
    lines.append(f"Next: motemo gateway --port {plan.port}")
    return "\n".join(lines)

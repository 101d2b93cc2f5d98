"""Provisioning: a board gets its account, makes its keys, learns its owners, and is announced on the server.

Every step can be done again: the board and the server keep what was done, so a second run goes on where the first one
stopped. The host never sees a private key; what it shows is what the board told over the cable.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from motemo.errors import MotemoError, RemoteError, StateError
from motemo.omemo.elements import DIALECTS
from motemo.omemo.exchange import fingerprint
from motemo.omemo.vetting import check_signature

from .boardlink import BoardLink
from .gateway import run_beside
from .home import Credentials, Home, KnownBoard
from .install import install
from .pep import listed_devices
from .queue import Queue
from .room import try_room
from .serialport import SerialPort
from .xmpp import Account, Received

__all__ = ["Plan", "Result", "provision"]

_PUBLISH_SECONDS = 120
_KEYS_AT_ONCE = 4

Progress = Callable[[str, str], None]  # step, what happens


@dataclass(frozen=True)
class Plan:
    """What a board is to become.

    owners: bare JID to fingerprints; none means those devices that are listed now. room: bare JID of the group chat
    that it reports to, or "".
    """

    port: str
    credentials: Credentials
    owners: dict[str, list[bytes]]
    label: str
    every: int
    replace: bool
    room: str = ""


@dataclass(frozen=True)
class Result:
    """What the board is now. first_use: owners whose listed devices were pinned unseen."""

    device: int
    fingerprint: bytes
    owners: dict[str, list[bytes]]
    first_use: list[str]


async def provision(plan: Plan, home: Home, account: Account, progress: Progress) -> Result:
    """Carries the plan out. Raises MotemoError with a sentence that says what to do."""
    early: list[Received] = []  # what the account gets before the board can take it
    account.on_message = early.append
    progress("server", f"logging in as {plan.credentials.jid}")
    await account.connect()
    try:
        await account.pep.check()
        if plan.room:
            progress("room", f"looking whether {plan.room} can be used")
            room = account.room(plan.room, plan.label or plan.credentials.jid.partition("@")[0])
            await try_room(room)
            account.forget_room(room)
        owners = {jid: pins or await _listed(account, jid) for jid, pins in plan.owners.items()}
        link = await _reach(plan.port, progress)
        try:
            result = await _set_up(link, plan, owners, progress)
            home.save_credentials(plan.credentials)
            await _announce(link, account, home, result.device, early, progress)
        except StateError as error:
            if error.reason not in ("offline", "timeout"):
                raise
            what = error.text or "the board went away"
            raise StateError(error.reason, f"{what}; then run this again: it goes on where it stopped") from None
        finally:
            await link.close()
    finally:
        await account.close()
    jid, fingerprint = plan.credentials.jid, result.fingerprint.hex()
    home.save_board(KnownBoard(jid, result.device, fingerprint, plan.label, sorted(owners)))
    return result


async def _reach(path: str, progress: Progress) -> BoardLink:
    """The link to the agent, which is put onto a bare board first."""
    progress("board", f"looking for the agent at {path}")
    link = BoardLink(SerialPort(path))
    try:
        await link.connect(timeout=15)  # a prompt is noticed at once; an agent may be busy
    except StateError:
        if not link.at_prompt:
            link = await _interrupt(path)
    if link.at_prompt:
        await asyncio.to_thread(
            install, path, lambda done, total, name: progress("install", f"{name} ({100 * done // max(total, 1)} %)")
        )
        link = BoardLink(SerialPort(path))
        await link.connect(timeout=20)
    return link


async def _interrupt(path: str) -> BoardLink:
    """The link to a silent board after a Ctrl-C: an installation that was cut off waits for the rest of a program.

    A running agent leaves the Ctrl-C alone. Without an agent the link has ended, with `at_prompt` set; else StateError.
    """
    port = SerialPort(path)
    await port.open()
    await port.write(b"\x03")
    await port.close()
    link = BoardLink(SerialPort(path))
    try:
        await link.connect(timeout=10)
    except StateError:
        if not link.at_prompt:
            raise
    return link


async def _set_up(link: BoardLink, plan: Plan, owners: dict[str, list[bytes]], progress: Progress) -> Result:
    jid = plan.credentials.jid
    status = await link.request("status")
    if status.get("jid", jid) != jid:
        if not plan.replace:
            raise StateError(
                "provisioned", f"this board is {status['jid']}; to erase its keys and start anew, say --replace"
            )
        progress("keys", f"erasing the keys of {status['jid']}")
        await link.request("wipe")
        status = {}
    progress("keys", "the board makes its identity")
    more: dict[str, Any] = {"room": plan.room} if plan.room else {}
    own = await link.request("provision", jid=jid, label=plan.label, interval=plan.every, mode="linked", **more)
    while missing := (await link.request("keys", count=_KEYS_AT_ONCE))["missing"]:
        progress("keys", f"{missing} prekeys to go")
    for former in status.get("owners", []):
        if former not in owners:
            await link.request("pin", jid=former, fingerprints=[])
    for owner, fingerprints in owners.items():
        progress("owners", f"pinning {len(fingerprints)} devices of {owner}")
        how = "provisioning" if plan.owners[owner] else "first use"
        await link.request("pin", jid=owner, fingerprints=fingerprints, how=how)
    await link.request("finish")
    first_use = [owner for owner, fingerprints in plan.owners.items() if not fingerprints]
    return Result(own["device"], own["fingerprint"], owners, first_use)


async def _announce(
    link: BoardLink, account: Account, home: Home, device: int, early: list[Received], progress: Progress
) -> None:
    """Proxies for the board until its bundle and its id are on the server."""
    progress("publish", "the board publishes its keys")
    queue = Queue(home.queue(account.jid))
    try:
        async with asyncio.timeout(_PUBLISH_SECONDS):
            await run_beside(link, account, queue, _published(link, account, device, early))
    except TimeoutError:
        raise RemoteError(
            "timeout", "the board did not get its keys onto the server; run this again, or see motemo status"
        ) from None
    finally:
        queue.close()


async def _published(link: BoardLink, account: Account, device: int, early: list[Received]) -> None:
    while True:
        if link.failure:
            raise link.failure
        if account.on_message != early.append:  # the gateway has taken over
            while early:
                account.on_message(early.pop(0))
        try:
            listed = [await account.pep.fetch_devices(account.jid, dialect) for dialect in DIALECTS]
            if all(device in (entry.id for entry in devices) for devices in listed):
                await account.pep.fetch_bundle(account.jid, device)  # the legacy one went before the lists
                return
        except MotemoError as error:
            if error.reason not in ("not-found", "offline"):
                raise
        await asyncio.sleep(0.3)


async def _listed(account: Account, jid: str) -> list[bytes]:
    """The fingerprints of the devices that an account lists now, in either dialect (first use, design section 5)."""
    fingerprints = []
    for dialect in DIALECTS:
        for device in await listed_devices(account.pep, jid, dialect):
            try:
                bundle = await account.pep.fetch_bundle(jid, device.id, dialect)
                check_signature(bundle)
                pin = fingerprint(bundle.identity_key, dialect)
            except RemoteError as error:
                if error.reason in ("offline", "timeout"):
                    raise
                continue  # listed but unusable (P-09)
            if pin not in fingerprints:  # most devices are on both lists
                fingerprints.append(pin)
    if not fingerprints:
        raise RemoteError(
            "no-devices",
            f"{jid} has no OMEMO device yet: start its client or motemo listen first, or give its fingerprint, "
            f"--owner {jid}=FINGERPRINT",
        )
    return fingerprints


def as_document(plan: Plan, result: Result, uri: str, trust_uri: str) -> dict[str, Any]:
    """The result for --json."""
    return {
        "jid": plan.credentials.jid,
        "device": result.device,
        "fingerprint": result.fingerprint.hex(),
        "uri": uri,
        "trust_uri": trust_uri,
        "label": plan.label,
        "room": plan.room,
        "owners": {jid: [one.hex() for one in pins] for jid, pins in result.owners.items()},
        "first_use": result.first_use,
    }

"""What the commands have in common: the options of all, output, and how an account is named."""

import asyncio
import getpass
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from motemo.errors import LocalError, MotemoError, StateError

from ..colours import coloured
from ..home import Credentials, Home, parse_address, parse_server, read_password
from ..xmpp import Account

__all__ = ["Common", "Login", "Tls", "ask_password", "connect_account", "for_each", "printable"]

Tls = Literal["direct", "starttls"]
Work = Callable[[Home, str], Coroutine[Any, Any, tuple[dict[str, Any], str]]]  # home, board: the document, the text


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options of every command.

    Parameters
    ----------
    json
        Print JSON on stdout and nothing else there.
    home
        Where motemo keeps its state; the platform's place by default.
    debug
        Log on stderr what happens. No content and no secret is ever logged.
    """

    json: Annotated[bool, Parameter(negative="")] = False
    home: Path | None = None
    debug: Annotated[bool, Parameter(negative="")] = False

    def __post_init__(self):
        if self.debug:
            logging.getLogger().setLevel(logging.DEBUG)

    def open_home(self) -> Home:
        """The folder of the tool's state."""
        return Home(self.home)

    def show(self, document: Any, text: str) -> None:
        """Prints the document for programs (bytes as hex), or the text for people, fingerprints in colours."""
        line = json.dumps(document, ensure_ascii=False, default=bytes.hex) if self.json else coloured(printable(text))
        try:
            print(line, flush=True)
        except BrokenPipeError:
            # Who read our output has gone: end as with Ctrl-C, and let nothing be written any more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            signal.raise_signal(signal.SIGINT)


@Parameter(name="*")
@dataclass(frozen=True)
class Login:
    """The account of a collector.

    Parameters
    ----------
    jid
        The account's address, like alice@example.org.
    password_file
        A file with the account's password; only needed the first time.
    server
        HOST:PORT of its server; only needed the first time.
    tls
        TLS from the first byte (direct) or after STARTTLS.
    ca
        A file with the certificates of the authorities to trust, for a server of your own.
    """

    jid: str
    password_file: Path | None = None
    server: str | None = None
    tls: Tls | None = None
    ca: Path | None = None

    def credentials(self, home: Home) -> Credentials:
        """How to log in: as told now, the rest as kept from a former time. The caller keeps them once they work."""
        jid = parse_address(self.jid)
        if self.server is not None:
            parse_server(self.server)
        password = read_password(self.password_file) if self.password_file else ""
        known = home.credentials(jid)
        server = self.server or (known and known.server)
        if server is None:
            raise LocalError("not-found", f"no login for {jid} is kept here; give --server and --password-file")
        return Credentials(
            jid,
            password or (known.password if known else ask_password(jid)),
            server,
            self.tls or (known.tls if known else "starttls"),
            str(self.ca.absolute()) if self.ca else known and known.ca,
        )


def ask_password(jid: str) -> str:
    """The password, typed; LocalError "not-found" without a terminal."""
    if not sys.stdin.isatty():
        raise LocalError("not-found", f"the password of {jid} is missing; give --password-file FILE")
    try:
        return getpass.getpass(f"Password of {jid}: ", sys.stderr)
    except EOFError:
        raise LocalError("not-found", f"no password for {jid} was typed; run this again") from None


def connect_account(credentials: Credentials, owners: list[str]) -> Account:
    """The account of these credentials, not yet connected. owners: who may subscribe to it."""
    host, port = credentials.address
    return Account(
        credentials.jid,
        credentials.password,
        host=host,
        port=port,
        tls=credentials.tls,
        ca=credentials.ca,
        owners=owners,
    )


def for_each(boards: tuple[str, ...], common: Common | None, work: Work) -> None:
    """Works on one board after the other, the others too when one fails; each has its document and its lines."""
    common = common or Common()
    if not boards:
        raise LocalError("format", "which board? Name its serial port, or its JID while its gateway runs here")
    home = common.open_home()
    failed: list[MotemoError] = []
    for board in boards:
        try:
            document, text = asyncio.run(work(home, board))
        except MotemoError as error:
            if len(boards) == 1:
                raise
            failed.append(error)
            common.show(
                {"board": board, "error": {"reason": error.reason, "text": error.text}}, f"{board}\n  {error.text}"
            )
        else:
            common.show({"board": board, **document}, f"{board}\n{text}")
    if failed:
        raise StateError(failed[0].reason, f"{len(failed)} of {len(boards)} boards failed; see there")


def printable(text: str) -> str:
    """The text without characters that would control a terminal; lines stay."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)

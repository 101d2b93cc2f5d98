"""What the commands have in common: the options --json and --home, output, and how an account is named."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from ..home import Credentials, Home, parse_server, read_password
from ..stanzas import bare_jid
from ..xmpp import Account

__all__ = ["Common", "Login", "Tls", "connect_account"]

Tls = Literal["direct", "starttls"]


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
    """

    json: Annotated[bool, Parameter(negative="")] = False
    home: Path | None = None

    def open_home(self) -> Home:
        """The folder of the tool's state."""
        return Home(self.home)

    def show(self, document: Any, text: str) -> None:
        """Prints the document for programs, or the text for people."""
        print(json.dumps(document, ensure_ascii=False) if self.json else text, flush=True)


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
    tls: Tls = "starttls"
    ca: Path | None = None

    def credentials(self, home: Home) -> Credentials:
        """How to log in: as told now, which is then kept, or as kept before."""
        jid = bare_jid(self.jid)
        if self.password_file is None and self.server is None:
            return home.credentials(jid)
        known = None if self.password_file and self.server else home.credentials(jid)
        password = read_password(self.password_file) if self.password_file else known.password
        server = self.server or known.server
        parse_server(server)
        credentials = Credentials(jid, password, server, self.tls, str(self.ca.absolute()) if self.ca else None)
        home.save_credentials(credentials)
        return credentials


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

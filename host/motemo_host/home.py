"""Where the tool keeps its state: accounts, known boards, identities, queues and virtual boards.

Default: the platform's place for application data; `--home DIR` names another. Folders are 0700, files with secrets
0600. No board's key is ever here.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from motemo.errors import LocalError, MotemoError, StateError

from .stanzas import bare_jid

__all__ = [
    "Credentials",
    "Home",
    "KnownBoard",
    "RetiringBoard",
    "locked",
    "parse_address",
    "parse_server",
    "read_password",
]


_MOST_NAME = 240  # bytes of an account's address, which names files here


@dataclass(frozen=True)
class Credentials:
    """How an account logs in. server: HOST:PORT. tls: "direct" or "starttls". ca: a file of authorities, or None."""

    jid: str
    password: str = field(repr=False)
    server: str
    tls: str
    ca: str | None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the server."""
        return parse_server(self.server)


@dataclass(frozen=True)
class KnownBoard:
    """A board that was provisioned here. fingerprint: 64 hex digits. owners: bare JIDs."""

    jid: str
    device: int
    fingerprint: str
    label: str
    owners: list[str]


@dataclass(frozen=True)
class RetiringBoard:
    """A board that is being taken out of service. port: where it was."""

    jid: str
    device: int
    port: str


class Home:
    """The folder of the tool's state; it is made when it is missing."""

    def __init__(self, directory: Path | None = None):
        self.path = (directory or default_home()).expanduser().absolute()
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)

    # Accounts

    def save_credentials(self, credentials: Credentials) -> None:
        """Keeps how a board's account logs in, for the gateway."""
        _write_json(self._folder("accounts") / _file(credentials.jid, ".json"), asdict(credentials))

    def credentials(self, jid: str) -> Credentials | None:
        """How an account logs in, None when that is not kept here."""
        path = self._folder("accounts") / _file(jid, ".json")
        return Credentials(**_read_json(path)) if path.exists() else None

    # Boards

    def save_board(self, board: KnownBoard) -> None:
        """Keeps what names a board, so that a collector of this home trusts it."""
        _write_json(self._folder("known") / _file(board.jid, ".json"), asdict(board))

    def known_boards(self) -> list[KnownBoard]:
        """The boards that were provisioned here."""
        return [KnownBoard(**_read_json(path)) for path in sorted(self._folder("known").glob("*.json"))]

    def forget_board(self, jid: str) -> list[str]:
        """Removes what is kept of a board: its login, what names it, its queue. Returns which of them there were."""
        places = {
            "login": [self._folder("accounts") / _file(jid, ".json")],
            "board": [self._folder("known") / _file(jid, ".json")],
            "queue": [self.queue(jid).with_name(_file(jid, ".db" + end)) for end in ("", "-wal", "-shm")],
        }
        found = [name for name, paths in places.items() if any(path.exists() for path in paths)]
        for path in (path for paths in places.values() for path in paths):
            path.unlink(missing_ok=True)
        return found

    # Boards that are being taken out of service

    def save_retiring(self, board: RetiringBoard) -> None:
        """Keeps how to go on with a retirement that is interrupted."""
        _write_json(self._folder("retiring") / _file(board.jid, ".json"), asdict(board))

    def retiring_boards(self) -> list[RetiringBoard]:
        """The boards whose retirement has begun and not ended."""
        return [RetiringBoard(**_read_json(path)) for path in sorted(self._folder("retiring").glob("*.json"))]

    def retired(self, jid: str) -> None:
        """Ends a retirement."""
        (self._folder("retiring") / _file(jid, ".json")).unlink(missing_ok=True)

    # Places

    def identity(self, jid: str) -> Path:
        """The folder of a collector's identity: journal, lock, socket."""
        return self._folder("identities", _file(jid))

    def arrivals(self, jid: str) -> Path:
        """What a collector's account received last."""
        return self.identity(jid) / "arrivals.db"

    def queue(self, jid: str) -> Path:
        """The gateway's queue for the board of that account."""
        return self._folder("queues") / _file(jid, ".db")

    def gateway(self, jid: str) -> Path:
        """The folder of the gateway of the board of that account: lock, socket."""
        return self._folder("gateways", _file(jid))

    def gateways(self) -> list[Path]:
        """The folders of all gateways that have run."""
        return sorted(self._folder("gateways").iterdir())

    def readings(self) -> Path:
        """The collector's readings, unless --db names another file."""
        return self.path / "readings.db"

    def virtual_boards(self) -> Path:
        """The folder of the virtual boards, one folder each."""
        return self._folder("boards")

    def _folder(self, *names: str) -> Path:
        path = self.path
        for name in names:
            path /= name
            path.mkdir(exist_ok=True, mode=0o700)
        return path


def default_home() -> Path:
    """The platform's place: MOTEMO_HOME, else XDG_DATA_HOME/motemo, else ~/.local/share/motemo."""
    if named := os.environ.get("MOTEMO_HOME"):
        return Path(named)
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "motemo"


@contextlib.contextmanager
def locked(folder: Path, what: str) -> Iterator[None]:
    """Holds the lock of a folder of state; raises StateError "refused" that names the process which has it."""
    with open(folder / "lock", "a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise StateError("refused", f"{what} is in use by process {owner}; stop it first") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def parse_address(text: str) -> str:
    """The bare JID of an account, in its normal form; raises LocalError "format"."""
    try:
        jid = bare_jid(text)
    except MotemoError:
        jid = ""
    if "@" not in jid or jid.startswith(".") or "/" in jid or len(jid.encode()) > _MOST_NAME:
        raise LocalError("format", f"{text!r} is not the address of an account, like alice@example.org")
    return jid


def parse_server(text: str) -> tuple[str, int]:
    """(host, port) of HOST:PORT; raises LocalError "format"."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise LocalError("format", f"--server wants HOST:PORT, not {text!r}")
    return host, int(port)


def read_password(path: Path) -> str:
    """The password in a file, without the end of its line; raises LocalError "not-found" or "refused"."""
    try:
        password = path.read_text(encoding="utf-8").rstrip("\r\n")
    except FileNotFoundError:
        raise LocalError("not-found", f"there is no password file {path}; write the password into it") from None
    except (OSError, UnicodeDecodeError):
        raise LocalError("refused", f"the password file {path} cannot be read; check its name and its mode") from None
    if not password:
        raise LocalError("not-found", f"the password file {path} is empty; write the password into it")
    return password


def _file(jid: str, ending: str = "") -> str:
    return parse_address(jid) + ending


def _write_json(path: Path, value: dict) -> None:
    partial = path.with_suffix(".new")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _read_json(path: Path) -> dict:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError
        return value
    except (OSError, ValueError):
        raise StateError("corrupt", f"{path} cannot be read; run motemo provision again") from None

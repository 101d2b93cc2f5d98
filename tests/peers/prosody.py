"""A Prosody of one's own for the tests and the demo: on loopback, out of a folder, never as root, without a service.

    with Prosody() as server:
        jid = server.add_account("alice", "secret")
        ... server.host, server.tls_port, server.certificate ...

Needs Prosody >= 0.12 with lua-sec on the PATH.
"""

import contextlib
import ctypes
import datetime
import ipaddress
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DOMAIN = "localhost"
START_SECONDS = 10
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
CONFIGURATION = """\
data_path = "{folder}/data"
certificates = "{folder}/certs"
ssl = {{ certificate = "{folder}/certs/localhost.crt"; key = "{folder}/certs/localhost.key" }}
interfaces = {{ "127.0.0.1" }}
local_interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {starttls_port} }}
c2s_direct_tls_ports = {{ {tls_port} }}
component_ports = {{ {component_port} }}
component_interfaces = {{ "127.0.0.1" }}
s2s_ports = {{ }}
modules_disabled = {{ "s2s" }}
c2s_require_encryption = true
authentication = "internal_hashed"
storage = "internal"
default_archive_policy = true
pep_max_items = 1000 -- what pubsub#max_items=max becomes
smacks_hibernation_time = 300
limits = {{ c2s = {{ rate = "10mb/s" }} }}
modules_enabled = {{
  "blocklist"; "carbons"; "csi_simple"; "disco"; "mam"; "offline"; "pep"; "ping"; "posix"; "private"; "roster";
  "saslauth"; "smacks"; "time"; "tls"; "uptime"; "vcard4"; "vcard_legacy"; "version";
}}
log = {{ {{ levels = {{ min = "{level}" }}; to = "file"; filename = "{folder}/prosody.log" }} }}
VirtualHost "localhost"
  disco_items = {{ {{ "conference.localhost"; "rooms" }} }}
Component "conference.localhost" "muc"
  modules_enabled = {{ "muc_mam" }}
  muc_room_default_members_only = true
  muc_room_default_public_jids = true
  muc_room_locking = false
Component "iot.localhost"
  component_secret = "iotsecret"
"""

# The certificate signs itself, and Python >= 3.13 wants that said.
_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class Prosody:
    """An XMPP server for the domain `localhost`.

    `host` (a loopback address), `starttls_port`, `tls_port` (TLS from the first byte), `component_port` (for
    `iot.localhost`, secret `iotsecret`) and `certificate` (the PEM file that a client must trust) stay the same over
    `restart`. `folder` keeps accounts and log: a new temporary one, removed by `stop`, unless it is given (then one
    that other users can reach, when we are root).
    `log_level="debug"` makes the log tell stanzas.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path | None = None, log_level: str = "info"):
        self._temporary = folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="motemo-prosody-")) if folder is None else folder.resolve()
        self.certificate = self.folder / "certs" / "localhost.crt"
        self.log = self.folder / "prosody.log"
        self.starttls_port, self.tls_port, self.component_port = _free_ports(3)
        self._process: subprocess.Popen[bytes] | None = None
        self._account = _unprivileged()
        for name in ("data", "certs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if not self.certificate.exists():
            _make_certificate(self.certificate)
        (self.folder / "prosody.cfg.lua").write_text(
            CONFIGURATION.format(
                folder=self.folder,
                starttls_port=self.starttls_port,
                tls_port=self.tls_port,
                component_port=self.component_port,
                level=log_level,
            )
        )

    def __enter__(self) -> "Prosody":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it listens. RuntimeError, with the end of its log, when it does not."""
        program = shutil.which("prosody", path=os.environ.get("PATH", "") + ":/usr/bin:/usr/sbin")
        if program is None:
            raise RuntimeError("Prosody is not installed: sudo apt-get install prosody lua-sec")
        self._give_away()
        with open(self.folder / "stdout.log", "ab") as output:
            self._process = subprocess.Popen(
                [program, "--config", str(self.folder / "prosody.cfg.lua"), "-F"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "HOME": str(self.folder)},
                start_new_session=True,  # Ctrl-C is for those who use it
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
                **({"user": self._account[0], "group": self._account[1], "extra_groups": []} if self._account else {}),
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._end()
                raise RuntimeError(f"Prosody did not start:\n{self._last_words()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it; a temporary folder goes with it."""
        self._end()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def restart(self) -> None:
        """Stop and start it; accounts and what they stored stay."""
        self._end()
        self.start()

    def kill(self) -> None:
        """End it without a goodbye to its clients, as a crash would; `start` brings it back."""
        if self._process is not None:
            self._process.kill()
        self._end()

    def add_account(self, user: str, password: str) -> str:
        """Make an account (or change its password), while the server runs or before; return its JID.

        `user` in lower-case ASCII letters and digits.
        """
        if not (user.isascii() and user.isalnum() and user.islower()):
            raise ValueError(f"not a plain user name: {user!r}")
        # The form of Prosody's file storage. It replaces the password by salted keys when the user first signs in.
        quoted = password.replace("\\", "\\\\").replace('"', '\\"')
        accounts = self.folder / "data" / DOMAIN / "accounts"
        accounts.mkdir(parents=True, exist_ok=True)
        (accounts / f"{user}.dat").write_text(f'return {{ ["password"] = "{quoted}" }};\n', "utf-8")
        self._give_away()
        return f"{user}@{DOMAIN}"

    def _give_away(self) -> None:
        """Let the unprivileged account own the folder."""
        if self._account:
            for path in (self.folder, *self.folder.rglob("*")):
                with contextlib.suppress(FileNotFoundError):  # a running server writes files and moves them
                    os.chown(path, *self._account)

    def _listens(self) -> bool:
        for port in (self.starttls_port, self.tls_port):
            with socket.socket() as probe:
                if probe.connect_ex((self.host, port)) != 0:
                    return False
        return True

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _last_words(self) -> str:
        texts = [p.read_text("utf-8", "replace") for p in (self.log, self.folder / "stdout.log") if p.exists()]
        return "\n".join("\n".join(texts).splitlines()[-20:])


def _end_with_parent() -> None:
    """In the child: ask the kernel for SIGTERM when the parent is gone, however it went."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _unprivileged() -> tuple[int, int] | None:
    """User and group id to run as when we are root."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("prosody")
    except KeyError:
        entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _make_certificate(path: Path) -> None:
    """Write a self-signed certificate for the domain to `path`, its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, DOMAIN)])
    now = datetime.datetime.now(datetime.UTC)
    alternatives: list[x509.GeneralName] = [x509.DNSName(f"{part}{DOMAIN}") for part in ("", "conference.", "iot.")]
    alternatives.append(x509.IPAddress(ipaddress.ip_address(Prosody.host)))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_KEY_USAGE, critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = path.with_suffix(".key")
    secret.touch(0o600)
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )

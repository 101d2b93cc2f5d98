"""The gateway cannot read: neither its memory, nor its files, nor its debug log hold a plaintext or a private key."""

import base64
import contextlib
import os
from pathlib import Path

import pytest

from motemo.omemo import ratchet, records
from motemo.store.journal import Journal
from tests.system.stage import Stage, read_journal

WORD = "quokka-4be1d7c9"
READING = 73519.125

TELLING_MAIN = f"""
from motemo.agent import Agent

agent = Agent.load()


@agent.sensor("wombat")
def sensor():
    return {READING}


@agent.command("relay")
def relay(state):
    return "{WORD} is the answer to " + state


agent.run()
"""
PLAINTEXTS = [WORD, "73519.125", "wombat 73519", "numbat-c06f18b2"]


def private_keys(journal) -> dict[str, bytes]:
    """All secrets in a store, by name."""
    identity = journal.get(records.IDENTITY, b"")
    keys = {"seed": identity[:32], "scalar": identity[32:64]}
    for kind, name in ((records.SIGNED_PREKEY, "signed prekey"), (records.PREKEY, "prekey")):
        for key in journal.keys(kind):
            keys[f"{name} {key.hex()}"] = journal.get(kind, key)[:32]
    for key in journal.keys(records.SESSION):
        session = ratchet.restore(journal.get(records.SESSION, key))
        for name in ("rk", "cks", "ckr", "dhs"):
            if any(value := getattr(session, name)):  # all zero: not there yet
                keys[f"{name} of {key.hex()}"] = value
    return keys


def forms(secret: bytes) -> set[bytes]:
    """Raw, in hex, and in base64 wherever in a longer text it stands."""
    shapes = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for before in range(3):
        text = base64.b64encode(bytes(before) + secret)
        shapes.add(text[4 if before else 0 : (before + len(secret)) // 3 * 4])
    return shapes


def found(secrets: dict[str, bytes], places: dict[str, bytes]) -> list[str]:
    """Which secrets are where."""
    return [
        f"{name} in {place}"
        for name, secret in secrets.items()
        for form in forms(secret)
        for place, content in places.items()
        if form in content
    ]


def memory(pid: int) -> bytes:
    """What a process holds in its writable memory."""
    parts = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, mode, *_ = line.split()
            if not mode.startswith("rw"):
                continue
            start, end = (int(number, 16) for number in span.split("-"))
            with contextlib.suppress(OSError):
                file.seek(start)
                parts.append(file.read(end - start))
    return b"".join(parts)


class Site:
    """A board that tells known words, its gateway at debug level, and its owner."""

    def __init__(self, stage):
        self.stage = stage
        self.jid, self.owner = stage.account("secretboard"), stage.account("secretowner")
        self.board = stage.board("secret", TELLING_MAIN)
        owner = f"{self.owner}={stage.identity(self.owner)}"
        stage.provision(self.board, self.jid, "--owner", owner, "--every", "1")
        self.gateway = stage.gateway(self.board, words=("--debug",))
        self.listener = stage.listen(self.owner)

    def say(self, text):
        words = ("--jid", self.owner, "--to", self.jid, "--wait", "30", "--json")
        return self.stage.motemo("send", text, *words).document["answer"]

    def places(self) -> dict[str, bytes]:
        """All that the gateway has, now."""
        queues = sorted((self.stage.home / "queues").iterdir())
        assert queues
        return {
            "memory": memory(self.gateway.pid),
            "log": self.gateway.log().encode(),
            **{path.name: path.read_bytes() for path in queues},
        }


@pytest.fixture(scope="module")
def site(prosody, tmp_path_factory):
    stage = Stage(prosody, tmp_path_factory.mktemp("secret"))
    yield Site(stage)
    stage.close()


def test_the_gateway_holds_no_plaintext_and_no_private_key(site):
    secrets = {text: text.encode() for text in PLAINTEXTS}
    for number in range(3):
        site.listener.event("reading")
        assert site.say("set relay numbat-c06f18b2") == f"{WORD} is the answer to numbat-c06f18b2"
        secrets |= private_keys(read_journal(site.board, site.stage.folder / f"copy{number}"))
        places = site.places()
        assert not found(secrets, places)
    site.gateway.kill()  # what it had not yet written is lost: nothing may appear that was in a buffer
    assert not found(secrets, {"log": site.gateway.log().encode()})
    assert len(secrets) > 40


def test_the_search_finds_what_is_there(site):
    """Without this, the test above could not fail."""
    site.gateway = site.stage.gateway(site.board, words=("--debug",))
    site.say("get")
    places = site.places()
    jid = {"jid": site.jid.encode()}
    assert {hit.split(" in ")[1].split(".")[-1] for hit in found(jid, places)} >= {"memory", "log", "db-wal"}

    # The collector does hold keys and plaintext: they are found in its memory by the same means.
    identity = site.stage.folder / "identity"
    identity.mkdir()
    (identity / "journal").write_bytes((site.stage.home / "identities" / site.owner / "journal").read_bytes())
    own = private_keys(Journal(os.fspath(identity)))
    held = {"memory": memory(site.listener.pid)}
    assert found({"scalar": own["scalar"]}, held)
    assert found({"reading": b"73519.125"}, held)


def test_the_home_holds_no_key_of_the_board(site):
    keys = private_keys(read_journal(site.board, site.stage.folder / "last"))
    secrets = {name: key for name, key in keys.items() if name[:2] not in ("rk", "ck")}  # those the collector shares
    places = {str(path): path.read_bytes() for path in site.stage.home.rglob("*") if path.is_file()}
    assert not found(secrets, places)
    for path in site.stage.home.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.is_socket(), path

"""Makes the states of this version: `python -m tests.frozen.make N` writes tests/frozen/N, which must not be there."""

import asyncio
import json
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path

from motemo.crypto.points import edwards_to_montgomery
from motemo.omemo import bundle, identity, trust
from motemo.omemo.elements import LEGACY, OMEMO2
from motemo.omemo.engine import Engine
from motemo.profile import Profile
from motemo.store.journal import Journal
from motemo_host import stanzas
from tests.bundles import make_bundle
from tests.frozen import DIALECTS, FOLDER, jid_of, pair, to_json
from tests.peers import python_omemo
from tests.peers.python_omemo import Account, Directory
from tests.unit.test_engine import BOARD

PHASES = ("offered", "talking", "replaced", "received")  # the ping of the last one stays due


def make_store(folder, jid):
    """A journal with an identity and three prekeys."""
    store = Journal(str(folder))
    identity.create(store, jid)
    bundle.fill(Engine(store, Profile()).keys, 3)
    return store


def bring_about(phase, two):
    """Brings a pair of strangers into that phase."""
    two.start("a" if phase == "received" else "b")
    if phase == "offered":
        two.say("b", "offered")
        return
    if phase == "received":
        two.say("a", "received")
        assert two.ends["b"].open(two.flight["a"].pop(0)) == "received"  # its ping is due, and was not sent
        return
    two.talk("b", "a", "b", "a")
    late = {}
    for who in "ab":  # what is late has a skipped key at the other end
        two.say(who, "late of " + who)
        late[who] = two.flight[who]
        two.flight[who] = []
        two.talk(who)
    if phase == "replaced":
        two.start("b")
        two.talk("b")
    two.flight = late


def make_own(folder, board):
    """The sessions with devices of ours, and the letters."""
    letters = {}
    for phase in PHASES:
        for dialect, number in DIALECTS.items():
            name = f"{phase}-{dialect}"
            peer = make_store(folder / name, jid_of(name))
            two = pair(board, peer, name)
            for one, other in (("a", "b"), ("b", "a")):
                one, other = two.ends[one], two.ends[other]
                one.pin(other)
                one.engine.on_devices(other.jid, [other.id], number)
                if number == LEGACY:
                    one.engine.on_devices(other.jid, [], OMEMO2)
            bring_about(phase, two)
            letters[name] = {
                "to_board": [to_json(one) for one in two.flight["a"]],
                "to_peer": [to_json(one) for one in two.flight["b"]],
            }
            peer.close()
    (folder / "letters.json").write_text(json.dumps(letters, indent=1) + "\n")
    return list(letters)


async def make_python_omemo(folder, board):
    """The sessions with python-omemo, which the board has started."""
    storages = {}
    for namespace, number in ((python_omemo.NS, OMEMO2), (python_omemo.LEGACY, LEGACY)):
        jid = f"python-{number}@example.org"
        directory = Directory()
        engine = Engine(board, Profile(prekeys=3))
        newest = make_bundle(engine.keys)
        part = directory.of(namespace)
        form = stanzas.legacy_form(newest) if number == LEGACY else newest
        part.bundles[BOARD, engine.keys.device] = ET.tostring(stanzas.bundle_to_xml(form))
        part.devices[BOARD] = {engine.keys.device: None}
        account = await Account.create(directory, jid, [namespace])
        trust.pin(board, jid, [edwards_to_montgomery(account.identity_key)])
        engine.on_devices(jid, [account.device], number)
        engine.on_devices(jid, [] if number == LEGACY else [account.device], OMEMO2)
        theirs = stanzas.bundle_from_xml(ET.fromstring(part.bundles[jid, account.device]))
        engine.on_bundle(jid, account.device, theirs)
        assert await account.decrypt(BOARD, ET.tostring(stanzas.encrypted_to_xml(engine.seal([jid], "hello"))))
        assert engine.open(jid, stanzas.encrypted_from_xml(ET.fromstring(account.outgoing[0]))).envelope is None
        await account.stop()
        storages[jid] = {"namespace": namespace, "device": engine.keys.device, "storage": account.storage.values}
    (folder / "python-omemo.json").write_text(json.dumps(storages, indent=1) + "\n")


def make(version):
    """Writes the folder of that version."""
    target = Path(FOLDER, version)
    if target.exists():
        sys.exit(f"{target} is there: states that were frozen stay as they are")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        board = make_store(folder / "board", BOARD)
        names = make_own(folder, board)
        asyncio.run(make_python_omemo(folder, board))
        board.close()
        for name in ["board", *names]:
            (folder / name / "journal").rename(folder / f"{name}.journal")
            (folder / name).rmdir()
        shutil.copytree(folder, target)


if __name__ == "__main__":
    make(sys.argv[1])

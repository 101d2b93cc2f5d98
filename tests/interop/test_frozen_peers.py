"""A board of an earlier version (tests.frozen) goes on talking with the python-omemo devices that it talked with."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from motemo.omemo import bundle, envelope, envelope_reader
from motemo.omemo.engine import Engine
from motemo.profile import Profile
from motemo_host import stanzas
from tests import frozen
from tests.peers import python_omemo
from tests.peers.python_omemo import Account, Directory
from tests.unit.test_engine import BOARD


@pytest.mark.parametrize("version", frozen.versions())
@pytest.mark.parametrize("dialect", [1, 2])
async def test_the_conversation_goes_on(version, dialect, tmp_path):
    folder = Path(frozen.FOLDER, version)
    jid = f"python-{dialect}@example.org"
    theirs = json.loads((folder / "python-omemo.json").read_text())[jid]
    store = frozen.load(str(tmp_path / "board"), (folder / "board.journal").read_bytes())
    engine = Engine(store, Profile(prekeys=3))
    assert engine.keys.device == theirs["device"]
    directory = Directory()
    directory.of(theirs["namespace"]).devices[BOARD] = {engine.keys.device: None}
    own, prekeys = bundle.pack(engine.keys)
    own.prekeys = bundle.unpack(prekeys)
    own = own if dialect == 2 else stanzas.legacy_form(own)
    directory.of(theirs["namespace"]).bundles[BOARD, engine.keys.device] = ET.tostring(stanzas.bundle_to_xml(own))
    storage = python_omemo.Memory(theirs["storage"])
    account = await Account.create(directory, jid, [theirs["namespace"]], storage)
    try:
        for number in range(3):
            sealed = engine.seal([jid], f"reading {number}")
            assert not sealed.keys[0][2], "no key exchange"
            plaintext = await account.decrypt(BOARD, ET.tostring(stanzas.encrypted_to_xml(sealed)))
            text = envelope_reader.read(plaintext, BOARD).body if dialect == 2 else plaintext.decode()
            assert text == f"reading {number}"
            words = f"command {number}"
            xml = await account.encrypt(BOARD, envelope.build(jid, words) if dialect == 2 else words.encode())
            assert engine.open(jid, stanzas.encrypted_from_xml(ET.fromstring(xml))).envelope.body == words
    finally:
        await account.stop()
        store.close()

"""`motemo retire`: a board leaves the server, its owners are told, its keys leave its flash, its home forgets it."""

import asyncio
import subprocess
import time
import xml.etree.ElementTree as ET

import pytest

from motemo import settings
from motemo.omemo import records
from tests.covers import covers
from tests.peers.omemo_peer import LEGACY, OMEMO2, Peer
from tests.system.stage import COUNTING_MAIN, MOTEMO, Stage, read_journal, until


@pytest.fixture
def stage(prosody, tmp_path):
    stage = Stage(prosody, tmp_path)
    yield stage
    stage.close()


def secrets_of(stage, board):
    """The private keys in the board's journal, by kind: seed, scalar, prekeys, chains."""
    journal = read_journal(board, stage.folder / "copy")
    seed = journal.get(records.IDENTITY, b"")[:32]
    prekeys = [journal.get(records.PREKEY, key)[:32] for key in journal.keys(records.PREKEY)]
    signed = [journal.get(records.SIGNED_PREKEY, key)[:32] for key in journal.keys(records.SIGNED_PREKEY)]
    assert prekeys and signed
    return [seed, *prekeys, *signed]


def traces(stage, jid):
    """The files of the home that name the board, its gateway's lock and socket aside."""
    return sorted(path for path in stage.home.rglob(f"{jid}*") if path.is_file())


@covers("O-100", "O-101", "O-102", "O-129")
def test_a_board_is_retired_through_its_gateway(stage):
    jid, other, alice = stage.account("oldboard"), stage.account("newboard"), stage.account("oldowner")
    board, stays = stage.board("old", COUNTING_MAIN), stage.board("new", COUNTING_MAIN)
    of_alice = stage.identity(alice)
    for one, account in ((board, jid), (stays, other)):
        stage.provision(one, account, "--owner", f"{alice}={of_alice}", "--every", "1", "--label", "The old one")
    gateway = stage.gateway(board, stays)
    listens = stage.listen(alice)
    listens.event("reading", jid=jid)
    keys = secrets_of(stage, board)
    device = stage.status(board)["device"]

    assert "--yes" in stage.motemo("retire", jid, code=2).sentence
    assert stage.motemo("retire", jid, "--json", code=2).document["error"]["reason"] == "format"
    report = stage.motemo("retire", jid, "--tell", "It <broke>", "--yes", "--json").document
    assert report == {
        "board": jid,
        "jid": jid,
        "device": device,
        "told": [alice],
        "untold": [],
        "wiped": True,
        "forgotten": ["login", "board", "queue"],
    }
    heard = listens.event("opt-out", jid=jid)
    assert heard["reason"] == "It <broke>" and heard["trusted"] and "out of service" in heard["text"]
    gateway.event("retired", jid=jid)
    assert traces(stage, jid) == []
    flash = (board.directory / "flash.img").read_bytes()
    assert not [key for key in keys if key in flash]
    status = stage.status(board)
    assert status["state"] == "bare" and "jid" not in status
    # The other board of the same gateway goes on, and the collector sends nothing more to the first.
    listens.event("reading", jid=other)
    done = stage.motemo("send", "status", "--jid", alice, "--to", jid, "--json", code=1)
    assert done.document["error"]["reason"] == "opt-out"
    assert "nothing to retire" in stage.motemo("retire", str(board.port), "--yes", code=1).sentence


def test_a_retirement_without_a_gateway_goes_on_after_an_interruption(stage):
    jid, alice = stage.account("cutboard"), stage.account("cutowner")
    board = stage.board("cut", COUNTING_MAIN)
    stage.provision(board, jid, "--owner", f"{alice}={stage.identity(alice)}", "--every", "1")
    port = str(board.port)
    words = [str(MOTEMO), "retire", port, "--yes", "--json", "--home", str(stage.home)]

    # Cut off as soon as the board has stored that it retires; the board loses its power too.
    first = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: settings.read(read_journal(board, stage.folder / "copy"), "state") == "retiring")
    first.kill()
    first.wait()
    board.kill()
    board.start()
    status = stage.status(board)
    assert status["state"] == "retiring" and status["jid"] == jid
    assert "being taken out" in stage.motemo("status", "--port", port).out

    # The gateway lets it be: it announces nothing and sends nothing.
    gateway = stage.gateway(board)
    listens = stage.listen(alice)
    time.sleep(3)
    assert not listens.values(jid)
    gateway.stop()

    # Cut off after the board was wiped: what is left is done by the next run, which knows the board by its JID.
    keep = {path: path.read_bytes() for path in traces(stage, jid)}
    assert stage.motemo("retire", jid, "--yes", "--json").document["wiped"]
    assert traces(stage, jid) == []
    for path, data in keep.items():
        path.write_bytes(data)
    report = stage.motemo("retire", jid, "--yes", "--json").document
    assert report["jid"] == jid and report["wiped"] and report["forgotten"] == ["login", "board", "queue"]
    assert traces(stage, jid) == [] and stage.status(board)["state"] == "bare"
    assert "--lost" in stage.motemo("retire", jid, "--yes", code=1).sentence


@covers("O-129")
async def test_a_lost_board_is_taken_off_the_server_and_the_other_devices_stay(stage, prosody):
    jid, alice = stage.account("lostboard"), stage.account("lostowner")

    def set_up():
        board = stage.board("lost", COUNTING_MAIN)
        stage.provision(board, jid, "--owner", f"{alice}={stage.identity(alice)}", "--label", "Attic")
        gateway = stage.gateway(board)
        return board, gateway, stage.status(board)["device"]

    board, gateway, device = await asyncio.to_thread(set_up)
    peer = Peer(jid, "pw of lostboard", host=prosody.host, port=prosody.tls_port, certificate=prosody.certificate)
    await peer.start()  # a phone on the board's account
    try:
        kept = [
            ET.canonicalize(ET.tostring(one, "unicode")) for one in await peer.devices(jid) if not is_of(one, device)
        ]
        assert len(kept) == 1 and len(await peer.devices(jid)) == 2
        done = await asyncio.to_thread(stage.motemo, "retire", jid, "--lost", "--yes", code=1)
        assert "stop it first" in done.sentence
        await asyncio.to_thread(board.kill)
        await asyncio.to_thread(gateway.stop)
        for words, code in (([str(board.port), "--lost"], 2), ([jid, "--lost", "--tell", "x"], 2)):
            await asyncio.to_thread(stage.motemo, "retire", *words, "--yes", code=code)
        done = await asyncio.to_thread(stage.motemo, "retire", jid, "--lost", "--yes")
        assert "still on the lost board" in done.out
        left = [ET.canonicalize(ET.tostring(one, "unicode")) for one in await peer.devices(jid)]
        assert left == kept
        for node, item in ((OMEMO2 + ":bundles", str(device)), (f"{LEGACY}.bundles:{device}", None)):
            assert await peer.item(jid, node, item) is None
        assert await peer.item(jid, OMEMO2 + ":bundles", str(peer.device_id)) is not None
    finally:
        await peer.stop()
    assert traces(stage, jid) == []
    done = await asyncio.to_thread(stage.motemo, "retire", jid, "--lost", "--yes", code=1)
    assert "no board" in done.sentence


def is_of(element, device):
    return element.get("id") == str(device)

"""Labels and opt-out between a linked board and python-omemo over Prosody."""

import asyncio
import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from motemo.crypto.points import edwards_to_montgomery
from motemo.omemo import ratchet, records
from tests.covers import covers
from tests.interop.test_board_peer import SILENT_MAIN, linked
from tests.system.stage import COUNTING_MAIN, Stage, read_journal, until

OMEMO2 = "urn:xmpp:omemo:2"


@pytest.fixture
def stage(prosody, tmp_path):
    stage = Stage(prosody, tmp_path)
    yield stage
    stage.close()


async def drain(peer):
    """Lets what is under way arrive; then passes over it."""
    await asyncio.sleep(3)
    peer._seen = len(peer.events)


async def status_with(stage, board, condition):
    """The board's status, once it is so."""
    return await asyncio.to_thread(until, lambda: (found := stage.status(board)) and condition(found) and found)


@covers("O-102", "O-103", "O-104", "O-105")
async def test_a_board_falls_silent_after_an_opt_out_and_comes_back(start_peer, stage):
    peer = await start_peer("optpeer")
    fingerprint = edwards_to_montgomery(peer.identity_key).hex()
    board, jid, gateway = await linked(stage, "optboard", COUNTING_MAIN, f"{peer.jid}={fingerprint}", "--every", "1")
    await peer.wait("message", sender=jid)
    reason = "<reason>Sorry, but for compliance reasons</reason>"
    await peer.send_content(jid, f"<opt-out xmlns='{OMEMO2}'>{reason}</opt-out>")
    status = await status_with(stage, board, lambda found: found["counters"].get("opt-out", 0) >= 3)
    assert status["opted_out"] == [peer.jid]
    await drain(peer)
    assert any("opt-out" in line for line in status["log"])
    assert not any("compliance" in line for line in status["log"])
    await asyncio.sleep(2)
    assert [one for one in peer.events[peer._seen :] if one["event"] in ("message", "plain")] == []

    # A power cut changes nothing of it, and the session is there.
    await asyncio.to_thread(board.kill)
    await asyncio.to_thread(board.start)
    await drain(peer)
    assert [one for one in peer.events if one["event"] == "plain"] == []
    assert (await asyncio.to_thread(stage.status, board))["opted_out"] == [peer.jid]
    before = len(peer.events)
    await peer.send(jid, "set relay on")
    await peer.wait("message", sender=jid, body="relay is on")
    await peer.wait("message", sender=jid)
    news = peer.events[before:]
    assert not [one for one in news if one["event"] in ("undecryptable", "refused", "plain")], news
    status = await asyncio.to_thread(stage.status, board)
    assert status["opted_out"] == [] and any("back" in line for line in status["log"])
    journal = await asyncio.to_thread(read_journal, board, stage.folder / "copy")
    (key,) = journal.keys(records.SESSION)
    assert ratchet.restore(journal.get(records.SESSION, key)).flags & ratchet.CONFIRMED
    await asyncio.to_thread(gateway.stop)


@covers("O-105")
async def test_the_host_brings_an_account_back_by_pinning_it_again(start_peer, stage):
    peer = await start_peer("optpinned")
    pin = f"{peer.jid}={edwards_to_montgomery(peer.identity_key).hex()}"
    board, jid, gateway = await linked(stage, "optboard2", COUNTING_MAIN, pin, "--every", "1")
    await peer.wait("message", sender=jid)
    await peer.send_content(jid, f"<opt-out xmlns='{OMEMO2}'/>")
    assert (await status_with(stage, board, lambda found: found["opted_out"]))["opted_out"] == [peer.jid]
    await drain(peer)
    done = await asyncio.to_thread(stage.motemo, "trust", "pin", jid, "--pin", pin, "--json")
    assert done.document["pinned"] == 0
    await peer.wait("message", sender=jid)
    await asyncio.to_thread(gateway.stop)


@covers("O-055", "O-057", "O-058")
async def test_python_omemo_takes_our_label_and_we_take_its(start_peer, stage):
    peer = await start_peer("labelpeer", dialects=(OMEMO2,))
    fingerprint = edwards_to_montgomery(peer.identity_key).hex()
    label = "K\u00fcche & <cellar>"
    await peer.set_label("Phone of 'Peer'")
    board, jid, gateway = await linked(stage, "labelboard", SILENT_MAIN, f"{peer.jid}={fingerprint}", "--label", label)
    device = (await asyncio.to_thread(stage.status, board))["device"]
    assert await peer.label(jid, device) == label, "python-omemo has checked the signature"
    (element,) = await peer.devices(jid)
    journal = await asyncio.to_thread(read_journal, board, stage.folder / "copy")
    public = Ed25519PublicKey.from_public_bytes(journal.get(records.IDENTITY, b"")[64:96])
    public.verify(base64.b64decode(element.get("labelsig")), label.encode())

    async def pins():
        return (await asyncio.to_thread(stage.motemo, "trust", "list", jid, "--json")).document["owners"][peer.jid]

    assert await pins() == [{"fingerprint": fingerprint, "how": "provisioning", "label": "Phone of 'Peer'"}]
    await peer.forge_label("Phone of Eve")
    assert await pins() == [{"fingerprint": fingerprint, "how": "provisioning"}]
    await asyncio.to_thread(gateway.stop)

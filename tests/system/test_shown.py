"""Nothing is discarded in silence: labels, plain messages, messages that cannot be read, on board and host."""

import asyncio

import pytest
from slixmpp import JID

from motemo.crypto.points import edwards_to_montgomery
from tests.covers import covers
from tests.interop.test_board_peer import SILENT_MAIN, linked
from tests.system.stage import COUNTING_MAIN, Stage, until


@pytest.fixture
def stage(prosody, tmp_path):
    stage = Stage(prosody, tmp_path)
    yield stage
    stage.close()


@covers("O-055", "O-058")
def test_the_collector_shows_the_label_that_a_board_has_signed(stage):
    jid, alice = stage.account("shownboard"), stage.account("shownowner")
    board = stage.board("shown", COUNTING_MAIN)
    owner = f"{alice}={stage.identity(alice)}"
    done = stage.motemo(
        "provision", "--port", str(board.port), *stage.at(jid), "--owner", owner, "--label", "ü" * 53, code=2
    )
    assert "52" in done.sentence
    stage.provision(board, jid, "--owner", owner, "--label", "Attic", "--every", "1")
    stage.gateway(board)
    listens = stage.listen(alice)
    assert listens.event("reading", jid=jid, label="Attic")["trusted"]


@covers("M-02", "S-14", "S-16")
async def test_a_message_without_omemo_is_counted_and_told(start_peer, stage):
    peer = await start_peer("plainpeer")
    pin = f"{peer.jid}={edwards_to_montgomery(peer.identity_key).hex()}"
    board, jid, gateway = await linked(stage, "plainboard", SILENT_MAIN, pin)
    alice = stage.account("plainowner")
    listens = await asyncio.to_thread(stage.listen, alice)
    for to in (jid, alice):
        peer._client.send_message(JID(to), "set relay on", mtype="chat")
    event = await asyncio.to_thread(listens.event, "problem", jid=peer.jid)
    assert event["reason"] == "plain" and event["time"]
    counted = await asyncio.to_thread(until, lambda: stage.status(board)["gateway"])
    assert counted == {"plain": 1}
    (line,) = [line for line in gateway.log().splitlines() if "(plain)" in line]
    assert peer.jid in line and "relay" not in line and line.startswith("WARNING 20")
    assert "plain 1" in (await asyncio.to_thread(stage.motemo, "status", "--port", str(board.port))).out


@covers("O-095", "O-123")
async def test_the_owner_is_told_by_a_notice_what_the_board_could_not_read(start_peer, stage):
    peer = await start_peer("noticepeer")
    pin = f"{peer.jid}={edwards_to_montgomery(peer.identity_key).hex()}"
    board, jid, gateway = await linked(stage, "noticeboard", SILENT_MAIN, pin)
    await peer.send(jid, "set relay on")
    await peer.wait("message", sender=jid, body="relay is on")
    before = len(peer.events)
    for _ in range(2):
        await peer.send(jid, "x" * 2500)
    notice = await peer.wait("message", sender=jid)
    assert f"device {peer.device_id} (too-large)" in notice["body"]
    await peer.send(jid, "set relay off")
    await peer.wait("message", sender=jid, body="relay is off")
    assert [one["body"] for one in peer.events[before:] if one["event"] == "message"] == [
        notice["body"],
        "relay is off",
    ]
    status = await asyncio.to_thread(stage.status, board)
    assert status["counters"].get("too-large") == 2, status["counters"]
    lines = [line for line in status["log"] if "too-large" in line]
    assert len(lines) == 2 and all(line.split(": ")[0].isdigit() and peer.jid in line for line in lines)
    await asyncio.to_thread(gateway.stop)

"""A linked board in its heap and clients that speak the legacy dialect, alone and in a mixed account, over a server."""

import asyncio

from motemo.crypto.points import edwards_to_montgomery
from motemo.omemo import records, trust
from tests.covers import covers
from tests.interop.test_board_peer import SILENT_MAIN, first_readings, linked
from tests.peers.omemo_peer import LEGACY, OMEMO2
from tests.system.stage import COUNTING_MAIN, read_journal


def owner(*peers):
    return f"{peers[0].jid}=" + ",".join(edwards_to_montgomery(peer.identity_key).hex() for peer in peers)


def nothing_wrong(*peers):
    return not [event for peer in peers for event in peer.events if event["event"] in ("undecryptable", "refused")]


def harmless(status):
    """Whether the board has counted nothing but what the archive brings twice, and the time before its gateway came."""
    faults = status.partition("faults: ")[2].split(", ")
    return {fault.split()[0] for fault in faults} <= {"none", "duplicate", "offline"}


@covers("O-034", "O-062", "M-04", "M-05")
async def test_the_board_begins_and_a_legacy_client_reads_and_commands(start_peer, stage):
    peer = await start_peer("legacyreader", dialects=(LEGACY,))
    board, jid, gateway = await linked(stage, "boardspeakslegacy", COUNTING_MAIN, owner(peer), "--every", "1")
    await first_readings(peer, jid, LEGACY)
    for text, answer in (("set relay on", "relay is on"), ("every 86400 s", "A reading every 86400 s from now on.")):
        await peer.send(jid, text)
        await peer.wait("message", sender=jid, body=answer, dialect=LEGACY)
    await peer.send(jid, "status")
    while (status := (await peer.wait("message", sender=jid))["body"]).startswith("count "):
        pass  # a reading from before the interval was changed
    assert "1 sessions" in status and harmless(status), status
    assert nothing_wrong(peer)
    journal = read_journal(board, stage.folder / "copy")
    assert [records.split_device_key(key)[2] for key in journal.keys(records.SESSION)] == [1]
    await asyncio.to_thread(gateway.stop)


@covers("O-120")
async def test_a_legacy_client_begins_and_the_ping_of_the_board_completes_its_session(start_peer, stage):
    peer = await start_peer("legacybegins", dialects=(LEGACY,))
    _, jid, gateway = await linked(stage, "boardhearslegacy", SILENT_MAIN, peer.jid)  # pinned at first use
    await peer.send(jid, "set relay on")
    await peer.wait("empty", sender=jid, dialect=LEGACY)
    await peer.wait("message", sender=jid, body="relay is on", dialect=LEGACY)
    for number in range(5):
        await peer.send(jid, f"set relay {number}")
        await peer.wait("message", sender=jid, body=f"relay is {number}")
    assert nothing_wrong(peer)
    await asyncio.to_thread(gateway.stop)


@covers("O-084", "O-085", "O-090")
async def test_a_mixed_account_gets_both_forms_in_one_stanza(start_peer, stage):
    old = await start_peer("mixed", dialects=(LEGACY,))
    new = await start_peer("mixed")
    # First use pins the devices on both lists, each once.
    board, jid, gateway = await linked(stage, "boardmixes", COUNTING_MAIN, old.jid, "--every", "1")
    pins = trust.pins(read_journal(board, stage.folder / "copy"), old.jid)
    assert {edwards_to_montgomery(peer.identity_key) for peer in (old, new)} <= set(pins)
    assert len(pins) == len(set(pins))
    heard = []
    for peer, dialect in ((old, LEGACY), (new, OMEMO2)):
        for _ in range(3):
            heard.append((await peer.wait("message", sender=jid, dialect=dialect))["body"])
    assert len(set(heard[:3]) & set(heard[3:])) >= 2, "both devices read the same readings"
    await new.send(jid, "every 86400 s", OMEMO2)
    for peer in (old, new):
        await peer.wait("message", sender=jid, body="A reading every 86400 s from now on.")
    await old.send(jid, "set relay on")
    for peer in (old, new):
        await peer.wait("message", sender=jid, body="relay is on")
    await new.send(jid, "status", OMEMO2)
    while (status := (await new.wait("message", sender=jid, dialect=OMEMO2))["body"]).startswith("count "):
        pass
    assert harmless(status), status
    await asyncio.to_thread(gateway.stop)

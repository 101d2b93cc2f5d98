"""A linked board in its heap and python-omemo, over gateway and server: each begins, pings complete, commands work."""

import asyncio

from motemo.crypto.points import edwards_to_montgomery
from motemo.omemo import ratchet, records
from tests.covers import covers
from tests.peers.omemo_peer import OMEMO2
from tests.system.stage import COUNTING_MAIN, read_journal

# Says nothing by itself, so that its owner begins the session.
SILENT_MAIN = """
from motemo.agent import Agent

agent = Agent.load()


@agent.command("relay")
def relay(state):
    return "relay is " + state


agent.run()
"""


async def linked(stage, name, main, owner, *words):
    """A provisioned board, its JID, its gateway."""

    def set_up():
        jid = stage.account(name)
        board = stage.board(name, main)
        stage.provision(board, jid, "--owner", owner, *words)
        return board, jid, stage.gateway(board)

    return await asyncio.to_thread(set_up)


def only_session(stage, board, name):
    """The board's session as its flash has it."""
    journal = read_journal(board, stage.folder / name)
    (key,) = journal.keys(records.SESSION)
    return ratchet.restore(journal.get(records.SESSION, key))


async def first_readings(peer, jid, dialect):
    """Waits until the peer has five readings or more, each once and none left out.

    The order is not looked at: the peer decrypts at once what comes close together, and a key exchange takes longer.
    """
    numbers = []
    while len(numbers) < 5 or max(numbers) - 10000 > len(numbers):
        event = await peer.wait("message", sender=jid, dialect=dialect)
        name, value = event["body"].split()
        assert name == "count"
        numbers.append(int(value))
    assert sorted(numbers) == list(range(10001, 10001 + len(numbers)))


@covers("O-085", "O-087")
async def test_the_board_begins_and_the_peer_reads_and_commands(start_peer, stage):
    peer = await start_peer("peerreader")
    fingerprint = edwards_to_montgomery(peer.identity_key).hex()
    board, jid, gateway = await linked(stage, "boardtalks", COUNTING_MAIN, f"{peer.jid}={fingerprint}", "--every", "1")
    await first_readings(peer, jid, OMEMO2)
    # Its ping completed our session: we send ordinary messages now.
    async with asyncio.timeout(20):
        while not only_session(stage, board, "copy1").flags & ratchet.CONFIRMED:
            await asyncio.sleep(0.5)
    for text, answer in (("set relay on", "relay is on"), ("every 86400 s", "A reading every 86400 s from now on.")):
        await peer.send(jid, text)
        await peer.wait("message", sender=jid, body=answer)
    await peer.send(jid, "status")
    while (status := (await peer.wait("message", sender=jid))["body"]).startswith("count "):
        pass  # a reading from before the interval was changed
    assert "1 sessions" in status and "bad-tag" not in status and "no-session" not in status, status
    assert not [event for event in peer.events if event["event"] in ("undecryptable", "refused")]
    await asyncio.to_thread(gateway.stop)


@covers("O-120")
async def test_the_peer_begins_and_the_ping_of_the_board_completes_its_session(start_peer, stage):
    peer = await start_peer("peerbegins")
    board, jid, gateway = await linked(stage, "boardlistens", SILENT_MAIN, peer.jid)
    await peer.send(jid, "set relay on")
    device = (await peer.wait("empty", sender=jid))["device"]
    await peer.wait("message", sender=jid, body="relay is on", dialect=OMEMO2, device=device)
    for number in range(5):
        await peer.send(jid, f"set relay {number}")
        await peer.wait("message", sender=jid, body=f"relay is {number}")
    assert len([event for event in peer.events if event["event"] == "empty"]) == 1
    assert only_session(stage, board, "copy").flags & ratchet.CONFIRMED
    await asyncio.to_thread(gateway.stop)


@covers("O-140")
async def test_a_peer_that_is_not_pinned_commands_nothing_and_hears_nothing(start_peer, stage):
    owner = await start_peer("peerowner")
    stranger = await start_peer("peerstranger")
    board, jid, gateway = await linked(stage, "boardrefuses", SILENT_MAIN, owner.jid)
    await stranger.send(jid, "set relay on")
    await owner.send(jid, "set relay off")
    await owner.wait("message", sender=jid, body="relay is off")
    await owner.send(jid, "status")
    status = (await owner.wait("message", sender=jid))["body"]
    assert "untrusted 1" in status
    assert not [event for event in stranger.events if event["event"] == "message"]
    await asyncio.to_thread(gateway.stop)

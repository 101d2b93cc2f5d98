"""The peers of the other tests speak with each other, in both dialects: what fails then is not them."""

import pytest

from tests.peers.omemo_peer import LEGACY, OMEMO2


@pytest.mark.parametrize("dialect", [OMEMO2, LEGACY])
async def test_two_peers_exchange_messages(start_peer, dialect):
    number = "2" if dialect == OMEMO2 else "1"
    alice = await start_peer("checkalice" + number)
    bob = await start_peer("checkbob" + number, echo=True)
    await alice.send(bob.jid, "hello", dialect)
    received = await bob.wait("message")
    answer = await alice.wait("message")
    assert (received["body"], received["dialect"], received["device"]) == ("hello", dialect, alice.device_id)
    assert (answer["body"], answer["dialect"], answer["device"]) == ("echo: hello", dialect, bob.device_id)


async def test_a_peer_keeps_its_device_in_a_file(start_peer, tmp_path):
    first = await start_peer("checkcarol", file=tmp_path / "carol.json")
    await first.stop()
    again = await start_peer("checkcarol", file=tmp_path / "carol.json")
    assert (again.device_id, again.identity_key) == (first.device_id, first.identity_key)


async def test_a_restarted_server_still_knows_its_accounts(start_peer, prosody):
    await start_peer("checkdave")
    prosody.restart()
    await start_peer("checkerin")

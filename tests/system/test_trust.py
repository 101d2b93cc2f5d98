"""`motemo trust`: owners come and go while a board runs, by the gateway, over the port and by chat."""

import time

from tests.covers import covers
from tests.system.stage import COUNTING_MAIN, until


@covers("O-140", "T-14")
def test_owners_come_and_go_while_the_board_runs(stage):
    jid, alice, bob = stage.account("trustboard"), stage.account("trustalice"), stage.account("trustbob")
    board = stage.board("trust", COUNTING_MAIN)
    port = str(board.port)
    of_alice = stage.identity(alice)
    identity = stage.motemo("identity", "--jid", bob, "--json").document
    of_bob = identity["fingerprint"]
    stage.provision(board, jid, "--owner", f"xmpp:{alice}?omemo-sid-1={of_alice}", "--every", "1")
    gateway = stage.gateway(board)
    listens = stage.listen(alice)
    other = stage.listen(bob)
    listens.event("reading")

    # By the gateway, which has the port.
    assert stage.motemo("trust", "list", jid, "--json").document == {
        "board": jid,
        "owners": {alice: [{"fingerprint": of_alice, "how": "provisioning"}]},
    }
    assert "say --force" in stage.motemo("trust", "unpin", jid, "--pin", alice, code=1).sentence
    done = stage.motemo("trust", "pin", port, "--pin", identity["trust_uri"], "--json")
    assert done.document == {"board": port, "pinned": 1, "unpinned": 0}
    other.event("reading", jid=jid, trusted=True)
    text = stage.motemo("trust", "list", port).out
    assert " ".join(of_bob[at : at + 8] for at in range(0, 64, 8)) + "  link" in text and "\x1b" not in text

    # By chat: a new owner is one like the others.
    answer = stage.motemo("send", "trust list", "--jid", bob, "--to", jid, "--wait", "30").out
    assert alice in answer and "(link)" in answer

    assert stage.motemo("trust", "unpin", jid, "--pin", f"{bob}={of_bob}", "--json").document["unpinned"] == 1
    time.sleep(2)  # what was sealed before comes in
    so_far = len(other.values(jid))
    now = len(listens.values(jid))
    until(lambda: len(listens.values(jid)) >= now + 4)
    assert len(other.values(jid)) == so_far
    done = stage.motemo("send", "trust list", "--jid", bob, "--to", jid, "--wait", "3", "--json", code=1)
    assert done.document["error"]["reason"] == "timeout"
    done = stage.motemo("trust", "unpin", jid, "--pin", bob, code=1)
    assert f"not pinned for {bob}" in done.sentence and "motemo trust list" in done.sentence
    answer = stage.motemo("send", f"trust pin {bob} {of_bob}", "--jid", alice, "--to", jid, "--wait", "30").out
    assert answer.strip() == f"Pinned for {bob}."
    other.event("reading", jid=jid)

    # Over the port, when no gateway runs; several boards at once, one of which is not there.
    gateway.stop()
    assert "no gateway runs" in stage.motemo("trust", "list", jid, code=1).sentence
    done = stage.motemo("trust", "list", "/dev/ttyNONE", port, "--json", code=1)
    assert '"reason": "not-found"' in done.out.splitlines()[0] and '"how": "chat"' in done.out.splitlines()[1]
    stage.motemo("trust", "unpin", port, "--pin", bob)
    stage.motemo("trust", "unpin", port, "--pin", alice, "--force")
    assert stage.motemo("trust", "list", port, "--json").document["owners"] == {}
    status = stage.status(board)
    assert status["owners"] == [] and not status["counters"].get("memory")
    board.kill()
    board.start()
    assert stage.motemo("trust", "list", port, "--json").document["owners"] == {}

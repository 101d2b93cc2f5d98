"""`motemo retire`: a board leaves the server, its owners are told, its keys leave its flash, its home forgets it."""

import pytest

from motemo.omemo import records
from tests.covers import covers
from tests.system.stage import COUNTING_MAIN, Stage, read_journal


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
    """The files of the home that name the board."""
    return [path for path in stage.home.rglob(f"{jid}*") if path.is_file()]


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

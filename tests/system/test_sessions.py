"""`motemo sessions`: a board that runs makes new sessions, by the gateway, by chat and over the port."""

from tests.covers import covers
from tests.system.stage import COUNTING_MAIN, until


@covers("O-126")
def test_sessions_are_replaced_while_readings_go_on(stage):
    jid, alice = stage.account("sessionboard"), stage.account("sessionalice")
    board = stage.board("sessions", COUNTING_MAIN)
    port = str(board.port)
    stage.provision(board, jid, "--owner", f"{alice}={stage.identity(alice)}", "--every", "1")
    listens = stage.listen(alice)  # first, so that both of its lists are there
    gateway = stage.gateway(board)
    listens.event("reading")

    (session,) = stage.motemo("sessions", "list", jid, "--json").document["sessions"]
    assert session["jid"] == alice and session["dialect"] == 2 and session["pinned"] and session["answered"]
    device = str(session["device"])
    assert f"{alice} device {device}: omemo:2, pinned" in stage.motemo("sessions", "list", port).out

    def sessions():
        return stage.motemo("sessions", "list", jid, "--jid", alice, "--json").document["sessions"]

    # Of this device: the new session is answered, and no reading is missing.
    done = stage.motemo("sessions", "reset", jid, "--jid", alice, "--device", device, "--json")
    assert done.document == {"board": jid, "reset": 1}
    until(lambda: sessions()[0]["former"] and sessions()[0]["answered"])
    now = len(listens.values(jid))
    until(lambda: len(listens.values(jid)) >= now + 3)
    values = listens.values(jid)
    assert values == [values[0] + number for number in range(len(values))]

    answer = stage.motemo("send", "reset session", "--jid", alice, "--to", jid, "--wait", "30").out
    assert answer.strip() == "New sessions are being made with your devices (1)."
    assert stage.motemo("sessions", "reset", jid, "--json").document["reset"] == 1
    assert "no session with" in stage.motemo("sessions", "reset", jid, "--jid", f"x{alice}", code=1).sentence
    assert "--jid" in stage.motemo("sessions", "reset", jid, "--device", device, code=2).sentence
    now = len(listens.values(jid))
    until(lambda: len(listens.values(jid)) >= now + 3)

    gateway.stop()
    assert stage.motemo("sessions", "reset", port, "--jid", alice, "--json").document["reset"] == 1
    assert not stage.status(board)["counters"].get("memory")

"""The command line: whatever goes wrong ends with one sentence that says what to do, and a second run mends it."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from motemo_host import cli
from motemo_host.fingerprint import grouped, qr_text
from tests.covers import covers
from tests.system.stage import MOTEMO, Stage, until


@pytest.fixture(scope="module")
def stage(prosody, tmp_path_factory):
    stage = Stage(prosody, tmp_path_factory.mktemp("cli"))
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def site(stage):
    """A provisioned board with its owner; nothing runs."""

    class Site:
        jid, owner = stage.account("cliboard"), stage.account("cliowner")
        board = stage.board("cli")
        port = str(board.port)
        report = stage.provision(board, jid, "--owner", f"{owner}={stage.identity(owner)}", "--every", "1")

    return Site()


# --- words

PROVISION = ["provision", "--port", "x", "--jid", "a@b.example"]
WORDS = [
    ([], None),
    (["nonsense"], "nonsense"),
    (["board"], None),
    (["board", "fly", "x"], "fly"),
    (["board", "run", "a/b"], "a/b"),
    (["board", "run", "x", "--heap", "5"], "--heap"),
    (["board", "run", "x", "--heap", "much"], "--heap"),
    (["status"], "--port"),
    (["status", "--port"], "--port"),
    (["status", "--port", "/dev/null", "--jason"], "--jason"),
    (["gateway"], "--port"),
    (["identity", "--jid", "alice"], "alice"),
    (["identity", "--jid", "a b@@c"], "a b@@c"),
    (["identity", "--jid", "alice@example.org/phone"], "alice@example.org/phone"),
    (["listen", "--jid", "alice"], "alice"),
    (["listen", "--jid", "a@example.org", "--server", "example.org"], "HOST:PORT"),
    (["listen", "--jid", "a@example.org", "--server", "example.org:0"], "HOST:PORT"),
    (["listen", "--jid", "a@example.org", "--tls", "ssl3"], "--tls"),
    (["send", "--jid", "a@example.org", "--to", "b@example.org"], "TEXT"),
    (["send", "", "--jid", "a@example.org", "--to", "b@example.org"], "nothing to send"),
    (["send", "x" * 1501, "--jid", "a@example.org", "--to", "b@example.org"], "1500 bytes"),
    (["send", "x", "--jid", "a@example.org", "--to", "b@example.org=12"], "64 hex digits"),
    (["send", "x", "--jid", "a@example.org", "--to", "b@example.org", "--wait", "-1"], "--wait"),
    (["trust", "list"], "which board"),
    (["trust", "pin", "x"], "--pin"),
    (["trust", "pin", "x", "--pin", "a@example.org"], "which device"),
    (["trust", "pin", "x", "--pin", "xmpp:a@example.org?omemo-sid-1=12"], "64 hex digits"),
    (["trust", "unpin", "x", "--pin", "xmpp:a@example.org"], "names no key"),
    (["send", "x", "--jid", "a@example.org", "--to", "xmpp:b@example.org?trust-message"], "encryption"),
    ([*PROVISION, "--server", "h:1", "--owner", "xmpp:c@d.example"], "names no key"),
    (["provision", "--port", "x"], "--jid"),
    ([*PROVISION, "--server", "h:1"], "--owner"),
    ([*PROVISION, "--server", "h", "--owner", "c@d.example"], "HOST:PORT"),
    ([*PROVISION, "--server", "h:1", "--owner", "c@d.example=zz"], "hex digits"),
    ([*PROVISION, "--server", "h:1", "--owner", "c@d.example", "--every", "0"], "--every"),
]


@pytest.mark.parametrize(("words", "part"), WORDS, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_wrong_words_end_with_2_and_one_sentence(words, part, tmp_path, capsys):
    if not words or words == ["board"]:
        assert cli.run(words) == 0  # the list of commands
        assert "Commands" in capsys.readouterr().out
        return
    home = ["--home", str(tmp_path / "home")]
    assert cli.run([*words, *home]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and err.startswith("motemo: ") and part in err
    assert cli.run([*words, *home, "--json"]) == 2
    out, err = capsys.readouterr()
    assert part in json.loads(out)["error"]["text"] and len(err.splitlines()) == 1


def test_help_and_version(stage):
    assert "provision" in stage.motemo("--help").out
    assert "--owner" in stage.motemo("provision", "--help").out
    assert subprocess.run([MOTEMO, "--version"], capture_output=True, text=True).stdout.strip()


# --- ports


def test_a_port_that_is_not_there(stage):
    for command in (["status"], ["gateway"]):
        done = stage.motemo(*command, "--port", "/dev/ttyNONE", "--json", code=1)
        assert "no port /dev/ttyNONE" in done.sentence and "motemo ports" in done.sentence
        assert done.document["error"]["reason"] == "not-found"


def test_a_bare_board_is_no_agent(stage):
    board = stage.board("clibare", bare=True)
    done = stage.motemo("status", "--port", str(board.port), "--json", code=1)
    assert "does not answer" in done.sentence and done.document["error"]["reason"] == "offline"
    assert stage.motemo("gateway", "--port", str(board.port), code=1).sentence
    board.kill()
    done = stage.motemo("status", "--port", str(board.port), code=1, timeout=30)
    assert "does not answer" in done.sentence
    board.close()


def test_a_board_with_an_agent_that_was_never_provisioned(stage):
    board = stage.board("clinew")
    document = stage.status(board)
    assert document["state"] == "bare" and "jid" not in document
    assert "motemo provision" in stage.motemo("status", "--port", str(board.port)).out
    assert "motemo provision" in stage.motemo("gateway", "--port", str(board.port), code=1).sentence
    board.close()


def test_a_port_that_the_gateway_has(stage, site):
    gateway = stage.gateway(site.board)
    done = stage.motemo("gateway", "--port", site.port, "--json", code=1)
    assert f"process {gateway.pid}" in done.sentence and "stop" in done.sentence
    assert done.document["error"]["reason"] == "refused"
    status = stage.status(site.board)  # by the gateway
    assert status["jid"] == site.jid and status["fingerprint"] == site.report["fingerprint"] and "gateway" in status
    gateway.stop()
    assert "gateway" not in stage.status(site.board)


@covers("O-144")
def test_the_status_for_people(stage, site):
    out = stage.motemo("status", "--port", site.port).out
    assert f"account      {site.jid} (device {site.report['device']})" in out
    digits = site.report["fingerprint"]
    assert " ".join(digits[at : at + 8] for at in range(0, 64, 8)) in out
    assert "heap" in out and "faults" in out


@covers("O-144")
def test_the_identity_for_people(stage, site):
    document = stage.motemo("identity", "--jid", site.owner, "--json").document
    out = stage.motemo("identity", "--jid", site.owner).out
    assert f"{site.owner}, device {document['device']}" in out
    assert grouped(bytes.fromhex(document["fingerprint"])) in out
    assert document["uri"] == f"xmpp:{site.owner}?omemo-sid-{document['device']}={document['fingerprint']}"
    assert f"{document['uri']}\n{document['trust_uri']}\n{qr_text(document['uri'])}" in out


def test_a_virtual_board_and_the_list_of_ports(stage):
    running = stage.start("board", "run", "desk", "--json")
    until(lambda: running.events)
    (document,) = running.events
    assert document["name"] == "desk" and document["heap_kib"] == 128
    assert os.path.exists(document["port"])
    done = stage.motemo("board", "run", "desk", code=1)
    assert f"in process {running.pid}" in done.sentence
    (report,) = [one for one in stage.motemo("ports", "--json").document if one["path"] == document["port"]]
    assert report["state"] == "micropython" and "agent" in report["text"]
    assert f"{document['port']}  micropython: " in stage.motemo("ports").out
    os.kill(running.pid, signal.SIGTERM)
    assert running.wait() == 0
    assert "error" in stage.motemo("status", "--port", document["port"], "--json", code=1).document


# --- passwords and servers


def provisioning(stage, site, **changes):
    """The words to provision the board again, with some of them changed or left out."""
    words = {
        "--port": site.port,
        "--jid": site.jid,
        "--password-file": str(stage.folder / site.jid),
        "--server": stage.server_words[1],
        "--ca": stage.server_words[3],
        "--owner": site.owner,
    }
    words |= {"--" + name.replace("_", "-"): value for name, value in changes.items()}
    return ["provision", *(word for pair in words.items() if pair[1] is not None for word in pair)]


def test_passwords_that_are_missing(stage, site, tmp_path):
    done = stage.motemo(*provisioning(stage, site, password_file=None), code=1)
    assert "--password-file" in done.sentence
    done = stage.motemo(*provisioning(stage, site, password_file=str(tmp_path / "none")), code=1)
    assert "there is no password file" in done.sentence
    (tmp_path / "empty").write_text("\n")
    done = stage.motemo(*provisioning(stage, site, password_file=str(tmp_path / "empty")), code=1)
    assert "is empty" in done.sentence
    done = stage.motemo(*provisioning(stage, site, password_file=str(tmp_path)), code=1)
    assert "cannot be read" in done.sentence
    done = stage.motemo("listen", "--jid", "nobody@localhost", "--json", code=1)
    assert "--server" in done.sentence and done.document["error"]["reason"] == "not-found"


def test_a_wrong_password_and_again_with_the_right_one(stage, site, tmp_path):
    (tmp_path / "wrong").write_text("not it")
    done = stage.motemo(*provisioning(stage, site, password_file=str(tmp_path / "wrong")), "--json", code=1)
    assert "does not accept this password" in done.sentence and done.document["error"]["reason"] == "refused"
    words = [*stage.at(site.owner)]
    words[words.index("--password-file") + 1] = str(tmp_path / "wrong")
    for command in (["listen"], ["send", "help", "--to", site.jid]):
        done = stage.motemo(*command, *words, "--json", code=1)
        assert "does not accept this password" in done.sentence
    # A login that does not work is not kept.
    stage.listen(site.owner).stop()
    again = stage.start("listen", "--jid", site.owner, "--json")
    again.event("ready")
    again.stop()


def test_a_server_that_is_not_there(stage, site):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        done = stage.motemo(*provisioning(stage, site, server=address), "--json", code=1)
    assert f"{address} cannot be reached" in done.sentence and done.document["error"]["reason"] == "offline"
    done = stage.motemo(*provisioning(stage, site, server="nowhere.invalid:5222"), code=1)
    assert "check the server's name" in done.sentence


def test_a_certificate_that_is_not_trusted(stage, site, tmp_path):
    done = stage.motemo(*provisioning(stage, site, ca=None), code=1)
    assert "certificate" in done.sentence and "--ca" in done.sentence
    (tmp_path / "no.pem").write_text("this is none")
    done = stage.motemo(*provisioning(stage, site, ca=str(tmp_path / "no.pem")), code=1)
    assert "is not a file of certificates" in done.sentence


def test_a_server_that_refuses(stage, site):
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=hang_up, args=(server,), daemon=True).start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        done = stage.motemo(*provisioning(stage, site, server=address), code=1)
        assert "closed the connection" in done.sentence
    done = stage.motemo(*provisioning(stage, site, tls="direct"), code=1)
    assert "--tls" in done.sentence
    done = stage.motemo(*provisioning(stage, site, jid="board@elsewhere.example"), code=1)
    assert "elsewhere.example" in done.sentence


def hang_up(server):
    with contextlib.suppress(OSError):
        while True:
            server.accept()[0].close()


def test_an_owner_without_omemo(stage, site):
    nobody = stage.account("clinobody")
    done = stage.motemo(*provisioning(stage, site, owner=nobody), "--json", code=1)
    assert f"{nobody} has no OMEMO device" in done.sentence and done.document["error"]["reason"] == "no-devices"
    assert stage.status(site.board)["owners"] == [site.owner]


def test_what_boards_cannot_do_yet(stage, site):
    assert "--mode linked" in stage.motemo(*provisioning(stage, site, mode="direct"), code=1).sentence
    assert "52" in stage.motemo(*provisioning(stage, site, label="x" * 53), code=2).sentence


# --- one identity, one process


def test_two_collectors_of_one_identity(stage, site):
    stage.motemo(*provisioning(stage, site))
    gateway, listener = stage.gateway(site.board), stage.listen(site.owner)
    done = stage.motemo("listen", *stage.at(site.owner), "--json", code=1)
    assert f"in use by process {listener.pid}" in done.sentence and done.document["error"]["reason"] == "refused"
    assert stage.motemo("identity", "--jid", site.owner, "--json").document["device"] > 0
    answer = stage.motemo("send", "get", "--jid", site.owner, "--to", site.jid, "--wait", "20")
    assert answer.out.startswith("temperature ")
    document = stage.motemo("send", "get", "--jid", site.owner, "--to", site.jid, "--json").document
    assert document == {"to": site.jid, "text": "get", "answer": None}
    gateway.stop()
    listener.stop()


def test_a_lock_without_a_socket_is_named(stage, site):
    with open(stage.home / "identities" / site.owner / "lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write("4711")
        lock.flush()
        done = stage.motemo("send", "get", "--jid", site.owner, "--to", site.jid, code=1)
    assert "process 4711" in done.sentence


def test_a_board_that_nobody_knows_or_that_does_not_answer(stage, site):
    unknown = stage.account("cliunknown")
    done = stage.motemo("send", "get", "--jid", site.owner, "--to", unknown, "--json", code=1)
    assert unknown in done.sentence and done.document["error"]["reason"] == "no-devices"
    done = stage.motemo("send", "get", "--jid", site.owner, "--to", site.jid, "--wait", "1", "--json", code=1)
    assert "did not answer" in done.sentence and done.document["error"]["reason"] == "timeout"
    with_listener = stage.listen(site.owner)
    done = stage.motemo("send", "get", "--jid", site.owner, "--to", unknown, "--json", code=1)
    assert unknown in done.sentence
    done = stage.motemo("send", "get", "--jid", site.owner, "--to", site.jid, "--wait", "1", "--json", code=1)
    assert "did not answer" in done.sentence
    with_listener.stop()


# --- files


def test_a_home_or_a_database_that_cannot_be_used(stage, site, tmp_path):
    (tmp_path / "file").write_text("no folder")
    done = subprocess.run(
        [MOTEMO, "identity", "--jid", site.owner, "--home", tmp_path / "file" / "x"], capture_output=True, text=True
    )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and "file" in done.stderr
    (tmp_path / "junk.db").write_text("this is no database, it is longer than a header of one" * 20)
    for path in (tmp_path / "junk.db", tmp_path / "none" / "x.db"):
        done = stage.motemo("listen", *stage.at(site.owner), "--db", str(path), code=1)
        assert "cannot be stored" in done.sentence


def test_a_login_that_was_damaged(stage, site):
    path = stage.home / "accounts" / f"{site.jid}.json"
    kept = path.read_text()
    try:
        for damaged in ("{", "[]"):
            path.write_text(damaged)
            assert "motemo provision" in stage.motemo("gateway", "--port", site.port, code=1).sentence
        path.unlink()
        assert "motemo provision" in stage.motemo("gateway", "--port", site.port, code=1).sentence
    finally:
        path.write_text(kept)


def test_a_reader_that_goes_away_ends_the_collector(stage, site):
    gateway = stage.gateway(site.board)
    words = [MOTEMO, "listen", *stage.at(site.owner), "--home", stage.home]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 0
        assert "Traceback" not in process.stderr.read()
    gateway.stop()


# --- a board that goes away in the middle

STEPS = ["board", "install", "keys", "owners", "publish"]


def pull_the_cable(board):
    board.unplug()


def cut_the_power(board):
    board.kill()
    time.sleep(0.1)
    board.start()


@pytest.mark.parametrize("harm", [pull_the_cable, cut_the_power])
def test_provisioning_goes_on_where_it_was_interrupted(stage, site, harm):
    name = harm.__name__.replace("_", "")
    jid = stage.account("cli" + name)
    board = stage.board(name, bare=True)
    owner = f"{site.owner}={stage.identity(site.owner)}"
    words = ["provision", "--port", str(board.port), *stage.at(jid), "--owner", owner, "--json"]
    fingerprints = set()
    for step in STEPS:
        code, out, err = interrupted(stage, words, step, lambda: harm(board))
        assert "Traceback" not in err, err
        if code:
            last = err.splitlines()[-1]
            assert code == 1 and last.startswith("motemo: ") and json.loads(out)["error"]["text"] in last, err
            assert any(word in last for word in ("again", "plug", "reset")), last
        else:  # it came back in time
            assert harm is cut_the_power and json.loads(out)["jid"] == jid
        board.plug()
        status = json.loads(stage.motemo("status", "--port", str(board.port), "--json", code=None).out)
        fingerprints.add(status.get("fingerprint"))
    report = stage.motemo(*words).document
    status = stage.status(board)
    assert status["state"] == "ready" and status["fingerprint"] == report["fingerprint"]
    assert fingerprints <= {None, report["fingerprint"]}
    stage.gateway(board).stop()
    board.close()


def interrupted(stage, words, step, act):
    """Runs a command and acts at this step of it: its exit code, stdout, stderr."""
    with subprocess.Popen(
        [MOTEMO, *words, "--home", stage.home],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.split()[0] == step:
                time.sleep(0.05)
                act()
                break
        out, err = process.communicate(timeout=120)
    return process.returncode, out, "".join(lines) + err


def test_a_server_that_goes_away_in_the_middle_and_again(stage, site):
    jid = stage.account("cliserver")
    board = stage.board("cliserver")
    owner = f"{site.owner}={stage.identity(site.owner)}"
    words = ["provision", "--port", str(board.port), *stage.at(jid), "--owner", owner, "--json"]

    def restart():
        stage.server.kill()
        stage.server.start()

    for step in ("keys", "publish"):
        code, out, err = interrupted(stage, words, step, restart)
        assert "Traceback" not in err, err
        assert code == 0 or err.splitlines()[-1].startswith("motemo: "), err
    assert stage.motemo(*words).document["jid"] == jid
    board.close()

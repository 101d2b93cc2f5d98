"""The whole path on real parts: a reading from a board over gateway and server to a collector, a command back."""

import json
import time

import pytest

from tests.covers import covers
from tests.system.stage import COUNTING_MAIN, Stage, until


@pytest.fixture(scope="module")
def stage(prosody, tmp_path_factory):
    stage = Stage(prosody, tmp_path_factory.mktemp("path"))
    yield stage
    stage.close()


class Path:
    """A board that was bare, linked by a gateway, heard by its owner's collector."""

    def __init__(self, stage):
        self.stage = stage
        self.jid, self.owner = stage.account("pathboard"), stage.account("pathowner")
        self.owner_fingerprint = stage.identity(self.owner)
        self.board = stage.board("path", bare=True)
        self.report = stage.provision(
            self.board,
            self.jid,
            *("--owner", f"{self.owner}={self.owner_fingerprint}", "--label", "Kitchen", "--every", "1"),
        )
        self.status = stage.status(self.board)
        self.gateway = stage.gateway(self.board)
        self.listener = stage.listen(self.owner)

    def say(self, text, wait=30):
        """The answer to a command, through the running collector."""
        words = ("--jid", self.owner, "--to", self.jid, "--wait", str(wait), "--json")
        return self.stage.motemo("send", text, *words).document["answer"]


@pytest.fixture(scope="module")
def path(stage):
    return Path(stage)


@pytest.fixture(scope="module")
def counting(stage):
    """Another board of the same owner, whose readings count up: its JID, its virtual board."""
    jid = stage.account("pathcount")
    owner = "pathowner@localhost"
    board = stage.board("count", COUNTING_MAIN)
    stage.provision(board, jid, "--owner", f"{owner}={stage.identity(owner)}", "--every", "1")
    return jid, board


def test_a_bare_board_gets_the_agent_and_makes_its_keys(path):
    report, status = path.report, path.status
    assert report["jid"] == path.jid and report["label"] == "Kitchen"
    assert report["owners"] == {path.owner: [path.owner_fingerprint]} and report["first_use"] == []
    assert report["uri"] == f"xmpp:{path.jid}?omemo-sid-{report['device']}={report['fingerprint']}"
    assert {name: status[name] for name in ("state", "jid", "device", "fingerprint", "label", "every", "mode")} == {
        "state": "ready",
        "jid": path.jid,
        "device": report["device"],
        "fingerprint": report["fingerprint"],
        "label": "Kitchen",
        "every": 1,
        "mode": "linked",
    }
    assert status["owners"] == [path.owner]
    assert status["sensors"] == ["temperature"] and status["commands"] == ["relay"]
    assert min(status["heap_least"], status["heap_free"], status["flash_used"]) > 0


def test_ten_readings_arrive_in_order_each_once(path):
    events = [path.listener.event("reading") for _ in range(10)]
    times = []
    for event in events:
        assert event["jid"] == path.jid and event["trusted"] and event["device"] == path.report["device"]
        (reading,) = event["readings"]
        assert reading["name"] == "temperature" and reading["unit"] == "Cel" and 20 <= reading["value"] <= 45
        if not reading["time"]:
            continue  # measured before the board heard the time
        assert abs(time.time() - reading["time"]) < 30
        assert event["text"] == f"temperature {reading['value']:g} °C"
        times.append(reading["time"])
    assert times == sorted(set(times))
    assert path.stage.stored(path.jid)[:10] == path.listener.values(path.jid)[:10]


def test_a_command_is_answered_while_listen_runs(path):
    assert path.say("set relay on") == "relay is on"
    assert path.listener.event("text")["text"] == "relay is on"
    assert path.say("set relay off") == "relay is off"
    assert "temperature" in path.say("get")


def test_a_command_is_answered_without_listen_and_nothing_is_lost_meanwhile(path):
    path.listener.stop()
    assert path.say("set relay on") == "relay is on"
    path.listener = path.stage.listen(path.owner)
    for _ in range(2):
        path.listener.event("reading")
    # The collector is away for seconds at most, and what comes meanwhile comes late: no gap above two intervals.
    db = path.stage.stored(path.jid)
    assert len(db) >= 12


def test_the_chat_shows_the_status(path):
    assert "readings waiting, 0 dropped" in path.say("status")
    assert path.say("every 2 s") == "A reading every 2 s from now on."
    assert path.say("every 1 s") == "A reading every 1 s from now on."
    assert path.say("nonsense").startswith("I do not know that.")


def test_a_second_board_on_the_same_gateway_counts_without_gap(path, counting):
    jid, board = counting
    path.gateway.stop()
    path.listener.stop()
    path.listener = path.stage.listen(path.owner)
    path.gateway = path.stage.gateway(path.board, board)
    until(lambda: len(path.stage.stored(jid)) >= 5)
    check_counting(path.stage.stored(jid))


def test_it_goes_on_after_a_reset_and_a_power_cut(path, counting):
    jid, board = counting
    words = ("--jid", path.owner, "--to", jid)
    boots = board.boots
    path.stage.motemo("send", "set power off", *words)
    until(lambda: board.boots > boots)
    lives_on(path, jid)
    time.sleep(0.7)  # not at the beat of the readings
    board.kill()
    time.sleep(0.5)
    board.start()
    lives_on(path, jid)
    answer = path.stage.motemo("send", "set relay on", *words, "--wait", "30", "--json").document["answer"]
    assert answer == "relay is on"
    check_counting(path.stage.stored(jid))


@covers("M-16")
def test_a_gateway_that_crashes_doubles_nothing_and_loses_nothing(path, counting):
    jid, board = counting
    for pause in (0.3, 0.8, 1.1):
        path.gateway.kill()
        time.sleep(pause)
        path.gateway = path.stage.gateway(path.board, board)
        lives_on(path, jid, 2)
    check_counting(path.stage.stored(jid))


def test_a_collector_that_crashes_gets_what_came_meanwhile(path, counting):
    jid, board = counting
    path.listener.kill()
    time.sleep(4)
    path.listener = path.stage.listen(path.owner)
    lives_on(path, jid)
    check_counting(path.stage.stored(jid))
    problems = [event for event in path.listener.events if event["event"] == "problem"]
    assert not problems, json.dumps(problems)


def test_the_cable_may_be_pulled(path, counting):
    jid, board = counting
    board.unplug()
    time.sleep(2)
    board.plug()
    lives_on(path, jid)
    check_counting(path.stage.stored(jid))


def test_provisioning_again_keeps_keys_and_what_the_board_said(path, counting):
    jid, board = counting
    path.gateway.stop()
    before = path.stage.status(board)
    owner = f"{path.owner}={path.owner_fingerprint}"
    report = path.stage.provision(board, jid, "--owner", owner, "--label", "Counter", "--every", "1")
    assert (report["fingerprint"], report["device"]) == (before["fingerprint"], before["device"])
    after = path.stage.status(board)
    assert after["label"] == "Counter" and after["sessions"] == before["sessions"]
    path.gateway = path.stage.gateway(path.board, board)
    lives_on(path, jid)
    check_counting(path.stage.stored(jid))


def test_what_is_sent_while_no_gateway_runs_is_answered_later(path, counting):
    jid, board = counting
    path.gateway.stop()
    words = ("--jid", path.owner, "--to", jid)
    path.stage.motemo("send", "set relay late", *words)
    owner = f"{path.owner}={path.owner_fingerprint}"
    path.stage.provision(board, jid, "--owner", owner, "--every", "1")  # its connection gets the stanza first
    path.gateway = path.stage.gateway(path.board, board)
    path.listener.event("text", text="relay is late")
    check_counting(path.stage.stored(jid))


def test_an_owner_of_first_use_and_a_second_owner(path, counting):
    jid, board = counting
    stage = path.stage
    second = stage.account("pathsecond")
    listener = stage.listen(second, "--db", str(stage.folder / "second.db"))
    path.gateway.stop()
    owners = ("--owner", path.owner, "--owner", second)
    done = stage.motemo("provision", "--port", str(board.port), *stage.at(jid), *owners, "--every", "1")
    assert f"owner {second} (listed on the server now, not compared by you):" in done.out
    status = stage.status(board)
    assert sorted(status["owners"]) == sorted([path.owner, second])
    path.gateway = stage.gateway(path.board, board)
    lives_on(path, jid)
    first = listener.event("reading")
    assert first["jid"] == jid and first["trusted"]
    answer = stage.motemo("send", "set relay two", "--jid", second, "--to", jid, "--wait", "30", "--json").document
    assert answer["answer"] == "relay is two"
    path.gateway.stop()
    stage.provision(board, jid, "--owner", path.owner, "--every", "1")
    assert stage.status(board)["owners"] == [path.owner]
    path.gateway = stage.gateway(path.board, board)
    lives_on(path, jid)
    listener.stop()
    check_counting(stage.stored(jid))


def test_a_board_of_another_account_is_erased_only_when_told_to(path, counting):
    jid, board = counting
    stage = path.stage
    path.gateway.stop()
    other = stage.account("pathother")
    words = ("provision", "--port", str(board.port), *stage.at(other), "--owner", path.owner)
    done = stage.motemo(*words, "--json", code=1)
    assert done.document["error"]["reason"] == "provisioned"
    assert f"this board is {jid}" in done.sentence and "--replace" in done.sentence
    before = stage.status(board)
    report = stage.motemo(*words, "--replace", "--json").document
    after = stage.status(board)
    assert after["jid"] == other and after["fingerprint"] == report["fingerprint"] != before["fingerprint"]
    path.gateway = stage.gateway(path.board, board)
    assert path.listener.event("reading", jid=other)


def lives_on(path, jid, count=3):
    """Waits for readings that are new from now on."""
    start = len(path.stage.stored(jid))
    until(lambda: len(path.stage.stored(jid)) >= start + count)


def check_counting(values):
    """Each once, in order and without a gap; only a power cut takes what is in the outbox."""
    assert values == sorted(set(values)), values
    for life in {value // 10000 for value in values}:
        own = [value for value in values if value // 10000 == life]
        assert own == list(range(int(own[0]), int(own[0]) + len(own))), json.dumps(values)
        assert own[0] % 10000 == 1, values

"""The gateway's queue: nothing is lost, nothing is kept twice, not even by kill -9."""

import os
import signal
import stat
import subprocess
import sys
import textwrap

import pytest

from motemo.errors import StateError
from motemo_host import queue as module
from motemo_host.queue import Queue
from tests.raises import raises

BOARD = "board@example.org"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "queue.db"


@pytest.fixture
def queue(path):
    queue = Queue(path)
    yield queue
    queue.close()


def test_what_waits_for_a_board_comes_in_order_until_it_is_taken(queue):
    queue.keep_inbound(BOARD, {"from": "a@b", "data": b"\0\xff", "kex": True})
    queue.keep_inbound("other@example.org", {"from": "c@d"})
    queue.keep_inbound(BOARD, {"from": "e@f"})
    number, message = queue.next_inbound(BOARD)
    assert message == {"from": "a@b", "data": b"\0\xff", "kex": True}
    assert queue.next_inbound(BOARD)[0] == number
    queue.inbound_taken(number)
    assert queue.next_inbound(BOARD)[1] == {"from": "e@f"}
    assert queue.waiting(BOARD) == (1, 0)
    assert queue.next_inbound("nobody@example.org") is None


def test_a_stanza_with_an_archive_id_is_kept_once_for_each_board(queue, monkeypatch):
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    assert queue.keep_inbound(BOARD, {"id": 1}, "a")
    assert not queue.keep_inbound(BOARD, {"id": 1}, "a")
    assert queue.keep_inbound("other@example.org", {"id": 1}, "a")
    queue.inbound_taken(queue.next_inbound(BOARD)[0])
    assert not queue.keep_inbound(BOARD, {"id": 1}, "a")
    assert all(queue.keep_inbound(BOARD, {"id": 2}, archive_id) for archive_id in "bcd")
    assert queue.keep_inbound(BOARD, {"id": 1}, "a")
    assert queue.keep_inbound(BOARD, {"id": 3}) and queue.keep_inbound(BOARD, {"id": 3})


def test_messages_for_a_room_wait_apart(queue):
    queue.keep_outbound(BOARD, 1, "room@rooms.example.org", "<encrypted/>", "groupchat")
    queue.keep_outbound(BOARD, 2, "a@b", "<encrypted/>")
    assert [one.recipient for one in queue.outbound(BOARD, 10)] == ["a@b"]
    assert [one.recipient for one in queue.outbound(BOARD, 10, "groupchat")] == ["room@rooms.example.org"]
    assert queue.waiting(BOARD) == (0, 2)


def test_a_queue_of_the_former_version_goes_on(path):
    queue = Queue(path)
    queue.keep_outbound(BOARD, 1, "a@b", "<encrypted/>")
    queue._db.executescript("ALTER TABLE outbound DROP COLUMN kind; PRAGMA user_version = 1;")
    queue.close()
    for _ in range(2):
        queue = Queue(path)
        (waiting,) = queue.outbound(BOARD, 10)
        assert waiting.recipient == "a@b"
        queue.keep_outbound(BOARD, 2, "room@rooms.example.org", "<encrypted/>", "groupchat")
        assert len(queue.outbound(BOARD, 10, "groupchat")) == 1
        queue.close()


def test_a_message_of_a_board_is_kept_once(queue):
    assert queue.keep_outbound(BOARD, 1, "a@b", "<encrypted/>")
    assert not queue.keep_outbound(BOARD, 1, "a@b", "<encrypted/>")
    (waiting,) = queue.outbound(BOARD, 10)
    queue.outbound_taken(BOARD, waiting.seq)
    assert queue.outbound(BOARD, 10) == []
    assert not queue.keep_outbound(BOARD, 1, "a@b", "<encrypted/>")


def test_an_id_that_is_used_again_for_another_message_loses_nothing(queue):
    assert queue.keep_outbound(BOARD, 1, "a@b", "<encrypted/>")
    assert queue.keep_outbound(BOARD, 1, "a@b", "<encrypted>other</encrypted>")
    assert queue.keep_outbound("other@example.org", 1, "a@b", "<encrypted/>")
    assert len(queue.outbound(BOARD, 10)) == 2


def test_a_message_has_the_same_stanza_id_at_each_attempt(queue, path):
    queue.keep_outbound(BOARD, 1, "a@b", "<encrypted/>")
    before = queue.outbound(BOARD, 1)
    queue.close()
    again = Queue(path)
    assert again.outbound(BOARD, 1) == before
    again.close()


def test_the_memory_of_sent_messages_is_bounded(queue, monkeypatch):
    monkeypatch.setattr(module, "_REMEMBERED", 10)
    for id in range(50):
        queue.keep_outbound(BOARD, id, "a@b", f"<e>{id}</e>")
        queue.keep_outbound("other@example.org", id, "a@b", f"<e>{id}</e>")
        queue.outbound_taken(BOARD, queue.outbound(BOARD, 1)[0].seq)
    assert not queue.keep_outbound(BOARD, 40, "a@b", "<e>40</e>")
    assert queue.keep_outbound(BOARD, 5, "a@b", "<e>5</e>")
    assert queue.waiting("other@example.org") == (0, 50)


def test_a_full_queue_says_so_and_keeps_what_it_has(queue, monkeypatch):
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    for id in range(2):
        queue.keep_inbound(BOARD, {"id": id})
        queue.keep_outbound(BOARD, id, "a@b", "x")
    raises(StateError, "full", queue.keep_inbound, BOARD, {})
    raises(StateError, "full", queue.keep_outbound, BOARD, 3, "a@b", "x")
    assert queue.waiting(BOARD) == (2, 2)


def test_the_time_online(queue):
    assert queue.last_online(BOARD) is None
    queue.note_online(BOARD, 5)
    queue.note_online(BOARD, 7)
    assert queue.last_online(BOARD) == 7


def test_only_the_owner_may_read_the_files(queue, path):
    queue.keep_inbound(BOARD, {"id": 1})
    files = list(path.parent.iterdir())
    assert len(files) == 3  # the database, its journal, the journal's index
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0rubbish" * 100])
def test_a_file_that_is_no_queue_is_refused(path, content):
    path.write_bytes(content)
    raises(StateError, "corrupt", Queue, path)
    assert path.read_bytes() == content


def test_a_folder_that_is_not_there_is_told(tmp_path):
    assert "cannot be used" in raises(StateError, "corrupt", Queue, tmp_path / "no" / "queue.db").text


def test_what_was_kept_survives_kill_9(path):
    script = textwrap.dedent(
        """
        import os, sys
        from motemo_host.queue import Queue
        queue = Queue(sys.argv[1])
        for id in range(1000):
            queue.keep_outbound("board@example.org", id, "a@b", f"<e>{id}</e>")
            queue.keep_inbound("board@example.org", {"id": id})
            print(id, flush=True)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        told = [int(process.stdout.readline()) for _ in range(100)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().split()]
    queue = Queue(path)
    waiting = [message.stanza for message in queue.outbound(BOARD, 2000)]
    assert waiting[: len(told)] == [f"<e>{id}</e>" for id in told]
    assert queue.waiting(BOARD)[0] >= len(told)
    assert queue.next_inbound(BOARD)[1] == {"id": 0}
    queue.close()

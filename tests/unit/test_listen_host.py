"""What `motemo listen` prints of what a board said, for people and for programs."""

import json
import time

from motemo_host.collector import Heard
from motemo_host.commands.common import Common
from motemo_host.commands.listen import show
from tests.covers import covers

BOARD = "board@example.org"


def printed(capsys, heard):
    """The line for people without its time, and the document for programs."""
    show(Common(), heard)
    show(Common(json=True), heard)
    text, document = capsys.readouterr().out.splitlines()
    return text[10:], json.loads(document)


@covers("O-102", "O-142")
def test_an_opt_out_is_shown_with_its_reason_which_controls_nothing(capsys):
    text, document = printed(capsys, Heard(BOARD, 5, True, "farewell", opt_out="a\n\x1b[2Jb" + "x" * 1000))
    assert text.startswith(BOARD + "  WARNING: ") and "a \ufffd[2Jbxx" in text and len(text) < 700
    assert document == {
        "event": "opt-out",
        "jid": BOARD,
        "device": 5,
        "trusted": True,
        "text": "farewell",
        "reason": "a\n\x1b[2Jb" + "x" * 493,
    }
    text, document = printed(capsys, Heard(BOARD, 5, False, opt_out=""))
    assert "NOT a pinned device" in text and document["trusted"] is False and document["reason"] == ""


@covers("O-095", "O-123", "M-02")
def test_what_could_not_be_read_is_told_by_cause(capsys):
    text, document = printed(capsys, Heard(BOARD, 5, False, problem="bad-tag"))
    assert text == BOARD + "  a message of device 5 could not be read: bad-tag"
    assert abs(document.pop("time") - time.time()) < 60
    assert document == {"event": "problem", "jid": BOARD, "device": 5, "trusted": False, "reason": "bad-tag"}
    assert "without OMEMO" in printed(capsys, Heard(BOARD, 0, False, problem="plain"))[0]
    assert "nothing in it" in printed(capsys, Heard(BOARD, 5, True, problem="unknown"))[0]


@covers("O-058")
def test_a_label_stands_beside_the_address_and_a_notice_is_no_answer(capsys):
    text, document = printed(capsys, Heard(BOARD, 5, True, "I could not read", notice=True, label="Attic\x1b"))
    assert text == BOARD + " (Attic\ufffd)  I could not read"
    assert document["event"] == "notice" and document["label"] == "Attic\x1b"

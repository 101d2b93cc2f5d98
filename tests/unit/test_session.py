"""The session: handshake, order, once, patience, restarts, clocks that wrap."""

from binascii import crc32

from motemo.errors import LocalError, StateError
from motemo.link import frame
from motemo.link.session import BOARD, HOST, LIMIT, QUEUE, Session
from tests.raises import raises

BOARD_ID = b"\x0b\x00\x00\x01"
HOST_ID = b"\x0a\x00\x00\x02"


class Pair:
    """A board and a host on a perfect line; `events` are ("board" or "host", event...)."""

    def __init__(self):
        self.board = Session(BOARD, BOARD_ID)
        self.host = Session(HOST, HOST_ID)
        self.now = 0
        self.events = []
        self.accepts = True

    def got(self, end, name, data):
        for event in end.receive(data):
            self.events.append((name,) + event)
            if event[0] == "message" and self.accepts:
                end.accept()

    def run(self, rounds=100):
        """Carry bytes until nobody has any."""
        for _ in range(rounds):
            to_host = self.board.poll(self.now)
            to_board = self.host.poll(self.now)
            if not to_host and not to_board:
                return
            self.got(self.host, "host", to_host)
            self.got(self.board, "board", to_board)

    def messages(self, name):
        return [event[2] for event in self.events if event[0] == name and event[1] == "message"]


def linked():
    pair = Pair()
    pair.run()
    assert pair.board.up and pair.host.up
    pair.events = []
    return pair


def test_both_come_up():
    pair = Pair()
    pair.run()
    assert sorted(pair.events) == [("board", "up"), ("host", "up")]
    assert pair.board.next_ms(0) is None and pair.host.next_ms(0) is None


def test_host_attaches_to_a_running_board():
    board = Session(BOARD, BOARD_ID)
    now = 0
    while now < 60000:  # it calls into the void, ever more rarely
        board.poll(now)
        now += board.next_ms(now) or 1
    host = Session(HOST, HOST_ID)
    board.receive(host.poll(0))
    assert board.next_ms(now) == 0
    assert host.receive(board.poll(now)) == [("up",)]
    assert board.receive(host.poll(0)) == [("up",)]


def test_hello_is_repeated_until_it_is_answered():
    host = Session(HOST, HOST_ID)
    hellos = 0
    now = 0
    for _ in range(10):
        hellos += host.poll(now) != b""
        assert host.poll(now) == b""
        assert 0 < host.next_ms(now) <= 8000
        now += host.next_ms(now)
    assert hellos == 10 and now < 60000


def test_messages_both_ways_in_order_with_tags():
    pair = Pair()
    sizes = (0, 1, 511, 512, 513, 1024, 3700, LIMIT)
    to_host = [bytes([i]) * size for i, size in enumerate(sizes)]
    to_board = [bytes([i + 100]) * size for i, size in enumerate(sizes)]
    for i in range(len(sizes)):
        pair.board.send(to_host[i], i)
        pair.host.send(to_board[i], -i)
    pair.run(1000)
    assert pair.messages("host") == to_host
    assert pair.messages("board") == to_board
    assert [event[2] for event in pair.events if event[:2] == ("board", "sent")] == list(range(len(sizes)))
    assert pair.board.waiting() == 0


def test_more_messages_than_numbers():
    pair = linked()
    for i in range(600):
        pair.events = []  # kept between, they would leave a small heap in splinters
        pair.board.send(i.to_bytes(2, "big"), i)
        pair.run()
        assert pair.events == [("host", "message", i.to_bytes(2, "big")), ("board", "sent", i)]


def test_acknowledged_only_when_accepted():
    pair = linked()
    pair.accepts = False
    pair.board.send(b"reading", "r")
    pair.run()
    assert pair.events == [("host", "message", b"reading")]
    for _ in range(20):  # the host works for long; repetitions do no harm
        pair.now += pair.board.next_ms(pair.now)
        pair.run()
    assert pair.events == [("host", "message", b"reading")]
    pair.host.accept()
    pair.run()
    assert pair.events[1:] == [("board", "sent", "r")]
    raises(LocalError, "protocol", pair.host.accept)


def test_answers_pass_while_a_message_is_worked_on():
    pair = linked()
    pair.accepts = False
    pair.host.send(b"request")
    pair.run()
    pair.board.send(b"log line")
    pair.run()
    assert pair.messages("host") == [b"log line"]


def test_lost_fragment_and_lost_ack():
    pair = linked()
    pair.board.send(b"a" * 600)
    pair.board.poll(0)  # lost
    assert pair.board.poll(0) == b""
    pair.now = pair.board.next_ms(0)
    assert pair.host.receive(pair.board.poll(pair.now)) == []
    pair.host.poll(pair.now)  # the ACK is lost
    pair.now += pair.board.next_ms(pair.now)
    pair.run()
    assert pair.messages("host") == [b"a" * 600]


def test_repetitions_grow_rarer():
    pair = linked()
    pair.board.send(b"a")
    pair.board.poll(0)
    waits = []
    now = 0
    for _ in range(10):
        waits.append(pair.board.next_ms(now))
        now += waits[-1]
        assert pair.board.poll(now) != b""
    assert waits == sorted(waits) and waits[0] >= 250 and waits[-1] == 8000


def test_repeated_frames_are_dropped():
    pair = linked()
    pair.board.send(b"once")
    sent = pair.board.poll(0)
    pair.got(pair.host, "host", sent + sent)
    pair.got(pair.host, "host", sent)
    pair.got(pair.board, "board", pair.host.poll(0))
    pair.got(pair.host, "host", sent)
    pair.run()
    assert pair.messages("host") == [b"once"]


def test_host_restarts():
    pair = linked()
    pair.accepts = False
    pair.board.send(b"x" * 1000, "first")
    pair.board.send(b"second", "second")
    pair.got(pair.host, "host", pair.board.poll(0))
    pair.got(pair.board, "board", pair.host.poll(0))  # half of the first is there
    pair.host = Session(HOST, b"\x0a\x00\x00\x09")
    pair.accepts = True
    pair.run()
    assert pair.events[:3] == [("board", "down"), ("host", "up"), ("board", "up")]
    assert pair.messages("host") == [b"x" * 1000, b"second"]
    assert [event[2] for event in pair.events if event[1] == "sent"] == ["first", "second"]


def test_board_restarts_and_its_hello_is_lost():
    pair = linked()
    pair.board = Session(BOARD, b"\x0b\x00\x00\x09")
    pair.board.poll(0)
    pair.host.send(b"command")
    for _ in range(20):
        pair.run()
        pair.now += 500
    assert pair.messages("board") == [b"command"]


def test_frames_of_another_session_are_ignored():
    pair = linked()
    pair.board.send(b"stale")
    stale = pair.board.poll(0)
    pair.host = Session(HOST, b"\x0a\x00\x00\x09")
    pair.host.receive(stale)
    pair.accepts = False
    pair.run()
    pair.events = []
    damaged = pair.host.damaged
    pair.got(pair.host, "host", stale)
    assert pair.events == [] and pair.host.damaged == damaged + 1


def test_a_pair_of_ids_is_never_used_again():
    pair = linked()
    for message in (b"0", b"1", b"2"):
        pair.board.send(message)
        pair.run()
    # Another host speaks up, then the first, whose numbers have not begun anew, is heard again.
    pair.board.receive(Session(HOST, b"\x0a\x00\x00\x09").poll(0))
    pair.board.send(b"3")
    pair.run()
    assert pair.messages("host") == [b"0", b"1", b"2", b"3"]


def test_withdrawn_messages_are_not_sent_again():
    pair = linked()
    pair.accepts = False
    pair.board.send(b"x" * 1000, "x")
    pair.board.send(b"second", "second")
    pair.run()
    pair.board.receive(Session(HOST, b"\x0a\x00\x00\x09").poll(0))
    assert pair.board.withdraw() == [(b"x" * 1000, "x"), (b"second", "second")]
    pair.host = Session(HOST, b"\x0a\x00\x00\x09")
    pair.events = []
    pair.board.send(b"other", "other")
    pair.accepts = True
    pair.run()
    assert pair.messages("host") == [b"other"] and pair.board.waiting() == 0


def test_accept_after_the_session_has_gone():
    pair = linked()
    pair.accepts = False
    pair.board.send(b"slow")
    pair.run()
    assert pair.messages("host") == [b"slow"]
    pair.board = Session(BOARD, b"\x0b\x00\x00\x09")
    pair.board.send(b"new")
    pair.run()
    assert pair.messages("host") == [b"slow"]  # one at a time
    pair.host.accept()
    pair.now += 8000
    pair.run()
    assert pair.messages("host") == [b"slow", b"new"]
    assert pair.board.waiting() == 1
    pair.host.accept()
    pair.run()
    assert pair.board.waiting() == 0


def test_echo_and_two_of_a_kind_are_ignored():
    host = Session(HOST, HOST_ID)
    hello = host.poll(0)
    assert host.receive(hello) == [] and host.next_ms(0) > 0
    assert Session(HOST, b"\x0a\x00\x00\x09").receive(hello) == []
    pair = linked()
    pair.host.send(b"echoed")
    assert pair.host.receive(pair.host.poll(0)) == []


def test_another_version_is_told():
    host = Session(HOST, HOST_ID)
    assert host.receive(frame.build(frame.HELLO, 2 << 2 | 1, BOARD_ID, 0)) == [("version", 2)]
    assert not host.up


def test_noise_is_passed_on():
    pair = linked()
    pair.board.send(b"m")
    data = b"ets Jul 29 2019\r\n" + pair.board.poll(0) + b"MemoryError: \r\n>>> "
    assert pair.host.receive(data) == [
        ("noise", b"ets Jul 29 2019\r\n"),
        ("message", b"m"),
        ("noise", b"MemoryError: \r\n>>> "),
    ]


def test_bounds():
    pair = linked()
    for _ in range(QUEUE):
        pair.board.send(b"a")
    raises(StateError, "full", pair.board.send, b"a")
    pair = linked()
    pair.board.send(b"a" * (LIMIT + 1))
    pair.board.send(b"next")
    raises(LocalError, "too-large", pair.board.poll, 0)
    pair.run()
    assert pair.messages("host") == [b"next"]
    raises(LocalError, "length", Session, BOARD, b"abc")
    # A peer that sends without an end fills nothing: what is beyond the limit is not acknowledged.
    seed = crc32(BOARD_ID + HOST_ID)
    pair = linked()
    for number in range(16):
        assert pair.host.receive(frame.build(frame.MORE, number, b"a" * 512, seed)) == []
        assert pair.host.poll(0) != b""
    assert pair.host.receive(frame.build(frame.MORE, 16, b"a", seed)) == []
    assert pair.host.poll(0) == b""


def test_packed_when_its_turn_has_come():
    packed = []

    def pack(message):
        if message == "bad":
            raise LocalError("format")
        packed.append(message)
        return message.encode()

    pair = Pair()
    pair.board = Session(BOARD, BOARD_ID, pack)
    pair.board.send("one")
    pair.board.send("bad")
    pair.board.send("two")
    assert packed == []
    raises(LocalError, "format", pair.run)
    pair.run()
    assert packed == ["one", "two"] and pair.messages("host") == [b"one", b"two"]
    pair.accepts = False
    pair.board.send("three")
    pair.run()
    pair.host = Session(HOST, b"\x0a\x00\x00\x09")
    pair.run()
    assert packed == ["one", "two", "three", "three"]  # again for the new session


def test_clock_wraps():
    period = 1 << 30
    for start in (period - 100, period - 1, 0, (1 << 29) - 1, period // 2):
        pair = Pair()
        pair.now = start
        pair.run()
        pair.board.send(b"a")
        pair.board.poll(pair.now)  # lost
        wait = pair.board.next_ms(pair.now)
        assert 0 < wait <= 8000
        assert pair.board.poll((start + wait - 1) % period) == b""
        assert pair.board.next_ms((start + wait - 1) % period) == 1
        pair.now = (start + wait) % period
        pair.run()
        assert pair.messages("host") == [b"a"]


def test_unaligned_start_of_the_line():
    pair = linked()
    pair.board.send(b"a")
    sent = pair.board.poll(0)
    assert pair.host.receive(sent[5:] + sent)[-1] == ("message", b"a")

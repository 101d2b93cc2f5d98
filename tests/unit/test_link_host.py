"""The link by force, on CPython: a bad line and ends that restart; cbor2, pycddl and the documents against the code."""

import random
import re
from itertools import pairwise
from pathlib import Path

import pycddl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motemo.errors import LocalError, RemoteError
from motemo.link import cbor, frame, names
from motemo.link.messages import Context, pack, unpack
from motemo.link.session import BOARD, HOST, LIMIT, QUEUE, Session
from motemo_host import hostcbor
from tests.unit.test_cbor import EXAMPLES, REFUSED
from tests.unit.test_messages import ALICE, TO_BOARD, TO_GATEWAY, reading

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = (DOCS / "link.cddl").read_text("utf-8")
TEXTS = (b"E (1234) wifi: reset\r\n", b"Traceback (most recent call last):\r\n", "21 °C\n".encode(), b"\r\n>>> ", b"\0")


# --- A line that errs


class Line:
    """One direction of a serial line: takes time, and spoils what it carries until `clear` is called."""

    def __init__(self, rng: random.Random, baud: int, errors: float, mishaps: float):
        self.rng, self.errors, self.mishaps = rng, errors, mishaps
        self.bytes_per_ms = baud / 10000
        self.under_way: list[tuple[float, bytes]] = []
        self.free_at = 0.0

    def put(self, now: float, data: bytes) -> None:
        data = self._spoil(data)
        for at in range(0, len(data), 64):
            piece = data[at : at + 64]
            self.free_at = max(self.free_at, now) + len(piece) / self.bytes_per_ms
            self.under_way.append((self.free_at, piece))

    def get(self, now: float) -> bytes:
        here = b"".join(piece for at, piece in self.under_way if at <= now)
        self.under_way = [item for item in self.under_way if item[0] > now]
        return here

    def _spoil(self, data: bytes) -> bytes:
        rng = self.rng
        out = bytearray()
        for byte in data:
            if rng.random() >= self.errors:
                out.append(byte)
                continue
            out += rng.choice((bytes([rng.randrange(256)]), b"", bytes([byte, byte])))  # changed, lost, doubled
        if rng.random() < self.mishaps:
            at = rng.randrange(len(out) + 1)
            burst = rng.randrange(1, 40)
            match rng.randrange(5):
                case 0:
                    out[at:at] = rng.choice(TEXTS)
                case 1:
                    out[at : at + burst] = rng.randbytes(burst)
                case 2:
                    del out[at : at + burst]
                case 3:
                    out = out + out
                case 4:
                    self.free_at += rng.randrange(3000)  # a stall
        return bytes(out)


class End:
    """An application with its session. Outbox and inbox are its flash: they outlive a restart."""

    def __init__(self, role: int, rng: random.Random, messages: list[bytes]):
        self.role, self.rng = role, rng
        self.outbox = list(messages)
        self.inbox: list[bytes] = []
        self.boot()

    def boot(self) -> None:
        self.session = Session(self.role, self.rng.randbytes(4))
        self.queued = 0
        self.work_until = 0  # when the message that it has is taken over, 0: has none

    def step(self, now: int, received: bytes) -> bytes:
        noise = 0
        for event in self.session.receive(received):
            match event:
                case ("message", message):
                    self.inbox.append(message)
                    self.work_until = max(1, now + self.rng.choice((0, 0, 0, 5, 700, 4000)))
                case ("sent", tag):
                    assert tag == self.outbox.pop(0)
                    self.queued -= 1
                case ("noise", data):
                    noise += len(data)
                case _:
                    assert event in (("up",), ("down",))
        assert noise <= len(received) + 521
        if self.work_until and now >= self.work_until:
            self.work_until = 0
            self.session.accept()
        while self.queued < len(self.outbox) and self.session.waiting() < QUEUE:
            self.session.send(self.outbox[self.queued], self.outbox[self.queued])
            self.queued += 1
        out = self.session.poll(ticks(now))
        assert len(out) < 580
        assert len(self.session._parts) <= LIMIT and self.session._reader._size <= 521
        return out


def ticks(now: int) -> int:
    """The clock of the sessions: it wraps after 20 seconds."""
    return (now - 20_000) % (1 << 30)


def carry(seed: int, baud: int, errors: float, mishaps: float, restarts: int = 0) -> None:
    """Carry messages both ways over a bad line that turns good after a minute; check what has arrived."""
    rng = random.Random(seed)
    sizes = [rng.choice((0, 5, 90, 289, 510, 511, 512, 1200, 3700)) for _ in range(10)]
    messages = [[bytes([i]) + rng.randbytes(size) for i, size in enumerate(sizes)] for _ in range(2)]
    ends = [End(BOARD, rng, messages[0]), End(HOST, rng, messages[1])]
    lines = [Line(rng, baud, errors, mishaps) for _ in ends]
    restart_at = sorted(rng.uniform(0, 30_000) for _ in range(restarts))
    now = 0
    while any(end.outbox or end.work_until for end in ends):
        assert now < 600_000, "stuck"
        if now > 60_000:
            for line in lines:
                line.errors = line.mishaps = 0.0
        if restart_at and now >= restart_at[0]:
            restart_at.pop(0)
            rng.choice(ends).boot()
        for i, end in enumerate(ends):
            out = end.step(now, lines[1 - i].get(now))
            if out:
                lines[i].put(now, out)
        waits = [end.session.next_ms(ticks(now)) for end in ends]
        waits.append(20 if lines[0].under_way or lines[1].under_way else 200)
        now += max(1, min(wait for wait in waits if wait is not None))
    for end, sent in zip(ends, reversed(messages), strict=True):
        assert [m for i, m in enumerate(end.inbox) if m not in end.inbox[:i]] == sent  # in order, none lost or corrupt
        assert len(end.inbox) - len(sent) <= restarts
        # What comes twice is the message that was not acknowledged when an end restarted: it comes next to itself.
        assert len([m for m, before in pairwise(end.inbox) if m != before]) + 1 == len(sent)


seeds = st.integers(0, 2**32)
bauds = st.sampled_from((9600, 115200, 921600))


@settings(max_examples=200, deadline=None)
@given(seeds, bauds, st.sampled_from((0.0, 1e-4, 1e-3)), st.sampled_from((0.0, 0.02, 0.2)))
def test_exactly_once_in_order_over_a_bad_line(seed, baud, errors, mishaps):
    carry(seed, baud, errors, mishaps)


@settings(max_examples=200, deadline=None)
@given(seeds, bauds, st.sampled_from((0.0, 1e-3)), st.sampled_from((0.0, 0.2)), st.integers(1, 6))
def test_none_lost_when_ends_restart(seed, baud, errors, mishaps, restarts):
    carry(seed, baud, errors, mishaps, restarts)


def test_a_line_of_errors_only_is_survived():
    for seed in range(3):
        carry(seed, 115200, 0.02, 0.5)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=700), max_size=12), st.booleans())
def test_any_bytes_are_taken(pieces, up):
    session, peer = Session(BOARD, b"abcd"), Session(HOST, b"efgh")
    if up:
        session.receive(peer.poll(0))
        peer.receive(session.poll(0))
        session.receive(peer.poll(0))
        assert session.up
    for piece in pieces:
        events = session.receive(piece)
        assert sum(len(event[1]) for event in events if event[0] == "noise") <= 521 + len(piece)
        session.poll(0)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0xF8, 0xFB), st.integers(0, 255), st.binary(max_size=520))), st.binary(max_size=9)
)
def test_any_frames_are_taken(frames, text):
    """Frames that are intact, in no order that makes sense."""
    session, peer = Session(BOARD, b"abcd"), Session(HOST, b"efgh")
    session.receive(peer.poll(0))
    peer.receive(session.poll(0))
    session.receive(peer.poll(0))
    seed = session._seed(b"efgh", b"abcd")
    for kind, number, payload in frames:
        for event in session.receive(frame.build(kind, number, payload, 0 if kind == frame.HELLO else seed) + text):
            if event[0] == "message":
                session.accept()
        session.poll(0)
        assert len(session._parts) <= LIMIT


# --- CBOR: the board's and the host's agree

ints = st.integers(-(2**64), 2**64 - 1)
items = st.recursive(
    st.booleans() | ints | st.binary(max_size=300) | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(ints | st.text(max_size=5), inner, max_size=30),
    max_leaves=60,
)


def outcome(function, value):
    """What `function` returns for `value`, or its error's type and reason."""
    try:
        return function(value)
    except (LocalError, RemoteError) as error:
        return type(error), error.reason


def test_examples_on_the_host():
    for value, coded in EXAMPLES:
        assert hostcbor.dumps(value).hex() == coded
        assert hostcbor.loads(bytes.fromhex(coded)) == value
    for coded in REFUSED:
        assert outcome(hostcbor.loads, bytes.fromhex(coded)) == (RemoteError, "format"), coded


@given(items)
def test_both_write_the_same(value):
    assert outcome(cbor.dumps, value) == outcome(hostcbor.dumps, value)


@given(st.one_of(ints, st.floats(), st.none(), st.just(1 << 64), st.binary().map(bytearray), st.sets(ints)))
def test_both_refuse_to_write_the_same(value):
    for wrapped in (value, [value], {1: value}, {"a": [value]}):
        assert outcome(cbor.dumps, wrapped) == outcome(hostcbor.dumps, wrapped)


@settings(max_examples=500)
@given(st.binary(max_size=60))
def test_both_read_the_same(data):
    assert outcome(cbor.loads, data) == outcome(hostcbor.loads, data)


@settings(max_examples=500)
@given(items, st.data())
def test_both_read_the_same_of_damaged_items(value, data):
    coded = outcome(cbor.dumps, value)
    if isinstance(coded, bytes):
        assert outcome(cbor.loads, coded) == outcome(hostcbor.loads, coded) == value
        damaged = bytearray(coded)
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        assert outcome(cbor.loads, bytes(damaged)) == outcome(hostcbor.loads, bytes(damaged))


# --- Messages against the CDDL


def schema(rule: str) -> pycddl.Schema:
    """The schema with `rule` as its root."""
    return pycddl.Schema(f"start = {rule}\n{SCHEMA}")


@pytest.mark.parametrize("codec", [cbor, hostcbor])
@pytest.mark.parametrize(("rule", "messages"), [("board-message", TO_GATEWAY), ("gateway-message", TO_BOARD)])
def test_every_message_is_as_the_cddl_has_it(codec, rule, messages):
    validator = schema(rule)
    sender, receiver = Context(codec), Context(codec)
    for _ in range(2):  # the second time with slots
        for message in messages:
            data = pack(message, sender)
            validator.validate_cbor(data)
            assert unpack(data, receiver) == message


def test_the_cddl_refuses():
    to_gateway, to_board = schema("board-message"), schema("gateway-message")
    for good, wrong, messages in ((to_gateway, to_board, TO_GATEWAY), (to_board, to_gateway, TO_BOARD)):
        for message in messages:
            data = pack(message, Context(cbor))
            if message["type"] != "result":
                with pytest.raises(pycddl.ValidationError):
                    wrong.validate_cbor(data)
            changed = hostcbor.loads(data)
            changed[0] = 999
            with pytest.raises(pycddl.ValidationError):
                good.validate_cbor(hostcbor.dumps(changed))


wire_values = st.recursive(
    st.booleans() | st.integers(-1, 2**33) | st.sampled_from((b"", bytes(31), bytes(32), bytes(64), "", "a@b")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(TO_GATEWAY + TO_BOARD), st.data())
def test_what_is_unpacked_is_as_the_cddl_has_it(message, data):
    """A field is replaced by anything: either it is refused, or the message can be sent on by the rules."""
    wire = hostcbor.loads(pack(message, Context(cbor)))
    wire[data.draw(st.sampled_from(sorted(wire)))] = data.draw(wire_values)
    try:
        received = unpack(hostcbor.dumps(wire), Context(hostcbor))
    except RemoteError as error:
        assert error.reason in ("format", "protocol")
        return
    if received.get("op") != "unknown":
        schema("link-message").validate_cbor(pack(received, Context(cbor)))


@settings(max_examples=300)
@given(st.dictionaries(st.integers(-2, 60), wire_values, max_size=8))
def test_any_map_is_a_message_or_refused(wire):
    outcome(lambda value: unpack(hostcbor.dumps(value), Context(hostcbor)), wire)


# --- The documents


def test_tables_of_the_document():
    text = (DOCS / "link-protocol.md").read_text("utf-8")
    listed = {int(number): name for number, name in re.findall(r"^\| (\d+) \| `([^`]+)`", text, re.M)}
    in_code = {}
    while names.entry(len(in_code)):
        in_code[len(in_code)] = names.entry(len(in_code))[0]
    assert listed == in_code
    to_gateway, to_board = text.split("From the gateway to the board:")
    for part, is_to_board in ((to_gateway, False), (to_board, True)):
        for name, fields in re.findall(r"^\| `([a-z-]+)` \| `([^`]+)`", part, re.M):
            in_doc, have = set(fields.split()), set(names.fields(name, is_to_board))
            assert in_doc == have or (name == "result" and in_doc < have), name


def test_numbers_in_the_cddl():
    found = 0
    for number, name in re.findall(r"^  (?:\? )?(\d+): .*?; ([a-z_-]+)", SCHEMA, re.M):
        assert names.number(name) == int(number)
        found += 1
    for number, name in re.findall(r"^  0: (\d+), *; type: ([a-z-]+)", SCHEMA, re.M):
        assert names.number(name) == int(number)
        found += 1
    assert found > 80


def test_example_of_the_document():
    text = (DOCS / "link-protocol.md").read_text("utf-8")
    shown = [bytes.fromhex(block) for block in re.findall(r"```hex\n(.*?)```", text, re.S)]
    board, host = Session(BOARD, bytes.fromhex("0b000001")), Session(HOST, bytes.fromhex("0a000002"))
    hello = host.poll(0)
    board.receive(hello)
    answer = board.poll(0)
    host.receive(answer)
    again = host.poll(0)
    board.receive(again)
    host.send(pack({"type": "request", "id": 1, "op": "status"}, Context(cbor)))
    request = host.poll(0)
    board.receive(request)
    board.accept()
    assert [hello, answer, again, request, board.poll(0)] == shown


def test_size_bar():
    sender = Context(cbor)
    pack(reading(0, ALICE), sender)
    assert len(frame.build(frame.DATA, 0, pack(reading(1, ALICE), sender), 0)) <= 300

"""Messages of the link: every type, every refusal, and the tables of a context."""

from motemo.errors import LocalError, RemoteError
from motemo.link import cbor, names
from motemo.link.messages import Context, pack, unpack
from tests.raises import raises

ALICE = "alice@example.org"
BOB = "bob@example.org"
KEY = bytes(range(32))
SIGNATURE = bytes(range(64))


def varint(number):
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def ratchet_message(n, pn=0, dh_pub=KEY, size=64):
    """An OMEMOAuthenticatedMessage as OMEMO peers write it: its bytes from XEP-0384's protobuf, by hand."""
    inner = b"\x08" + varint(n) + b"\x10" + varint(pn) + b"\x1a\x20" + dh_pub + b"\x22" + varint(size) + b"c" * size
    return b"\x0a\x10" + b"m" * 16 + b"\x12" + varint(len(inner)) + inner


def reading(n=0, jid=ALICE, rid=7, **changes):
    message = {"type": "message", "id": 1000 + n, "to": jid, "dialect": 2, "sid": 123456789}
    message["keys"] = [(jid, rid, False, ratchet_message(n))]
    message["payload"] = b"p" * 176
    message.update(changes)
    return message


SECOND = {
    "keys": [(ALICE, 8, True, b"\x33" + b"k" * 174), (BOB, 1, False, b"\x33")],
    "payload": b"q" * 21,
    "iv": b"i" * 12,
}

# Every type of message, with all its fields and with as few as it can have.
TO_GATEWAY = (
    reading(),
    reading(keys=[(ALICE, 1, True, b"k" * 198), (ALICE, 2, False, ratchet_message(300, 200)), (BOB, 3, False, b"x")]),
    reading(dialect=1, iv=b"i" * 12, keys=[(ALICE, 1, False, b"\x33" + b"k" * 97)]),
    {"type": "message", "id": 0, "to": ALICE, "dialect": 2, "sid": 1, "keys": [(ALICE, 1, False, b"k")]},
    {"type": "fetch-devices", "id": 1, "dialect": 2, "jid": ALICE},
    {"type": "fetch-bundle", "id": 2, "dialect": 1, "jid": ALICE, "rid": 0x7FFFFFFF},
    {
        "type": "publish-bundle",
        "id": 3,
        "ik": KEY,
        "spk_id": 1,
        "spk": KEY,
        "spks": SIGNATURE,
        "prekeys": b"".join([i.to_bytes(4, "big") + KEY for i in range(1, 101)]),
        "legacy": {"spks": SIGNATURE},
    },
    {"type": "publish-bundle", "id": 3, "ik": KEY, "spk_id": 1, "spk": KEY, "spks": SIGNATURE, "prekeys": b""},
    reading(legacy=SECOND),
    {"type": "publish-devices", "id": 4, "device": 5},
    {"type": "publish-devices", "id": 4, "device": 5, "label": "K\u00fcche", "labelsig": SIGNATURE},
    reading(to="room@rooms.example.org", group=True),
    {"type": "enter-room", "id": 8, "room": "room@rooms.example.org", "text": "Kitchen", "members": [ALICE, BOB]},
    {"type": "enter-room", "id": 9, "room": "", "text": "Kitchen", "members": []},
    {"type": "result", "id": 5},
    {"type": "result", "id": 5, "code": 21, "text": "said no"},
    {"type": "result", "id": 6, "fields": {"version": "0.1.0", "rssi": -60, "jid": ALICE, "state": True, "ids": [1]}},
    {"type": "result", "id": 7, "fingerprints": [KEY], "prekeys": bytes((0, 0, 0, 1)) + KEY},
    {"type": "log", "level": 30, "text": "low memory"},
)
TO_BOARD = (
    {"type": "message", "id": 9, "from": ALICE, "dialect": 2, "sid": 8, "kex": False, "data": b"d" * 124},
    {
        "type": "message",
        "id": 0xFFFFFFFF,
        "from": BOB,
        "dialect": 1,
        "sid": 8,
        "kex": True,
        "data": b"d" * 175,
        "payload": b"p" * 40,
        "iv": b"i" * 16,
        "stamp": 1767225600,
    },
    {"type": "devices", "dialect": 2, "jid": ALICE, "devices": [], "others": 0},
    {"type": "devices", "id": 1, "dialect": 1, "jid": ALICE, "devices": [1, 0x7FFFFFFF], "others": 3},
    {
        "type": "bundle",
        "id": 2,
        "dialect": 2,
        "jid": ALICE,
        "rid": 7,
        "ik": KEY,
        "spk_id": 0,
        "spk": KEY,
        "spks": SIGNATURE,
        "pk_id": 0,
        "pk": KEY,
    },
    {"type": "message", "id": 9, "from": ALICE, "dialect": 2, "sid": 8, "kex": False, "data": b"d", "group": True},
    {"type": "room", "id": 8, "room": "room@rooms.example.org", "text": "Kitchen 2", "members": [ALICE], "others": 3},
    {"type": "room", "room": "room@rooms.example.org", "code": 21, "text": "no", "members": [], "others": 0},
    {"type": "result", "id": 3, "code": 22},
    {"type": "request", "id": 1, "op": "status"},
    {
        "type": "request",
        "id": 2,
        "op": "provision",
        "jid": BOB,
        "label": "hall",
        "mode": "linked",
        "interval": 60,
    },
    {"type": "request", "id": 3, "op": "keys", "count": 32},
    {"type": "request", "id": 4, "op": "pin", "jid": ALICE, "fingerprints": [KEY, KEY]},
    {"type": "request", "id": 5, "op": "finish"},
    {"type": "request", "id": 6, "op": "list-pins"},
    {"type": "request", "id": 6, "op": "room", "room": "room@rooms.example.org"},
    {"type": "request", "id": 7, "op": "pin", "jid": ALICE, "fingerprints": [KEY], "how": "first use"},
    {"type": "request", "id": 8, "op": "remove-pins", "jid": ALICE, "fingerprints": [], "force": True},
    {"type": "request", "id": 9, "op": "list-sessions"},
    {"type": "request", "id": 10, "op": "reset-sessions", "jid": ALICE, "device": 7},
    {"type": "request", "id": 6, "op": "bundle"},
    {"type": "request", "id": 7, "op": "wipe"},
    {"type": "request", "id": 9, "op": "retire", "text": "Kaputt"},
    {"type": "request", "id": 10, "op": "log"},
    {"type": "request", "id": 8, "op": "time", "now": 1767225600},
    {"type": "online", "jid": ALICE, "state": False},
    {"type": "time", "now": 1767225600},
    {"type": "catch-up", "state": True},
)


def contexts():
    return Context(cbor), Context(cbor)


def test_every_type_comes_back():
    for messages in (TO_GATEWAY, TO_BOARD):
        sender, receiver = contexts()
        for _ in range(3):
            for message in messages:
                assert unpack(pack(message, sender), receiver) == message
        for message in messages:
            sender, receiver = contexts()
            assert unpack(pack(message, sender), receiver) == message


def test_defaults_are_not_sent():
    message = reading(dialect=2)
    short = reading()
    del short["dialect"]
    assert pack(message, Context(cbor)) == pack(short, Context(cbor))
    message = {"type": "message", "id": 9, "from": ALICE, "sid": 8, "data": b"d"}
    received = unpack(pack(message, Context(cbor)), Context(cbor))
    assert received["kex"] is False and received["dialect"] == 2


def test_bytes_of_a_reading():
    sender, receiver = contexts()
    first = pack(reading(0), sender)
    second = pack(reading(1), sender)
    assert ALICE.encode() in first and KEY in first
    assert second == (
        bytes.fromhex("a400120119 03e9 0681 83 00 16 5856 0a10".replace(" ", ""))
        + b"m" * 16
        + bytes.fromhex("12680801")
        + b"c" * 64
        + bytes.fromhex("0758b0")
        + b"p" * 176
    )
    assert unpack(first, receiver) == reading(0)
    assert unpack(second, receiver) == reading(1)


def test_key_is_sent_again_when_the_ratchet_turns():
    turns = ((0, 0, KEY), (1, 0, KEY), (0, 2, b"q" * 32), (128, 2, b"q" * 32), (0, 0, KEY), (70000, 0, KEY))
    for dialect in (1, 2):
        sender, receiver = contexts()
        for n, pn, dh_pub in turns:
            data = ratchet_message(n, pn, dh_pub)
            if dialect == 1:  # libsignal's WhisperMessage
                counters = b"\x10" + varint(n) + b"\x18" + varint(pn)
                data = b"\x33\x0a\x21\x05" + dh_pub + counters + b"\x22\x30" + b"c" * 56
            message = reading(keys=[(ALICE, 7, False, data)], dialect=dialect)
            data = pack(message, sender)
            assert unpack(data, receiver) == message
            assert (dh_pub in data) == (n == 0)
        assert len(sender.sent_runs) == 1


def test_any_bytes_come_back_whole():
    good = ratchet_message(5, 6)
    for data in (
        b"\x12" + good[19:20] + good[20:] + good[:18],  # another order
        good + b"\x18\x01",
        good[:-1],
        ratchet_message(1 << 40, 1 << 40),
        ratchet_message(1, size=0),
        ratchet_message(0x1A, 0x1A, b"\x1a\x20" * 16),
        good[:19],
        b"\x1a\x20" * 80,
        b"\x1a\x20",
        b"c" * 22 + b"\x1a\x20" + b"c" * 33,
        b"c" * 22 + b"\x1a\x20" + b"c" * 34,
        b"\x80" * 40,
    ):
        for dialect in (1, 2):
            sender, receiver = contexts()
            message = reading(keys=[(ALICE, 7, False, data)], dialect=dialect)
            for _ in range(2):
                assert unpack(pack(message, sender), receiver) == message


def test_more_jids_and_devices_than_slots():
    sender, receiver = contexts()
    for turn in range(3):
        for i in range(40):
            message = reading(turn, f"user{i}@example.org", i + 1)
            assert unpack(pack(message, sender), receiver) == message
    assert len(sender.sent_jids) == len(sender.sent_runs) == len(receiver.jids) == len(receiver.runs) == 16
    keys = [(ALICE, rid, False, ratchet_message(1)) for rid in range(1, 30)]
    for _ in range(3):
        message = reading(keys=keys)
        assert unpack(pack(message, sender), receiver) == message


def test_to_is_sent_where_the_keys_do_not_tell_it():
    sender, receiver = contexts()
    for message in (reading(), reading(to=BOB), reading(to=BOB), reading(), reading(keys=[(BOB, 1, True, b"k")])):
        assert unpack(pack(message, sender), receiver) == message


def test_sender_devices_are_kept_apart():
    sender, receiver = contexts()
    for sid in (1, 2, 1, 2):
        message = reading(sid=sid)
        assert unpack(pack(message, sender), receiver) == message


def test_reset_begins_anew():
    sender, receiver = contexts()
    pack(reading(), sender)
    second = pack(reading(1), sender)
    raises(RemoteError, "protocol", unpack, second, receiver)
    sender.reset()
    assert unpack(pack(reading(1), sender), receiver) == reading(1)


def test_a_message_that_cannot_be_packed_leaves_nothing_behind():
    for bad in (
        {"type": "pin", "jid": BOB},
        {"type": "request", "id": 1, "op": "pin", "jid": BOB, "mode": 5},
        {"type": "result", "id": 1, "jid": BOB, "fields": {"x": 1.5}},
        reading(0, BOB, payload=b""),
    ):
        sender, receiver = contexts()
        raises(LocalError, "format", pack, bad, sender)
        for message in (reading(0, BOB), reading(1, BOB), reading(1, ALICE)):
            assert unpack(pack(message, sender), receiver) == message
    sender, receiver = contexts()
    raises(LocalError, "too-large", pack, reading(0, BOB, payload=b"p" * 8192), sender)
    assert unpack(pack(reading(1, BOB), sender), receiver) == reading(1, BOB)


def test_a_slot_is_empty_rather_than_wrong():
    sender, receiver = contexts()
    jids = [f"user{i}@example.org" for i in range(17)]
    for jid in jids[:16]:
        unpack(pack({"type": "online", "jid": jid, "state": True}, sender), receiver)
    wire = cbor.loads(pack({"type": "online", "jid": jids[16], "state": True}, sender))  # takes another one's slot
    wire[names.number("state")] = 2
    raises(RemoteError, "format", unpack, cbor.dumps(wire), receiver)
    data = pack({"type": "online", "jid": jids[16], "state": True}, sender)
    raises(RemoteError, "protocol", unpack, data, receiver)
    sender, receiver = contexts()
    unpack(pack(reading(), sender), receiver)
    turned = [(ALICE, 7, False, ratchet_message(0, 1, b"q" * 32))]
    wire = cbor.loads(pack(reading(keys=turned), sender))
    wire[names.number("sid")] = 0
    raises(RemoteError, "format", unpack, cbor.dumps(wire), receiver)
    raises(RemoteError, "protocol", unpack, pack(reading(keys=turned), sender), receiver)


def test_to_is_not_left_out_when_it_fills_a_slot():
    sender, receiver = contexts()
    for i in range(1, 20):  # the JIDs of the first devices lose their slots, the devices do not
        other = {"type": "fetch-devices", "id": i, "dialect": 2, "jid": f"user{i}@example.org"}
        for message in (other, reading(i), {"type": "fetch-devices", "id": i, "dialect": 2, "jid": ALICE}):
            assert unpack(pack(message, sender), receiver) == message


def test_what_newer_versions_add_is_left_out():
    wire = cbor.loads(pack({"type": "time", "now": 5}, Context(cbor)))
    wire[999] = ["new"]
    wire[(1 << 64) - 1] = 1
    wire[11] = 7  # known, but no field of this type
    assert unpack(cbor.dumps(wire), Context(cbor)) == {"type": "time", "now": 5}
    request = {0: names.number("request"), 1: 4, 16: 9999}
    assert unpack(cbor.dumps(request), Context(cbor)) == {"type": "request", "id": 4, "op": "unknown"}


def test_refuses_what_is_no_message():
    for value in (1, [], {}, {"type": 0}, {0: "log"}, {0: True}, {1: 2}):
        raises(RemoteError, "format", unpack, cbor.dumps(value), Context(cbor))
    raises(RemoteError, "format", unpack, b"", Context(cbor))
    for kind in (9999, 1, -1, names.number("pin"), (1 << 64) - 1):
        raises(RemoteError, "protocol", unpack, cbor.dumps({0: kind}), Context(cbor))


def test_refuses_missing_fields():
    for message in TO_GATEWAY + TO_BOARD:
        wire = cbor.loads(pack(message, Context(cbor)))
        for name in names.fields(message["type"], "from" in message):
            if name[-1] not in "?*":
                shorter = dict(wire)
                del shorter[names.number(name)]
                try:
                    raise AssertionError(unpack(cbor.dumps(shorter), Context(cbor)))
                except RemoteError as error:  # "protocol" where what is missing defined a slot
                    assert error.reason in ("format", "protocol")
                shorter = dict(message)
                del shorter[name]
                raises(LocalError, "format", pack, shorter, Context(cbor))


def check_wrong(kind, number, *values):
    """Each of `values` in the field `number` of an otherwise good message of `kind` is refused."""
    for message in TO_GATEWAY + TO_BOARD:
        wire = cbor.loads(pack(message, Context(cbor)))
        if message["type"] == kind and number in wire:
            for value in values:
                wire[number] = value
                raises(RemoteError, "format", unpack, cbor.dumps(wire), Context(cbor))
            return
    raise AssertionError("no such sample")


def test_refuses_each_kind():
    check_wrong("time", names.number("now"), -1, 1 << 32, True, "1", b"1", [1], {})
    check_wrong("fetch-bundle", names.number("rid"), 0, 1 << 31, -1, True, "1")
    check_wrong("fetch-bundle", names.number("dialect"), 0, 3, True, "2")
    check_wrong("online", names.number("state"), 0, 1, "true")
    check_wrong("online", names.number("jid"), "a@b", [0], [16, "a"], [-1, "a"], [0, ""], [0, b"a"], [0, "a", 1], True)
    check_wrong("online", names.number("jid"), [True, "a"], {0: "a"})
    check_wrong("log", names.number("text"), b"text", 1, [])
    check_wrong("publish-bundle", names.number("ik"), b"", b"x" * 31, b"x" * 33, "x" * 32)
    check_wrong("publish-bundle", names.number("spks"), b"x" * 63, b"x" * 65)
    check_wrong("publish-bundle", names.number("prekeys"), {}, [1], 1, KEY, b"\x80\0\0\1" + KEY, bytes(37))
    check_wrong("devices", names.number("devices"), [0], [1 << 31], ["1"], 1, {}, [[1]])
    check_wrong("request", names.number("op"), "status", b"", [])
    check_wrong("request", names.number("fingerprints"), [b"x"], KEY, [1])
    check_wrong("result", names.number("fields"), [], 1, "x")
    data = ratchet_message(1)
    good = [[0, ALICE], 7, False, data, 0, 22, 60]
    for keys in (
        [],
        {},
        [1],
        [[]],
        [[[0, ALICE], 7, False]],
        [[[0, ALICE], 7, False, b""]],
        [[[0, ALICE], 7, 0, data]],
        [[[0, ALICE], 0, False, data]],
        [[ALICE, 7, False, data]],
        [good[:6]],
        [good + [1]],
        [good[:4] + [16, 22, 60]],
        [good[:4] + [True, 22, 60]],
        [good[:4] + [0, -1, 60]],
        [good[:4] + [0, 22, 22]],
        [good[:4] + [0, 22, 125]],
        [good[:4] + [0, "22", 60]],
        [good[:2] + [True] + good[3:]],
        [good, [0, -1, b"t" * 80]],
        [good, [0, 81, b"t" * 80]],
        [good, [0, 22, "t" * 80]],
        [good, [16, 22, b"t" * 80]],
        [good, ["x", 22, b"t" * 80]],
    ):
        check_wrong("message", names.number("keys"), keys)


def test_refuses_a_legacy_form_that_is_none():
    legacy = names.number("legacy")
    check_wrong("publish-bundle", legacy, {}, [], True, b"x", {"spks": b"x"}, {"spks": KEY}, {1: SIGNATURE}, SECOND)
    key = [ALICE, 8, True, b"k"]
    rest = {"payload": b"q", "iv": b"i"}
    message = reading(legacy=SECOND)
    for value in (
        {},
        [],
        True,
        {"spks": SIGNATURE},
        rest,
        dict(rest, keys=[]),
        dict(rest, keys={}),
        dict(rest, keys=[key, 1]),
        dict(rest, keys=[key[:3]]),
        dict(rest, keys=[key + [1]]),
        dict(rest, keys=[[0] + key[1:]]),
        dict(rest, keys=[[""] + key[1:]]),
        dict(rest, keys=[key[:1] + [0] + key[2:]]),
        dict(rest, keys=[key[:2] + [1] + key[3:]]),
        dict(rest, keys=[key[:3] + [b""]]),
        {"keys": [key], "payload": b"q"},
        {"keys": [key], "payload": b"", "iv": b"i"},
        {"keys": [key], "payload": b"q", "iv": "i"},
    ):
        wire = cbor.loads(pack(message, Context(cbor)))
        wire[legacy] = value
        raises(RemoteError, "format", unpack, cbor.dumps(wire), Context(cbor))
    wire = cbor.loads(pack(message, Context(cbor)))
    wire[legacy]["new"] = 1
    assert unpack(cbor.dumps(wire), Context(cbor)) == message, "what newer versions add is left out"


def test_unknown_slots():
    wire = cbor.loads(pack(reading(), Context(cbor)))
    wire[6] = [[0, 1, b"t" * 80]]
    raises(RemoteError, "protocol", unpack, cbor.dumps(wire), Context(cbor))
    wire[2] = 5
    raises(RemoteError, "protocol", unpack, cbor.dumps(wire), Context(cbor))


def test_sid_belongs_to_the_slot():
    sender, receiver = contexts()
    unpack(pack(reading(), sender), receiver)
    wire = cbor.loads(pack(reading(1), sender))
    assert 5 not in wire
    wire[5] = 42
    raises(RemoteError, "format", unpack, cbor.dumps(wire), receiver)


def test_refuses_to_pack():
    for message in (
        {},
        {"type": "nonsense"},
        {"type": "jid"},
        {"type": "message<"},
        {"type": "time"},
        {"type": "time", "now": 1, "jid": ALICE},
        {"type": "time", "now": 1, "nonsense": 1},
        {"type": "time", "now": 1, 2: 1},
        {"type": None},
        {"type": "time", "now": None},
        {"type": "online", "jid": b"a", "state": True},
        {"type": "fetch-bundle", "id": 1, "jid": ALICE, "rid": 0},
        {"type": "request", "id": 1, "op": "nonsense"},
        {"type": "request", "id": 1, "op": "status", "nonsense": 1},
        {"type": "log", "level": -1, "text": ""},
        {"type": "result", "id": 1, "fields": {"temperature": 1.5}},
        reading(keys=[]),
        reading(keys=[("", 7, False, b"x")]),
    ):
        raises(LocalError, "format", pack, message, Context(cbor))


def test_numbers_of_names():
    # Appending is fine, renumbering breaks every board in the field.
    for name, number in (("type", 0), ("payload", 7), ("fields", 17), ("message", 18), ("devices", 25), ("count", 52)):
        assert names.number(name) == number
        assert names.entry(number)[0] == name
    assert names.number("nonsense") == names.number("") == names.number("d") == -1
    assert names.entry(-1) is names.entry(67) is names.entry(1 << 64) is None

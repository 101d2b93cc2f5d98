"""Readings as words and as SenML (RFC 8428), and the outbox that counts what it must drop."""

import json

from motemo.telemetry import Outbox, check_name, line, senml
from tests.covers import covers

SAMPLE = [("temperature", "Cel", 21.5), ("humidity", "%RH", 48), ("door", "", True), ("level", "/", 0.25)]


def test_line_for_people():
    assert line(SAMPLE[:2]) == "temperature 21.5 °C, humidity 48 %"
    assert line([("humidity", "/", 0.5)]) == "humidity 0.5"
    assert line([("door", "", True), ("window", "", False)]) == "door on, window off"
    assert line([("speed", "m/s", 3)]) == "speed 3 m/s", "a unit without a sign stands as it is"
    assert line([]) == ""


def test_numbers_are_short_and_right():
    for value, text in (
        (21.0, "21"),
        (21.5, "21.5"),
        (-0.25, "-0.25"),
        (0.0, "0"),
        (100, "100"),
        (100.0, "100"),
        (1234567, "1234567"),
        (21.12345, "21.123"),
        (0.1 + 0.2, "0.3"),
        (-40, "-40"),
    ):
        assert line([("x", "", value)]) == "x " + text
        assert json.loads(senml(0, [("x", "", value)]))[0]["v"] == float(text)


@covers("D-05")
def test_senml_is_json_with_the_names_of_rfc_8428():
    records = json.loads(senml(1700000000, SAMPLE))
    assert records == [
        {"n": "temperature", "u": "Cel", "v": 21.5, "t": 1700000000},
        {"n": "humidity", "u": "%RH", "v": 48, "t": 1700000000},
        {"n": "door", "vb": True, "t": 1700000000},
        {"n": "level", "u": "/", "v": 0.25, "t": 1700000000},
    ]
    assert json.loads(senml(0, SAMPLE[:1])) == [{"n": "temperature", "u": "Cel", "v": 21.5}], "no clock, no time"
    assert " " not in senml(1700000000, SAMPLE)


def test_names_that_senml_allows():
    for name in ("temperature", "t1", "1t", "a-b:c.d/e_f", "A"):
        check_name(name)
    for name in ("", "-a", ".a", "a b", 'a"b', "a\\b", "ä", "aé", "a\n", "a,b", "_x"):
        try:
            check_name(name)
        except ValueError:
            continue
        raise AssertionError(name)


def test_outbox_keeps_the_newest_and_counts_what_it_drops():
    outbox = Outbox(3)
    samples = [[number] for number in range(5)]
    for sample in samples:
        outbox.put(sample)
    assert len(outbox) == 3 and outbox.dropped == 2 and outbox.first() is samples[2]
    assert outbox.first() is samples[2], "it stays until it was taken over"
    outbox.taken(samples[2])
    assert len(outbox) == 2 and outbox.first() is samples[3] and outbox.dropped == 2


def test_sample_that_was_dropped_while_it_was_sent():
    outbox = Outbox(2)
    first, second, third, fourth = [object() for _ in range(4)]
    outbox.put(first)
    outbox.put(second)
    sending = outbox.first()
    outbox.put(third)
    assert outbox.dropped == 1
    outbox.taken(sending)
    assert len(outbox) == 2 and outbox.first() is second
    outbox.taken(second)
    outbox.taken(third)
    outbox.taken(fourth)
    assert len(outbox) == 0

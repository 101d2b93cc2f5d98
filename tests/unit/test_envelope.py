"""The envelope of XEP-0420 in the profile of XEP-0384: what is written, what is accepted, what is refused."""

from motemo.errors import RemoteError
from motemo.omemo.envelope import SENML, build
from motemo.omemo.envelope_reader import read as parse
from tests.covers import covers
from tests.raises import raises

SENDER = "romeo@montague.lit"


def refused(data, *args, **more):
    return raises(RemoteError, "envelope", lambda: parse(data, *args, **more))


def envelope(content=b"", affixes=b""):
    return b"<envelope xmlns='urn:xmpp:sce:1'><content>" + content + b"</content>" + affixes + b"</envelope>"


def body_of(content):
    return parse(envelope(content), SENDER).body


@covers("O-080", "O-082", "S-13")
def test_what_is_written_is_compact_and_has_no_prefixes():
    data = build(SENDER + "/orchard", "temperature 21.5 \u00b0C", least=0, extra=0)
    assert data == (
        b"<envelope xmlns='urn:xmpp:sce:1'><content><body xmlns='jabber:client'>temperature 21.5 \xc2\xb0C</body>"
        b"</content><rpad></rpad><from jid='romeo@montague.lit'/></envelope>"
    )


@covers("D-06", "D-07", "S-03", "S-05", "O-081", "O-083")
def test_records_time_and_recipient_are_written():
    data = build(SENDER, records='[{"n":"a<b"}]', to="juliet@capulet.lit/balcony", stamp=1075010700, least=0, extra=0)
    assert data == (
        b"<envelope xmlns='urn:xmpp:sce:1'><content><payload xmlns='urn:xmpp:json-msg:0' datatype='urn:motemo:senml:1'>"
        b'<json xmlns=\'urn:xmpp:json:0\'>[{"n":"a&lt;b"}]</json></payload></content><rpad></rpad>'
        b"<time stamp='2004-01-25T06:05:00Z'/><to jid='juliet@capulet.lit'/><from jid='romeo@montague.lit'/></envelope>"
    )


@covers("S-01")
def test_padding_fills_up_and_adds_a_random_length():
    lengths = {}
    for _ in range(300):
        data = build(SENDER, "ok", least=160, extra=12)
        lengths[len(data)] = True
        pad = data[data.index(b"<rpad>") + 6 : data.index(b"</rpad>")]
        assert len(pad) > 10
    assert min(lengths) == 160 and max(lengths) == 172
    assert len(lengths) == 13
    assert len(build(SENDER, "x" * 500, extra=0)) > 600


def test_padding_is_not_the_same_twice():
    assert build(SENDER, "", least=250, extra=0) != build(SENDER, "", least=250, extra=0)


def test_a_20_byte_reading_fits_into_176_bytes_of_ciphertext():
    for _ in range(50):
        assert len(build(SENDER, "x" * 20)) <= 175


def test_what_was_built_is_read():
    for body in ("", "on", 'it\'s <b> & "c" ]]>', "21.5 \u00b0C\n", "\r"):
        records = '[{"n":"temperature","u":"Cel","v":21.5,"t":1.7e9,"vs":"<&>\'"}]'
        data = build(SENDER, body, records, "juliet@capulet.lit", 1700000000)
        found = parse(data, SENDER, "juliet@capulet.lit", True)
        assert found.body == body
        assert found.records == [(SENML, records)]
        assert found.stamp == 1700000000
        assert (found.opt_out, found.others, found.dropped) == (None, [], 0)
    assert parse(build(SENDER), SENDER).body is None


@covers("S-02")
def test_the_envelope_of_the_xep_and_long_padding_are_accepted():
    # XEP-0384 0.9.1, example "Plaintext SCE envelope element".
    data = b"""<envelope xmlns='urn:xmpp:sce:1'>
  <content>
    <body xmlns='jabber:client'>
     Hello World!
    </body>
  </content>
  <rpad>...</rpad>
  <from jid='romeo@montague.lit'/>
</envelope>"""
    assert parse(data, SENDER).body.strip() == "Hello World!"
    assert parse(data.replace(b"...", b"C1DHN9HK-9A25tSmwK4hU!Jji9%" * 200), SENDER).body.strip() == "Hello World!"


def test_prefixes_of_others_are_understood():
    data = (
        b"<?xml version='1.0' encoding='UTF-8'?><ns0:envelope xmlns:ns0='urn:xmpp:sce:1' xmlns:ns1=\"jabber:client\">"
        b"<ns0:content><ns1:body>hi</ns1:body></ns0:content>"
        b"<ns0:rpad/><ns0:from jid='romeo@montague.lit'/></ns0:envelope>"
    )
    assert parse(data, SENDER).body == "hi"


@covers("O-101")
def test_opt_out_is_read():
    # XEP-0384 0.9.1, example in section "Opt-out": neither rpad nor from.
    reason = b"<reason>\n Sorry, but for compliance reasons\n</reason>"
    content = b"<opt-out xmlns='urn:xmpp:omemo:2'>%s</opt-out>"
    assert parse(envelope(content % reason), SENDER).opt_out == "Sorry, but for compliance reasons"
    assert parse(envelope(content % b""), SENDER).opt_out == ""
    assert parse(envelope(b""), SENDER).opt_out is None


@covers("S-15")
def test_what_is_not_a_whole_envelope_is_refused():
    whole = build(SENDER, "hello", least=0)
    for end in range(len(whole)):
        refused(whole[:end], SENDER)
    for data in (
        whole + b"<a/>",
        whole.replace(b"hello", b"hel\xffo"),
        whole.replace(b"hello", b"&hello;"),
        whole.replace(b"hello", b"<!-- -->"),
        b"<!DOCTYPE a>" + whole,
        whole.replace(b"sce:1", b"sce:0"),
        whole.replace(b"envelope", b"content"),
        whole.replace(b"content", b"payload"),
        b"<a>" + whole + b"</a>",
        b"hello",
        b"",
    ):
        refused(data, SENDER)


@covers("S-06")
def test_the_sender_must_match_if_named():
    data = build(SENDER, "hello")
    for sender in (SENDER, SENDER + "/orchard", "Romeo@Montague.lit"):
        assert parse(data, sender).body == "hello"
    for sender in ("romeo@montague.example", "juliet@capulet.lit", "romeo@montague.li", "montague.lit"):
        refused(data, sender)
    refused(envelope(b"", b"<from/>"), SENDER)
    refused(envelope(b"", b"<from jid=''/>"), SENDER)
    refused(envelope(b"", b"<from jid='romeo@montague.lit'/><from jid='romeo@montague.lit'/>"), SENDER)
    # not an affix: another namespace, or not a child of the envelope
    for other in (b"<from xmlns='urn:x' jid='a@b'/>", b"<x xmlns='urn:x'><from xmlns='urn:xmpp:sce:1' jid='a@b'/></x>"):
        parse(envelope(b"", other), SENDER)


@covers("S-05", "O-083", "S-07")
def test_the_recipient_must_match_and_a_group_chat_must_name_it():
    room = "orchard@rooms.lit"
    named = build(SENDER, "hello", to=room)
    unnamed = build(SENDER, "hello")
    assert parse(named, SENDER, room).body == "hello"
    assert parse(named, SENDER, room, group=True).body == "hello"
    assert parse(named, SENDER).body == "hello"
    assert parse(unnamed, SENDER, room).body == "hello"
    refused(unnamed, SENDER, room, group=True)
    refused(named, SENDER, "juliet@capulet.lit")


@covers("S-03", "S-04")
def test_the_time_must_be_near_the_sending_time_where_both_are_known():
    data = build(SENDER, "hello", stamp=1700000000)
    for sent in (None, 1700000000, 1700003600, 1699996400):
        assert parse(data, SENDER, sent=sent).stamp == 1700000000
    for sent in (1700003601, 1699996399, 0):
        refused(data, SENDER, sent=sent)
    assert parse(data, SENDER, sent=1700000060, margin=60).stamp == 1700000000
    refused(data, SENDER, sent=1700000061, margin=60)
    assert parse(build(SENDER, "hello"), SENDER, sent=5).stamp is None


def test_times_of_xep_0082():
    for text, seconds in (
        ("1969-07-21T02:56:15Z", -14159025),  # XEP-0082, example
        ("1969-07-20T21:56:15-05:00", -14159025),
        ("2004-01-25T06:05:00+01:00", 1075007100),  # XEP-0420, example
        ("2002-09-10T23:41:07.123Z", 1031701267),
        ("1970-01-01T00:00:00Z", 0),
        ("2000-02-29T12:00:00Z", 951825600),
        ("2038-01-19T03:14:08Z", 2147483648),
        ("2100-03-01T00:00:00Z", 4107542400),
    ):
        affix = f"<time stamp='{text}'/>".encode()
        assert parse(envelope(b"", affix), SENDER).stamp == seconds, text
        if text.endswith("00Z"):
            assert affix in build(SENDER, stamp=seconds), text
    for text in (
        "",
        "2004-01-25",
        "20040125T06:05:00",
        "2004-01-25T06:05:00",
        "2004-01-25 06:05:00Z",
        "2004-13-25T06:05:00Z",
        "2004-01-32T06:05:00Z",
        "2004-01-25T24:05:00Z",
        "2004-01-25T06:60:00Z",
        "2004-01-25T06:05:00+1:00",
        "2004-01-25T06:05:00Z ",
        "-004-01-25T06:05:00Z",
        "2004-01-25T06:05:00.5",
    ):
        refused(envelope(b"", f"<time stamp='{text}'/>".encode()), SENDER)
    refused(envelope(b"", b"<time/>"), SENDER)


@covers("S-11", "S-12")
def test_elements_for_the_server_are_thrown_away():
    content = (
        b"<store xmlns='urn:xmpp:hints'/><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='a@b'/>"
        b"<addresses xmlns='http://jabber.org/protocol/address'><address jid='a@b'/></addresses>"
        b"<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:omemo:2'/>"
        b"<origin-id xmlns='urn:xmpp:sid:0' id='2'/><body xmlns='jabber:client'>hi</body>"
    )
    found = parse(envelope(content), SENDER)
    assert found.dropped == 4
    assert found.others == [("urn:xmpp:sid:0", "origin-id")]
    assert found.body == "hi"


@covers("S-13")
def test_an_element_of_the_content_has_its_own_namespace():
    for content in (b"<body>hi</body>", b"<body xmlns=''>hi</body>"):
        refused(envelope(content), SENDER)
    assert body_of(b"<body xmlns='urn:other'>hi</body>") is None
    assert body_of(b"<x xmlns='urn:x'><body xmlns='jabber:client'>hi</body></x>") is None


def test_a_body_is_text():
    assert body_of(b"<body xmlns='jabber:client'>a &amp; <![CDATA[<b>]]> c</body>") == "a & <b> c"
    assert body_of(b"<body xmlns='jabber:client'>a</body><body xmlns='jabber:client' xml:lang='de'>b</body>") == "a"
    refused(envelope(b"<body xmlns='jabber:client'>a<b>c</b>d</body>"), SENDER)


@covers("D-05", "D-07")
def test_a_payload_has_a_datatype_and_one_json_text():
    form = "<payload xmlns='urn:xmpp:json-msg:0'{}>{}</payload>"
    json = "<json xmlns='urn:xmpp:json:0'>{}</json>"
    data = envelope((form.format(" datatype='urn:a'", "\n" + json.format(' {"a": 1} ') + "\n") * 2).encode())
    assert parse(data, SENDER).records == [("urn:a", '{"a": 1}')] * 2
    for attribute, inner in (
        ("", json.format("1")),
        (" datatype=''", json.format("1")),
        (" datatype='urn:a'", ""),
        (" datatype='urn:a'", "{}"),
        (" datatype='urn:a'", json.format("")),
        (" datatype='urn:a'", json.format(" \n ")),
        (" datatype='urn:a'", json.format("1") * 2),
        (" datatype='urn:a'", json.format("<b/>1")),
        (" datatype='urn:a'", json.format("1").replace("json:0", "json:1")),
        (" datatype='urn:a'", "<a xmlns='urn:a'/>" + json.format("1")),
    ):
        refused(envelope(form.format(attribute, inner).encode()), SENDER)


def test_hostile_envelopes_are_bounded():
    refused(envelope(b"<a xmlns='urn:a'>" * 2000 + b"</a>" * 2000), SENDER)
    refused(envelope(b"<a xmlns='urn:a'" + b"".join([b" a%d='1'" % i for i in range(100)]) + b"/>"), SENDER)

"""The XML parser: events, limits, what RFC 6120 refuses, and that it does not matter how the bytes were cut."""

from motemo.errors import RemoteError
from motemo.xml import Parser
from motemo.xmltext import escape, quote
from tests.raises import raises

STREAM = (
    b"<?xml version='1.0'?><stream:stream from='example.test' id=\"x>'y\" xmlns='jabber:client'\n"
    b" xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en'>"
    b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"
    b"</stream:features> \r\n<message to='a@b' note='&lt;&#x41;&#66;&apos;'><body>caf\xc3\xa9 &amp; \xf0\x9f\x94\x91"
    b"<![CDATA[ <x> ]] &amp; ]]></body><x:y xmlns:x='urn:x' x:z='1' z='2'/></message >"
)
STREAMS = "http://etherx.jabber.org/streams"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
CLIENT = "jabber:client"
EVENTS = [
    (
        "start",
        STREAMS,
        "stream",
        {
            "from": "example.test",
            "id": "x>'y",
            "version": "1.0",
            "{http://www.w3.org/XML/1998/namespace}lang": "en",
        },
    ),
    ("start", STREAMS, "features", {}),
    ("start", SASL, "mechanisms", {}),
    ("start", SASL, "mechanism", {}),
    ("text", "PLAIN"),
    ("end", SASL, "mechanism"),
    ("end", SASL, "mechanisms"),
    ("end", STREAMS, "features"),
    ("start", CLIENT, "message", {"to": "a@b", "note": "<AB'"}),
    ("start", CLIENT, "body", {}),
    ("text", "caf\u00e9 & \U0001f511"),
    ("text", " <x> ]] &amp; "),
    ("end", CLIENT, "body"),
    ("start", "urn:x", "y", {"{urn:x}z": "1", "z": "2"}),
    ("end", "urn:x", "y"),
    ("end", CLIENT, "message"),
]

WELL_FORMED = (
    b"<a/>",
    b" \t\r\n<a\t>\n</a\r\n> ",
    b"<?xml version='1.0' encoding='utf-8'?><a/>",
    b"<a b='1'\tc = \"2\"></a>",
    b"<_a.-1>]]&gt;]]</_a.-1>",
    b"<a b='&#9;&#10;\t\r\n\r'>\r\n\r&#13;</a>",
    b"<p:a xmlns:p='urn:p'><b/></p:a>",
    b"<a xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:space='x'/>",
    b"<a xmlns='urn:a'><b xmlns=''/><c/></a>",
    b"<a><![CDATA[]]></a>",
    b"<a><![CDATA[]]]]>]</a>",
    b"<a><![CDATA[]>]]]></a>",
    b"<a>&#x10FFFF;&#x0000041;\xef\xbf\xbd</a>",
    b"<\xc3\xa9 \xc3\xa9='1'/>",
)

NOT_WELL_FORMED = (
    b"a",
    b"\xef\xbb\xbf<a/>",
    b"<>",
    b"</a>",
    b"< a/>",
    b"<1/>",
    b"<-/>",
    b"<a",
    b"<a><b></a></b>",
    b"<a></b>",
    b"<a/><b/>",
    b"<a/>b",
    b"<a/ >",
    b"<a b/>",
    b"<a b=/>",
    b"<a b=1/>",
    b"<a ='1'/>",
    b"<a b='1'c='2'/>",
    b"<a b='1' b='2'/>",
    b"<a b='<'/>",
    b"<a b='&'/>",
    b"<a <b/>",
    b"<a:b/>",
    b"<a b:c='1'/>",
    b"<:a/>",
    b"<a:/>",
    b"<a:b:c xmlns:a='urn:a'/>",
    b"<a xmlns:b=''/>",
    b"<a xmlns:xmlns='urn:a'/>",
    b"<a xmlns:xml='urn:a'/>",
    b"<a xmlns:b='http://www.w3.org/XML/1998/namespace'/>",
    b"<a xmlns='http://www.w3.org/2000/xmlns/'/>",
    b"<a xmlns='urn:a' xmlns='urn:b'/>",
    b"<a xmlns:b='urn:n' xmlns:c='urn:n' b:x='1' c:x='2'/>",
    b"<a>]]></a>",
    b"<a>&b;</a>",
    b"<a>& </a>",
    b"<a>&amp</a>",
    b"<a>&#;</a>",
    b"<a>&#x;</a>",
    b"<a>&#xG;</a>",
    b"<a>&#X41;</a>",
    b"<a>&#-1;</a>",
    b"<a>&#1_1;</a>",
    b"<a>&#0;</a>",
    b"<a>&#31;</a>",
    b"<a>&#xD800;</a>",
    b"<a>&#xFFFE;</a>",
    b"<a>&#x110000;</a>",
    b"<a>&#99999999999999999999;</a>",
    b"<a>\x00</a>",
    b"<a>\x0b</a>",
    b"<a>\x1b</a>",
    b"<a b='\x08'/>",
    b"<![CDATA[a]]>",
    b"<a><![cdata[a]]></a>",
    b"<a><![CDATA [a]]></a>",
    b"<a><![CDATA[a</a>",
)

FORBIDDEN = (
    b"<!DOCTYPE a><a/>",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    b"<a><!-- b --></a>",
    b"<!-- b --><a/>",
    b"<a><?b c?></a>",
    b"<?b c?><a/>",
    b" <?xml version='1.0'?><a/>",
    b"<?xml version='1.0'?><?xml version='1.0'?><a/>",
    b"<a/><?b?>",
)

# From RFC 3629 and the well-formedness table of the Unicode standard: overlong forms, surrogates, what is above
# U+10FFFF, stray and missing continuation bytes, the non-characters that XML forbids.
NOT_UTF8 = (
    b"\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xc3",
    b"\xc3\xc3\xa9",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf0\x9f\x94",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xff",
    b"\xef\xbf\xbe",
    b"\xef\xbf\xbf",
)


def events(data, cuts=(), **limits):
    """What a parser makes of `data` cut at `cuts`: events, the error's reason or None, whether it was complete."""
    parser = Parser(**limits)
    found = []
    start = 0
    try:
        for end in tuple(cuts) + (len(data),):
            for event in parser.feed(data[start:end]):
                found.append(event)
            start = end
    except RemoteError as error:
        return found, error.reason, False
    return found, None, parser.ended


def assert_same_at_every_cut(data, **limits):
    whole = events(data, **limits)
    assert events(data, range(1, len(data)), **limits) == whole, data
    for cut in range(1, len(data)):
        assert events(data, (cut,), **limits) == whole, (data, cut)


def test_a_stream_gives_its_events():
    assert events(STREAM, stream=True) == (EVENTS, None, False)
    assert events(STREAM + b" </stream:stream>", stream=True)[2] is True


def test_it_does_not_matter_how_a_stream_is_cut():
    assert_same_at_every_cut(STREAM, stream=True)
    for step in (2, 3, 7, 64):
        assert events(STREAM, range(step, len(STREAM), step), stream=True) == (EVENTS, None, False)


def test_well_formed_documents():
    for data in WELL_FORMED:
        found, reason, ended = events(data)
        assert reason is None and ended, data
        assert_same_at_every_cut(data)
    assert events(WELL_FORMED[5])[0][:2] == [("start", "", "a", {"b": "\t\n   "}), ("text", "\n\n\r")]
    assert events(WELL_FORMED[6])[0][1] == ("start", "", "b", {})
    assert events(WELL_FORMED[8])[0][1:4:2] == [("start", "", "b", {}), ("start", "urn:a", "c", {})]
    assert events(WELL_FORMED[10])[0][1:3] == [("text", "]]"), ("text", "]")]


def test_what_is_not_well_formed_is_refused():
    for data in NOT_WELL_FORMED + FORBIDDEN:
        found, reason, ended = events(data)
        assert reason == "format" or reason is None and not ended, data
        assert_same_at_every_cut(data)


def test_what_rfc_6120_forbids_is_refused_at_once():
    for data in (b"<a><!-", b"<a><?", b"<!D", b"<a><![D"):
        assert events(data)[1] == "format", data
        assert events(b"<s>" + data, stream=True)[1] == "format", data


def test_utf8_and_characters_are_checked_everywhere():
    for bad in NOT_UTF8:
        for data in (
            b"<a>" + bad + b"</a>",
            b"<a>a" + bad + b"b</a>",
            b"<a><![CDATA[" + bad + b"]]></a>",
            b"<a b='" + bad + b"'/>",
            b"<a" + bad + b"/>",
            b"<a b" + bad + b"='1'/>",
        ):
            assert events(data)[1] == "format", data
        assert events(b"<a>" + bad + b"</a>", range(1, 7 + len(bad)))[1] == "format", bad
    good = "\u0080 \u07ff \u0800 \ud7ff \ue000 \ufffd \U00010000 \U0010ffff"
    assert events(b"<a>" + good.encode() + b"</a>")[0][1] == ("text", good)


def test_limits_of_a_document():
    many = b"<a" + b"".join([f" b{i}='1'".encode() for i in range(5)]) + b"/>"
    for data, limits in (
        (b"<a b='12345678901234567890'/>", {"tag": 20}),
        (b"<a b='12345678901234567890", {"tag": 20}),
        (b"<a>12345678901234567890</a>", {"text": 19}),
        (b"<a>12345678901234567890", {"text": 19}),
        (b"<a><![CDATA[12345678901234567890]]></a>", {"text": 19}),
        (b"<a><b><c/></b></a>", {"depth": 2}),
        (many, {"attributes": 4}),
        (b"<a><b>123</b><b><c>123456</c>123456</b></a>", {"size": 25}),
    ):
        assert events(data, **limits)[1] == "too-large", data
        larger = {name: value + 1 for name, value in limits.items()}
        if data.endswith(b">") and "tag" not in limits:
            assert events(data, **larger)[1:] == (None, True), data
            assert_same_at_every_cut(data, **larger)
    assert events(b"<a xmlns='" + b"x" * 100 + b"'/>", tag=111)[2]


def test_what_is_too_big_in_a_stream_is_skipped_and_counted():
    open_stream = b"<s:s xmlns:s='urn:s' xmlns='urn:d'>"
    good = b"<m><b>ok</b></m>"
    for big, seen in (
        (b"<m><b>" + b"x" * 100 + b"</b></m>", [("start", "urn:d", "m", {}), ("start", "urn:d", "b", {})]),
        (b"<m><b><![CDATA[" + b"]]" * 50 + b"]]></b></m>", [("start", "urn:d", "m", {}), ("start", "urn:d", "b", {})]),
        (b"<m a='" + b">/" * 60 + b"'><b/></m>", []),
        (b'<m a="' + b"'/>" * 60 + b'"/>', []),
        (b"<m><" + b"b" * 100 + b"/></m>", [("start", "urn:d", "m", {})]),
        (b"<m><" + b"b" * 100 + b"><c/><![CDATA[</m>]]></" + b"b" * 100 + b"></m>", [("start", "urn:d", "m", {})]),
        (
            b"<m>" + b"<b>" * 9 + b"</b>" * 9 + b"</m>",
            [("start", "urn:d", "m", {})] + [("start", "urn:d", "b", {})] * 4,
        ),
        (b"<m xmlns='urn:e'>" + b"x" * 100 + b"</m>", [("start", "urn:e", "m", {})]),
        (b"<m " + b"".join([f" b{i}='1'".encode() for i in range(5)]) + b"></m>", []),
    ):
        data = open_stream + big + b" \n " + good
        limits = {"stream": True, "tag": 80, "text": 80, "depth": 6, "attributes": 4}
        found, reason, ended = events(data, **limits)
        assert reason is None, big
        assert found[1:] == seen + [("skipped",)] + events(open_stream + good)[0][1:], big
        assert_same_at_every_cut(data, **limits)


def test_a_stanza_of_many_small_parts_is_skipped_too():
    parser = Parser(stream=True, size=1000)
    assert len(list(parser.feed(b"<s><m>"))) == 2
    seen = 0
    for _ in range(1000):
        seen += len(list(parser.feed(b"<b>0123456789</b>")))
    assert seen < 300
    assert list(parser.feed(b"</m>")) == [("skipped",)]
    assert parser.skipped == 1
    assert list(parser.feed(b"<m/></s>"))[0] == ("start", "", "m", {})
    assert parser.ended


def test_memory_is_bounded_while_a_stanza_is_skipped():
    parser = Parser(stream=True, text=64)
    list(parser.feed(b"<s><m>"))
    for _ in range(200):
        assert list(parser.feed(b"x" * 100)) == []
        assert len(parser._token) <= 64
    assert list(parser.feed(b"</m>")) == [("skipped",)]


def test_the_root_of_a_stream_is_bounded_and_text_between_stanzas_is_white():
    assert events(b"<s a='" + b"x" * 100, stream=True, tag=50)[1] == "too-large"
    assert events(b"<s>" + b" \n" * 5000 + b"<m/>", stream=True, text=10)[1] is None
    assert events(b"<s>" + b" \n" * 5000, range(1, 100), stream=True, text=10)[1] is None
    for data in (b"<s>x<m/>", b"<s> x", b"<s><![CDATA[ ]]>", b"<s></s" + b" " * 100 + b">"):
        assert events(data, stream=True, tag=50)[1] == "format", data


def test_escaped_text_comes_back():
    for text in ("", "a", 'it\'s <b> & "c" ]]>', "\t\n\r", "caf\u00e9 \U0001f511", "&amp;&#13;"):
        data = ("<a b=" + quote(text) + ">" + escape(text) + "</a>").encode()
        found, reason, ended = events(data)
        assert ended, text
        assert found[0][3]["b"] == text
        assert "".join([event[1] for event in found if event[0] == "text"]) == text


def test_what_xml_cannot_carry_is_replaced_by_a_writer():
    assert escape("a\x00b\x1b\ufffe\uffffc") == "a\ufffdb\ufffd\ufffd\ufffdc"
    assert quote("\x01'") == "'\ufffd&apos;'"


def test_a_parser_is_of_no_use_after_an_error():
    parser = Parser()
    raises(RemoteError, "format", lambda: list(parser.feed(b"<a></b>")))

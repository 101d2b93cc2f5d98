"""The XML parser on CPython: agreement with expat, the invariant under hypothesis."""

from xml.parsers import expat

from hypothesis import example, given, settings
from hypothesis import strategies as st

from motemo.errors import RemoteError
from motemo.xml import Parser
from motemo.xmltext import escape, quote
from tests.unit import test_xml


def by_expat(data):
    """The events of a document, with texts that follow each other joined; None where expat refuses it."""
    parser = expat.ParserCreate("utf-8", "\n")
    found = []

    def split(name):
        return tuple(name.rpartition("\n")[::2])

    def start(name, attributes):
        keyed = {"{" + key.replace("\n", "}") if "\n" in key else key: attributes[key] for key in attributes}
        found.append(("start", *split(name), keyed))

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: found.append(("end", *split(name)))
    parser.CharacterDataHandler = lambda text: found.append(("text", text))
    try:
        parser.Parse(data, True)
    except expat.ExpatError:
        return None
    return joined(found)


def by_us(data, cuts=(), **limits):
    found, reason, ended = test_xml.events(data, cuts, **limits)
    return joined(found) if reason is None and ended else None


def joined(events):
    found = []
    for event in events:
        if event[0] == "text" and found and found[-1][0] == "text":
            found[-1] = ("text", found[-1][1] + event[1])
        else:
            found.append(event)
    return found


STANZAS = (
    test_xml.STREAM + b"</stream:stream>",
    b"<iq from='juliet@example.com/balcony' id='roster1' to='a@b' type='result'>"
    b"<query xmlns='jabber:iq:roster' ver='v'>"
    b"<item jid='romeo@example.net' name='Rom&#xE9;o &amp; co' subscription='both'><group>Fri&#101;nds</group></item>"
    b"</query></iq>",
    b"<message><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:omemo:2:devices'>"
    b"<item id='current'><devices xmlns='urn:xmpp:omemo:2'><device id='12345' label='k\xc3\xbcche'/></devices></item>"
    b"</items></event></message>",
    b"<message to='a@b'><encrypted xmlns='urn:xmpp:omemo:2'><header sid='27183'><keys jid='juliet@capulet.lit'>"
    b"<key rid='31415' kex='true'>b64/encoded+data==</key></keys></header><payload>\r\nYWJj\r\nZGVm\r</payload>"
    b"</encrypted><store xmlns='urn:xmpp:hints'/></message>",
    b"<r:root xmlns:r='urn:r' xmlns='urn:d' r:a='1' a='2'><r:b xmlns:r='urn:s' r:a='3'/><b xmlns=''><c r:a='4'/></b>"
    b"</r:root>",
    b"<stream:error xmlns:stream='http://etherx.jabber.org/streams'><not-well-formed "
    b"xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xml:lang='en'>]] > &quot;x&quot;</text></stream:error>",
)

# Where we differ from expat, and want to: what RFC 6120 forbids (expat reads it), a byte order mark (no stream has
# one), names with characters outside of ASCII (expat knows which are letters, we take all).
STRICTER = (*test_xml.FORBIDDEN, b"\xef\xbb\xbf<a/>")
LOOSER = (b"<\xc3\x97/>", b"<a \xe2\x82\xac='1'/>")


def test_agreement_with_expat_on_stanzas_and_documents():
    for data in STANZAS + test_xml.WELL_FORMED:
        assert by_us(data) == by_expat(data) is not None, data
    for data in test_xml.NOT_WELL_FORMED:
        if data not in STRICTER:
            assert by_us(data) is None and by_expat(data) is None, data


def test_the_wanted_differences_from_expat():
    for data in STRICTER:
        assert by_us(data) is None, data
    assert by_expat(b"<a><!-- b --></a>") and by_expat(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>")
    for data in LOOSER:
        assert by_us(data) and by_expat(data) is None, data


def test_agreement_with_expat_where_one_byte_of_a_stanza_is_changed():
    for data in STANZAS:
        for at in range(len(data)):
            for c in b"<>&;'\"=/:! ]x\x00\xc3\x80":
                changed = data[:at] + bytes([c]) + data[at + 1 :]
                compare(changed)


def test_agreement_with_expat_where_a_stanza_is_cut_out():
    for data in STANZAS:
        for at in range(len(data)):
            compare(data[:at])
            compare(data[:at] + data[at + 1 :])
            compare(data[:at] + data[at : at + 1] + data[at:])


def compare(data):
    ours, theirs = by_us(data), by_expat(data)
    if ours == theirs:
        return
    assert (theirs is None) != (ours is None), data
    if ours is None:
        assert b"<!" in data or b"<?" in data or data.startswith(b"\xef\xbb\xbf"), data
    else:
        assert any(c >= 0x80 for c in data) or b"<?xml" in data, data


MARKUP = st.lists(
    st.sampled_from(
        "< > </ /> <a <a> </a> <p:b </p:b> <![CDATA[ ]]> <!-- --> <? ?> & &amp; &#65; &#x0; ; = ' \" xmlns= xmlns:p= "
        "'urn:p' a='1' p:a='2' xml:lang='en' x \r \n \t \u00e9 \U0001f511 \ufffe".split(" ")
        + [" ", "<a>", "</a>", "<a/>"]
    ).map(str.encode)
    | st.binary(max_size=3),
    max_size=40,
).map(b"".join)
LIMITS = {"tag": 30, "text": 20, "size": 100, "depth": 4, "attributes": 3}


@settings(max_examples=1500, deadline=None)
@given(MARKUP)
@example(b"<a>\xed\xa0\x80</a>")
def test_agreement_with_expat_on_markup(data):
    compare(data)
    compare(b"<a>" + data + b"</a>")


@settings(max_examples=1500, deadline=None)
@given(MARKUP | st.binary(), st.lists(st.integers(0, 200), max_size=8).map(sorted), st.booleans(), st.booleans())
def test_any_bytes_cut_anywhere_give_the_same_events_or_a_remote_error(data, cuts, stream, bounded):
    limits = LIMITS if bounded else {}
    if stream:
        data = b"<s>" + data
    cuts = [cut for cut in cuts if cut < len(data)]
    whole = test_xml.events(data, stream=stream, **limits)
    for places in (cuts, range(1, len(data))):
        found, reason, ended = test_xml.events(data, places, stream=stream, **limits)
        assert (found, reason is None, ended) == (whole[0], whole[1] is None, whole[2])


@settings(max_examples=300, deadline=None)
@given(MARKUP)
def test_a_parser_keeps_no_more_than_its_limits(data):
    parser = Parser(stream=True, **LIMITS)
    try:
        for _ in range(20):
            for at in range(len(data)):
                for _event in parser.feed(data[at : at + 1]):
                    pass
                assert len(parser._token) <= 31 and len(parser._open) <= 4
    except RemoteError:
        pass


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_what_a_writer_escapes_expat_reads_back(text):
    data = f"<a b={quote(text)}>{escape(text)}</a>".encode()
    clean = escape(text).replace("&#13;", "\r").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    events = by_expat(data)
    assert events is not None
    assert events[0] == ("start", "", "a", {"b": clean})
    assert by_us(data) == events

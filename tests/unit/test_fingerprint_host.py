"""Fingerprints and URIs, read and written: the example of XEP-0434, escapes of RFC 5122, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motemo.errors import LocalError
from motemo_host.fingerprint import parse_pin, trust_uri, uri
from tests.covers import covers
from tests.raises import raises

A, B, C = bytes(range(32)), b"\xab" * 32, b"\xcd" * 32
BOB = "bob@example.com"
# XEP-0434 1.0, "Trust Message URI for Bob's OMEMO keys"
EXAMPLE = (
    "xmpp:bob@example.com?trust-message;encryption=urn:xmpp:omemo:2"
    ";trust=623548d3835c6d33ef5cb680f7944ef381cf712bf23a0119dabe5c4f252cd02f"
    ";distrust=b423f5088de9a924d51b31581723d850c7cc67d0a4fe6b267c3d301ff56d2413"
    ";distrust=d9f849b6b828309c5f2c8df4f38fd891887da5aaa24a22c50d52f69b4a80817e"
)


@covers("T-14", "O-144", "O-145")
def test_the_example_of_the_xep_is_read_and_written():
    pin = parse_pin(EXAMPLE)
    assert pin.jid == BOB and len(pin.fingerprints) == 1 and len(pin.distrusted) == 2
    assert trust_uri(*pin) == EXAMPLE


@covers("O-144")
def test_the_uri_of_several_devices():
    text = uri(BOB, {1: A, 2**31 - 1: B})
    assert text == f"xmpp:bob@example.com?omemo-sid-1={A.hex()};omemo-sid-2147483647={B.hex()}"
    assert parse_pin(text) == (BOB, [A, B], ())


def test_what_people_paste():
    assert parse_pin(BOB) == (BOB, [], ())
    assert parse_pin(f"{BOB}={A.hex()},{B.hex().upper()},{A.hex()}") == (BOB, [A, B], ())
    assert parse_pin(f"XMPP:Bob@Example.com?omemo-sid-7={A.hex().upper()}#x") == (BOB, [A], ())
    assert parse_pin(f"xmpp:{BOB}?message;omemo-sid-7={A.hex()};body=hi") == (BOB, [A], ())
    assert parse_pin(f"xmpp:{BOB}?trust-message;encryption=urn%3Axmpp%3Aomemo%3A2;distrust={A.hex()}").distrusted == [A]


@pytest.mark.parametrize("jid", ["a?b=c#d@example.org", "50%@example.org", "jürgen@exämple.org", "a;b=c@example.org"])
@covers("T-14")
def test_jids_that_need_escapes_come_back(jid):
    for text in (uri(jid, {1: A}), trust_uri(jid, [A])):
        assert text.isascii() and text.count("?") == 1 and "#" not in text
        assert parse_pin(text)[:2] == (jid, [A])


HEX = A.hex()
TM = f"xmpp:{BOB}?trust-message;"
WRONG = [
    (f"xmpp:{BOB}", "names no key"),
    (f"xmpp:{BOB}?", "names no key"),
    (f"xmpp:{BOB}?message;body=x", "names no key"),
    (f"xmpp:?omemo-sid-1={HEX}", "address"),
    (f"xmpp:{BOB}/phone?omemo-sid-1={HEX}", "address"),
    (f"xmpp://{BOB}/{BOB}?omemo-sid-1={HEX}", "log in"),
    (f"xmpp:bob%zz@example.com?omemo-sid-1={HEX}", "percent"),
    (f"xmpp:bob%ff@example.com?omemo-sid-1={HEX}", "percent"),
    (f"xmpp:{BOB}?omemo-sid-0={HEX}", "id of a device"),
    (f"xmpp:{BOB}?omemo-sid-2147483648={HEX}", "id of a device"),
    (f"xmpp:{BOB}?omemo-sid-={HEX}", "id of a device"),
    (f"xmpp:{BOB}?omemo-sid-1={HEX[1:]}", "64 hex digits"),
    (f"xmpp:{BOB}?omemo-sid-1", "64 hex digits"),
    (f"xmpp:{BOB}?omemo-sid-1=05{HEX}", "64 hex digits"),
    (TM[:-1], "encryption has to come first"),
    (f"{TM}trust={HEX};encryption=urn:xmpp:omemo:2", "encryption has to come first"),
    (f"{TM}encryption=urn:xmpp:openpgp:0;trust={HEX}", "another encryption"),
    (f"{TM}encryption=urn:xmpp:omemo:2", "names no key"),
    (f"{TM}encryption=urn:xmpp:omemo:2;trust={HEX};distrust={HEX}", "the same key"),
    (f"{TM}encryption=urn:xmpp:omemo:2;trust={HEX};x=y", "has no place"),
    (f"{TM}encryption=urn:xmpp:omemo:2;trust=xyz", "64 hex digits"),
    (f"{BOB}=", "64 hex digits"),
]


@pytest.mark.parametrize(("text", "part"), WRONG)
@covers("T-14")
def test_what_is_refused_says_why(text, part):
    assert part in raises(LocalError, "format", parse_pin, text).text


def test_what_is_too_large():
    many = {number: number.to_bytes(32) for number in range(1, 34)}
    raises(LocalError, "too-large", parse_pin, uri(BOB, many))
    raises(LocalError, "too-large", parse_pin, f"xmpp:{BOB}?" + "x" * 5000)


@given(st.text(max_size=80) | st.text("xmp:@?;=%#omeidtrus-0123456789abcdef/.", max_size=120))
def test_any_text_is_a_pin_or_refused(text):
    for start in ("", "xmpp:", "xmpp:a@b?", TM):
        try:
            parse_pin(start + text)
        except LocalError as error:
            assert error.reason in ("format", "too-large")

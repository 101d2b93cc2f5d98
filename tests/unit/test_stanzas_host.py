"""OMEMO's XML: our parser and writer against python-omemo's, and against rubbish."""

import os
import xml.etree.ElementTree as ET

import oldmemo.etree
import pytest
import twomemo.etree
from hypothesis import given, settings
from hypothesis import strategies as st

from motemo.crypto.ed25519 import ed25519_public
from motemo.crypto.points import edwards_to_montgomery
from motemo.errors import LocalError, RemoteError
from motemo.omemo.elements import LEGACY, OMEMO2, Bundle, Encrypted
from motemo_host.stanzas import (
    Device,
    bundle_from_xml,
    bundle_to_xml,
    devices_from_xml,
    devices_to_xml,
    encrypted_from_xml,
    encrypted_to_xml,
    find_encrypted,
    forms_from_text,
    forms_to_text,
    message_elements,
)
from tests.covers import covers
from tests.raises import raises

NS = "urn:xmpp:omemo:2"
LEGACY_NS = "eu.siacs.conversations.axolotl"
KEY = "A" * 43 + "="  # 32 bytes
SIGNATURE = "A" * 86 + "=="  # 64 bytes
TYPED_KEY = "BQ" + "A" * 42  # 33 bytes, the first of them 5


def parsed(function, text):
    return function(ET.fromstring(text))


def message(keys="<keys jid='a@b'><key rid='5'>AAAA</key></keys>", sid="7", rest=""):
    return f"<encrypted xmlns='{NS}'><header sid='{sid}'>{keys}</header>{rest}</encrypted>"


def bundle(spk=f"<spk id='1'>{KEY}</spk>", prekeys=f"<pk id='9'>{KEY}</pk>", ik=KEY, rest=""):
    return f"<bundle xmlns='{NS}'>{spk}<spks>{SIGNATURE}</spks><ik>{ik}</ik><prekeys>{prekeys}</prekeys>{rest}</bundle>"


def legacy_message(keys="<key rid='5'>AAAA</key><iv>AAAA</iv>", sid="7", rest=""):
    return f"<encrypted xmlns='{LEGACY_NS}'><header sid='{sid}'>{keys}</header>{rest}</encrypted>"


def legacy_bundle(
    spk=f"<signedPreKeyPublic signedPreKeyId='0'>{TYPED_KEY}</signedPreKeyPublic>",
    prekeys=f"<preKeyPublic preKeyId='0'>{TYPED_KEY}</preKeyPublic>",
    ik=TYPED_KEY,
    rest="",
):
    return (
        f"<bundle xmlns='{LEGACY_NS}'>{spk}<signedPreKeySignature>{SIGNATURE}</signedPreKeySignature>"
        f"<identityKey>{ik}</identityKey><prekeys>{prekeys}</prekeys>{rest}</bundle>"
    )


# --- against python-omemo's own reader and writer


@covers("O-062", "O-013")
def test_python_omemo_reads_our_bundle_and_we_read_its():
    ours = Bundle(os.urandom(32), 3, os.urandom(32), os.urandom(64), [(i, os.urandom(32)) for i in range(1, 101)])
    theirs = twomemo.etree.parse_bundle(bundle_to_xml(ours), "a@b", 5)
    assert theirs.bundle.identity_key == ours.identity_key
    assert theirs.bundle.signed_pre_key == ours.signed_prekey
    assert theirs.bundle.signed_pre_key_sig == ours.signature
    assert len(theirs.bundle.pre_keys) == 100
    back = bundle_from_xml(twomemo.etree.serialize_bundle(theirs))
    assert {**vars(back), "prekeys": set(back.prekeys)} == {**vars(ours), "prekeys": set(ours.prekeys)}


@covers("O-085", "O-086")
def test_python_omemo_reads_our_message():
    # The inner bytes must be protobuf for it: mac=1, message=2 with counters, a key and ciphertext.
    inner = bytes.fromhex("0801") + bytes.fromhex("1000") + b"\x1a\x20" + os.urandom(32) + b"\x22\x10" + os.urandom(16)
    ratchet = b"\x0a\x10" + os.urandom(16) + b"\x12" + bytes([len(inner)]) + inner
    ours = Encrypted(
        OMEMO2, 77, [("a@b", 5, False, ratchet), ("a@b", 6, False, ratchet), ("c@d", 5, False, ratchet)], b"p" * 64
    )
    theirs = twomemo.etree.parse_message(encrypted_to_xml(ours), "x@y")
    assert (theirs.bare_jid, theirs.device_id) == ("x@y", 77)
    assert {(key.bare_jid, key.device_id) for key, _ in theirs.keys} == {("a@b", 5), ("a@b", 6), ("c@d", 5)}
    assert theirs.content.ciphertext == ours.payload
    back = encrypted_from_xml(twomemo.etree.serialize_message(theirs))
    assert set(back.keys) == set(ours.keys)
    assert (back.sid, back.payload, back.iv) == (77, ours.payload, None)


@covers("O-055")
def test_python_omemo_reads_our_device_list_and_we_read_its():
    ours = [Device(1), Device(2**31 - 1, 'Sensor <1> & "co"', b"s" * 64)]
    theirs = twomemo.etree.parse_device_list(devices_to_xml(ours))
    assert theirs[1] is None
    assert (theirs[2**31 - 1].label, theirs[2**31 - 1].signature) == ours[1][1:]
    assert sorted(devices_from_xml(twomemo.etree.serialize_device_list(theirs))) == ours


@covers("O-009", "O-062")
@pytest.mark.parametrize("bit", [0, 128])  # of the identity key's sign
def test_python_omemo_reads_our_legacy_bundle_and_we_read_its(bit):
    prekeys = [(i, os.urandom(32)) for i in range(1, 101)]
    identity_key = edwards_to_montgomery(ed25519_public(os.urandom(32)))
    signature = os.urandom(63) + bytes([bit])
    ours = Bundle(identity_key, 3, os.urandom(32), signature, prekeys, LEGACY)
    theirs = oldmemo.etree.parse_bundle(bundle_to_xml(ours), "a@b", 5)
    assert theirs.bundle.signed_pre_key == ours.signed_prekey
    assert theirs.bundle.identity_key[31] & 128 == bit
    assert len(theirs.bundle.pre_keys) == 100
    back = bundle_from_xml(oldmemo.etree.serialize_bundle(theirs))
    assert {**vars(back), "prekeys": set(back.prekeys)} == {**vars(ours), "prekeys": set(ours.prekeys)}


def test_python_omemo_reads_our_legacy_device_list_and_we_read_its():
    ours = [Device(1), Device(2**31 - 1)]
    theirs = oldmemo.etree.parse_device_list(devices_to_xml([*ours[:1], Device(2**31 - 1, "x", b"s" * 64)], LEGACY))
    assert theirs == {1: None, 2**31 - 1: None}
    assert sorted(devices_from_xml(oldmemo.etree.serialize_device_list(theirs))) == ours


# --- what a message stanza carries


@covers("S-08", "S-09", "S-10", "M-03", "M-06", "M-07")
def test_a_message_has_announcement_and_hint_and_no_body():
    elements = message_elements(Encrypted(OMEMO2, 7, [("a@b", 5, True, b"data")], b"payload"))
    assert [e.tag for e in elements] == [f"{{{NS}}}encrypted", "{urn:xmpp:eme:0}encryption", "{urn:xmpp:hints}store"]
    assert elements[1].attrib == {"namespace": NS}


LEGACY_FORM = Encrypted(LEGACY, 7, [("", 6, True, b"old"), ("", 0, False, b"key")], b"said", b"i" * 12)


@covers("M-03", "M-04", "M-05", "S-09", "S-10")
def test_a_legacy_message_has_announcement_hint_and_a_body_that_says_nothing():
    element, announcement, body, hint = message_elements(LEGACY_FORM)
    assert announcement.tag == "{urn:xmpp:eme:0}encryption" and announcement.attrib == {"namespace": LEGACY_NS}
    assert body.tag == "{jabber:client}body" and "OMEMO" in body.text
    assert hint.tag == "{urn:xmpp:hints}store"
    assert vars(encrypted_from_xml(element)) == vars(LEGACY_FORM)
    assert [key.get("prekey") for key in element.iter(f"{{{LEGACY_NS}}}key")] == ["true", None]
    transport = Encrypted(LEGACY, 7, [("", 6, False, b"old")], None, b"i" * 12)
    assert [e.tag.partition("}")[2] for e in message_elements(transport)] == ["encrypted", "encryption", "store"]
    assert vars(encrypted_from_xml(message_elements(transport)[0])) == vars(transport)


@covers("S-08", "M-04", "M-05")
def test_a_message_in_both_forms_has_two_announcements_and_no_body():
    both = Encrypted(OMEMO2, 7, [("a@b", 5, True, b"data")], b"payload", legacy=LEGACY_FORM)
    elements = message_elements(both)
    assert [e.tag for e in elements] == [
        f"{{{NS}}}encrypted",
        f"{{{LEGACY_NS}}}encrypted",
        "{urn:xmpp:eme:0}encryption",
        "{urn:xmpp:eme:0}encryption",
        "{urn:xmpp:hints}store",
    ]
    assert [e.get("namespace") for e in elements[2:4]] == [NS, LEGACY_NS]
    for back in (
        find_encrypted(ET.fromstring(f"<message>{forms_to_text(both)}</message>")),
        forms_from_text(forms_to_text(both)),
    ):
        assert vars(back.legacy) == vars(LEGACY_FORM)
        assert {**vars(back), "legacy": None} == {**vars(both), "legacy": None}
    stanza = ET.fromstring(f"<message>{legacy_message()}{legacy_message()}</message>")
    raises(RemoteError, "format", find_encrypted, stanza)


@covers("O-085", "O-087")
def test_kex_is_written_for_key_exchanges_only_and_an_empty_message_has_no_payload():
    element = encrypted_to_xml(Encrypted(OMEMO2, 7, [("a@b", 5, True, b"x"), ("a@b", 6, False, b"y")]))
    assert [key.get("kex") for key in element.iter(f"{{{NS}}}key")] == ["true", None]
    assert len(element.findall(f"{{{NS}}}header/{{{NS}}}keys")) == 1
    assert element.find(f"{{{NS}}}payload") is None
    assert encrypted_from_xml(element).payload is None


# --- strictness


@covers("O-085")
@pytest.mark.parametrize("word, kex", [("true", True), ("1", True), (" true\n", True), ("false", False), ("0", False)])
def test_kex_is_an_xml_boolean(word, kex):
    read = parsed(encrypted_from_xml, message(f"<keys jid='a@b'><key rid='5' kex='{word}'>AAAA</key></keys>"))
    assert read.keys == [("a@b", 5, kex, b"\0\0\0")]


@covers("O-050")
@pytest.mark.parametrize("sid", ["0", "-1", "+1", "2147483648", "1_0", "1.0", "", " ", "0x1", "٥", "9" * 5000])
def test_an_id_is_1_to_2_31_less_1(sid):
    raises(RemoteError, "format", parsed, encrypted_from_xml, message(sid=sid))


@pytest.mark.parametrize(
    "text",
    [
        f"<encrypted xmlns='{NS}'/>",
        f"<encrypted xmlns='{NS}'><header/></encrypted>",
        f"<encrypted xmlns='{NS}'><header sid='7'/><header sid='7'/></encrypted>",
        "<encrypted xmlns='urn:xmpp:omemo:1'><header sid='7'/></encrypted>",
        message("<keys><key rid='5'>AAAA</key></keys>"),
        message("<keys jid='a@b/resource'><key rid='5'>AAAA</key></keys>"),
        message("<keys jid='@'><key rid='5'>AAAA</key></keys>"),
        message("<keys jid='a@b'><key>AAAA</key></keys>"),
        message("<keys jid='a@b'><key rid='5'/></keys>"),
        message("<keys jid='a@b'><key rid='5' kex='yes'>AAAA</key></keys>"),
        message("<keys jid='a@b'><key rid='5'>AAA</key></keys>"),
        message("<keys jid='a@b'><key rid='5'>AAAA====</key></keys>"),
        message("<keys jid='a@b'><key rid='5'>AA-_</key></keys>"),
        message("<keys jid='a@b'><key rid='5'>AAAB=</key></keys>"),
        message("<keys jid='a@b'><key rid='5'>AB==</key></keys>"),  # bits that are not zero behind the end
        message("<keys jid='a@b'><key rid='5'>AA<x/>AA</key></keys>"),
        message("<keys jid='a@b'><key rid='5'>AAAA</key><key rid='5'>AAAA</key></keys>"),
        message("<keys jid='a@b'><key rid='5'>AAAA</key></keys><keys jid='A@b'><key rid='5'>AAAA</key></keys>"),
        message(rest="<payload>AAAA</payload><payload>AAAA</payload>"),
        message(rest="<payload/>"),
    ],
)
def test_a_message_that_breaks_the_format_is_refused(text):
    raises(RemoteError, "format", parsed, encrypted_from_xml, text)


@pytest.mark.parametrize(
    "text",
    [
        f"<encrypted xmlns='{LEGACY_NS}'/>",
        legacy_message(sid="0"),
        legacy_message("<key>AAAA</key><iv>AAAA</iv>"),
        legacy_message("<key rid='4294967296'>AAAA</key><iv>AAAA</iv>"),
        legacy_message("<key rid='5' prekey='yes'>AAAA</key><iv>AAAA</iv>"),
        legacy_message("<key rid='5'/><iv>AAAA</iv>"),
        legacy_message("<key rid='5'>AAAA</key><iv>AAAA</iv><iv>AAAA</iv>"),
        legacy_message("<key rid='5'>AAAA</key>", rest="<payload>AAAA</payload>"),
        legacy_message(rest="<payload/>"),
    ],
)
def test_a_legacy_message_that_breaks_the_format_is_refused(text):
    raises(RemoteError, "format", parsed, encrypted_from_xml, text)


@covers("O-069")
def test_a_legacy_bundle_may_have_ids_of_0():
    read = parsed(bundle_from_xml, legacy_bundle())
    assert (read.dialect, read.signed_prekey_id, read.prekeys) == (LEGACY, 0, [(0, bytes(32))])


@pytest.mark.parametrize(
    "text",
    [
        legacy_bundle(spk=""),
        legacy_bundle(spk=f"<signedPreKeyPublic>{TYPED_KEY}</signedPreKeyPublic>"),
        legacy_bundle(ik=KEY),
        legacy_bundle(ik="A" * 44),
        legacy_bundle(prekeys=f"<preKeyPublic preKeyId='-1'>{TYPED_KEY}</preKeyPublic>"),
        legacy_bundle(prekeys=f"<preKeyPublic preKeyId='4'>{TYPED_KEY}</preKeyPublic>" * 2),
        legacy_bundle(rest=f"<identityKey>{TYPED_KEY}</identityKey>"),
        f"<bundle xmlns='{LEGACY_NS}'/>",
    ],
)
def test_a_legacy_bundle_that_breaks_the_format_is_refused(text):
    raises(RemoteError, "format", parsed, bundle_from_xml, text)


def test_what_is_too_large_is_refused():
    many = "".join(f"<key rid='{i}'>AAAA</key>" for i in range(1, 258))
    raises(RemoteError, "too-large", parsed, encrypted_from_xml, message(f"<keys jid='a@b'>{many}</keys>"))
    many = "".join(f"<keys jid='a{i}@b'><key rid='1'>AAAA</key></keys>" for i in range(129))
    raises(RemoteError, "too-large", parsed, encrypted_from_xml, message(many))
    long = f"<keys jid='a@b'><key rid='5'>{'A' * 1400}</key></keys>"
    raises(RemoteError, "too-large", parsed, encrypted_from_xml, message(long))
    raises(RemoteError, "too-large", parsed, encrypted_from_xml, message(rest=f"<payload>{'A' * 200_000}</payload>"))
    many = "".join(f"<pk id='{i}'>{KEY}</pk>" for i in range(1, 1002))
    raises(RemoteError, "too-large", parsed, bundle_from_xml, bundle(prekeys=many))
    many = "".join(f"<device id='{i}'/>" for i in range(1, 258))
    raises(RemoteError, "too-large", parsed, devices_from_xml, f"<devices xmlns='{NS}'>{many}</devices>")


@covers("O-069")
@pytest.mark.parametrize(
    "text",
    [
        bundle(spk=""),
        bundle(spk=f"<spk id='0'>{KEY}</spk>"),
        bundle(spk=f"<spk>{KEY}</spk>"),
        bundle(ik="AAAA"),
        bundle(ik="A" * 47 + "="),
        bundle(prekeys=f"<pk id='0'>{KEY}</pk>"),
        bundle(prekeys=f"<pk id='4'>{KEY}</pk><pk id='4'>{KEY}</pk>"),
        bundle(prekeys="<pk id='4'>AAAA</pk>"),
        bundle(rest=f"<ik>{KEY}</ik>"),
        f"<bundle xmlns='{NS}'/>",
        f"<devices xmlns='{NS}'/>",
    ],
)
def test_a_bundle_that_breaks_the_format_is_refused(text):
    # 35 bytes of base64 where 32 belong are "too-large", all else "format".
    with pytest.raises(RemoteError) as caught:
        parsed(bundle_from_xml, text)
    assert caught.value.reason in ("format", "too-large")


@covers("O-069")
def test_prekey_and_signed_prekey_may_have_the_same_id():
    read = parsed(bundle_from_xml, bundle(spk=f"<spk id='9'>{KEY}</spk>"))
    assert (read.signed_prekey_id, read.prekeys) == (9, [(9, bytes(32))])


def test_order_unknown_parts_and_line_breaks_do_not_matter():
    text = (
        f"<bundle xmlns='{NS}' xmlns:x='urn:x' x:a='1'><x:new/><prekeys><pk id='9'>{KEY[:20]}\n  {KEY[20:]}</pk>"
        f"</prekeys><ik>{KEY}</ik><spks>{SIGNATURE}</spks><spk id='1'>{KEY}</spk></bundle>"
    )
    assert parsed(bundle_from_xml, text).prekeys == [(9, bytes(32))]


def test_an_empty_list_and_a_device_that_is_there_twice():
    assert parsed(devices_from_xml, f"<devices xmlns='{NS}'/>") == []
    text = f"<devices xmlns='{NS}'><device id='3'/><device id='3' label='x'/></devices>"
    assert parsed(devices_from_xml, text) == [Device(3)]
    raises(RemoteError, "format", parsed, devices_from_xml, f"<devices xmlns='{NS}'><device id='0'/></devices>")


@pytest.mark.parametrize("signature", ["", "AAAA", "!", KEY])
def test_a_label_with_a_signature_of_the_wrong_form_is_ignored(signature):
    text = f"<devices xmlns='{NS}'><device id='3' label='x' labelsig='{signature}'/></devices>"
    assert parsed(devices_from_xml, text) == [Device(3)]


@pytest.mark.parametrize("label", ["a\0b", "two\nlines", "x" * 256])
def test_a_label_that_is_not_a_line_of_text_is_not_written(label):
    raises(LocalError, "format", devices_to_xml, [Device(3, label, b"s" * 64)])


def test_a_stanza_with_two_encrypted_elements_of_one_kind_is_refused():
    stanza = ET.fromstring(f"<message>{message()}{message()}</message>")
    raises(RemoteError, "format", find_encrypted, stanza)
    assert find_encrypted(ET.fromstring("<message/>")) is None


# --- one invariant: any element gives a value or a RemoteError

_names = st.sampled_from(
    "encrypted header keys key payload iv bundle ik spk spks prekeys pk devices list device identityKey "
    "signedPreKeyPublic signedPreKeySignature preKeyPublic other".split()
)
_texts = st.one_of(
    st.sampled_from(["", "AAAA", KEY, TYPED_KEY, SIGNATURE, "A", "=", " AA AA ", "1", "0", "true", "a@b", "a@b/c"]),
    st.text(max_size=8),
)
_attributes = st.dictionaries(st.sampled_from("sid rid jid kex prekey id label labelsig".split()), _texts, max_size=3)


@st.composite
def _elements(draw, depth=4):
    element = ET.Element(
        f"{{{draw(st.sampled_from([NS, NS, LEGACY_NS, LEGACY_NS, 'urn:x']))}}}{draw(_names)}", draw(_attributes)
    )
    element.text = draw(_texts)
    if depth:
        element.extend(draw(st.lists(_elements(depth - 1), max_size=3)))
    return element


@settings(max_examples=300, deadline=None)
@given(_elements(), st.sampled_from([encrypted_from_xml, bundle_from_xml, devices_from_xml]), st.booleans())
def test_any_element_gives_a_value_or_a_remote_error(element, parse, legacy):
    name = {encrypted_from_xml: "encrypted", bundle_from_xml: "bundle"}.get(parse, "list" if legacy else "devices")
    element.tag = f"{{{LEGACY_NS if legacy else NS}}}{name}"
    try:
        parse(element)
    except RemoteError:
        pass

"""OMEMO's XML (`urn:xmpp:omemo:2`, XEP-0384 0.9.1) to and from the values of `motemo.omemo.elements`.

What comes from outside is parsed strictly and within bounds: anything else raises RemoteError "format" or
"too-large". Unknown elements and attributes are ignored, the order of elements is free.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement

from slixmpp.jid import JID, InvalidJID

from motemo.errors import LocalError, RemoteError
from motemo.omemo.elements import NAMESPACES, OMEMO2, Bundle, Encrypted

__all__ = [
    "BUNDLES_NODE",
    "DEVICES_NODE",
    "NS",
    "Device",
    "bare_jid",
    "bundle_from_xml",
    "bundle_to_xml",
    "devices_from_xml",
    "devices_to_xml",
    "encrypted_from_xml",
    "encrypted_to_xml",
    "find_encrypted",
    "message_elements",
]

NS = NAMESPACES[OMEMO2]
DEVICES_NODE = NS + ":devices"
BUNDLES_NODE = NS + ":bundles"
ENCRYPTED_TAG = f"{{{NS}}}encrypted"
EME_NS = "urn:xmpp:eme:0"
HINTS_NS = "urn:xmpp:hints"

MAX_ID = 2**31 - 1
MAX_DEVICES = 256  # devices in one list, `key` elements in one message
MAX_RECIPIENTS = 128  # `keys` elements in one message
MAX_PREKEYS = 1000
MAX_LABEL = 255  # characters; XEP-0384 recommends less than 53
MAX_KEY_BYTES = 1024  # one ratchet message or key exchange, about 200 bytes in fact
MAX_PAYLOAD_BYTES = 128 * 1024

_XML_SPACE = " \t\r\n"
_WITHOUT_SPACE = str.maketrans("", "", _XML_SPACE)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class Device(NamedTuple):
    """One entry of a device list. A label counts only once its signature has been checked (O-058)."""

    id: int
    label: str | None = None
    label_signature: bytes | None = None


# --- messages ------------------------------------------------------------------------------------------------


def find_encrypted(message: Element) -> Element | None:
    """Return the `encrypted` element of a message stanza, None if there is none; RemoteError "format" if several."""
    found = message.findall(ENCRYPTED_TAG)
    if len(found) > 1:
        raise RemoteError("format", "more than one encrypted element")
    return found[0] if found else None


def encrypted_from_xml(element: Element) -> Encrypted:
    """Parse an `encrypted` element (section "Message structure")."""
    if element.tag != ENCRYPTED_TAG:
        raise RemoteError("format", "not an encrypted element")
    header = _child(element, "header")
    keys = []
    seen = set()
    recipients = list(_children(header, "keys"))
    if len(recipients) > MAX_RECIPIENTS:
        raise RemoteError("too-large", "recipients")
    for recipient in recipients:
        jid = bare_jid(_attribute(recipient, "jid"))
        for key in _children(recipient, "key"):
            rid = _id(_attribute(key, "rid"))
            if (jid, rid) in seen:
                raise RemoteError("format", "two keys for one device")
            if len(seen) == MAX_DEVICES:
                raise RemoteError("too-large", "keys")
            seen.add((jid, rid))
            keys.append((jid, rid, _boolean(key.get("kex", "false")), _data(key, MAX_KEY_BYTES)))
    payload = _optional_child(element, "payload")
    return Encrypted(
        OMEMO2,
        _id(_attribute(header, "sid")),
        keys,
        None if payload is None else _data(payload, MAX_PAYLOAD_BYTES),
    )


def encrypted_to_xml(encrypted: Encrypted) -> Element:
    """Write an `encrypted` element: one `keys` for each JID, one `key` for each device (O-085)."""
    element = Element(ENCRYPTED_TAG)
    header = SubElement(element, f"{{{NS}}}header", {"sid": str(encrypted.sid)})
    recipients: dict[str, Element] = {}
    for jid, rid, kex, data in encrypted.keys:
        if jid not in recipients:
            recipients[jid] = SubElement(header, f"{{{NS}}}keys", {"jid": jid})
        key = SubElement(recipients[jid], f"{{{NS}}}key", {"rid": str(rid)})
        if kex:
            key.set("kex", "true")
        key.text = _base64(data)
    if encrypted.payload is not None:
        SubElement(element, f"{{{NS}}}payload").text = _base64(encrypted.payload)
    return element


def message_elements(encrypted: Encrypted) -> list[Element]:
    """Return the children of a message stanza: `encrypted`, its XEP-0380 announcement and the `store` hint.

    There is no body (XEP-0420 forbids it), and no name in the announcement (M-03).
    """
    return [
        encrypted_to_xml(encrypted),
        Element(f"{{{EME_NS}}}encryption", {"namespace": NAMESPACES[encrypted.dialect]}),
        Element(f"{{{HINTS_NS}}}store"),
    ]


# --- device lists and bundles ------------------------------------------------------------------------------------


def devices_from_xml(element: Element) -> list[Device]:
    """Parse a `devices` element. A device that is listed twice counts once; a label without signature is left out."""
    if element.tag != f"{{{NS}}}devices":
        raise RemoteError("format", "not a device list")
    devices: dict[int, Device] = {}
    for child in _children(element, "device"):
        device = _id(_attribute(child, "id"))
        if device not in devices and len(devices) == MAX_DEVICES:
            raise RemoteError("too-large", "devices")
        devices.setdefault(device, Device(device, *_label(child)))
    return list(devices.values())


def devices_to_xml(devices: list[Device]) -> Element:
    """Write a `devices` element; LocalError "format" for a label that is too long or not one line of text."""
    element = Element(f"{{{NS}}}devices")
    for device in devices:
        child = SubElement(element, f"{{{NS}}}device", {"id": str(device.id)})
        if device.label is not None and device.label_signature is not None:
            if len(device.label) > MAX_LABEL or not device.label.isprintable():
                raise LocalError("format", "label")
            child.set("label", device.label)
            child.set("labelsig", _base64(device.label_signature))
    return element


def bundle_from_xml(element: Element) -> Bundle:
    """Parse a `bundle` element: every part once, lengths exact, prekey ids 1 to 2^31-1 and each once (O-069)."""
    if element.tag != f"{{{NS}}}bundle":
        raise RemoteError("format", "not a bundle")
    signed_prekey = _child(element, "spk")
    prekeys: dict[int, bytes] = {}
    for child in _children(_child(element, "prekeys"), "pk"):
        prekey = _id(_attribute(child, "id"))
        if prekey in prekeys:
            raise RemoteError("format", "two prekeys with one id")
        if len(prekeys) == MAX_PREKEYS:
            raise RemoteError("too-large", "prekeys")
        prekeys[prekey] = _exactly(child, 32)
    return Bundle(
        _exactly(_child(element, "ik"), 32),
        _id(_attribute(signed_prekey, "id")),
        _exactly(signed_prekey, 32),
        _exactly(_child(element, "spks"), 64),
        list(prekeys.items()),
    )


def bundle_to_xml(bundle: Bundle) -> Element:
    """Write a `bundle` element."""
    element = Element(f"{{{NS}}}bundle")
    signed_prekey = SubElement(element, f"{{{NS}}}spk", {"id": str(bundle.signed_prekey_id)})
    signed_prekey.text = _base64(bundle.signed_prekey)
    SubElement(element, f"{{{NS}}}spks").text = _base64(bundle.signature)
    SubElement(element, f"{{{NS}}}ik").text = _base64(bundle.identity_key)
    prekeys = SubElement(element, f"{{{NS}}}prekeys")
    for prekey, key in bundle.prekeys:
        SubElement(prekeys, f"{{{NS}}}pk", {"id": str(prekey)}).text = _base64(key)
    return element


# --- the parts -----------------------------------------------------------------------------------------------


def bare_jid(text: str) -> str:
    """Return a bare JID in its normal form; RemoteError "format" if it is none."""
    try:
        jid = JID(text)
    except InvalidJID:
        raise RemoteError("format", "not a JID") from None
    if not jid.domain or jid.resource:
        raise RemoteError("format", "not a bare JID")
    return jid.bare


def _children(element: Element, name: str) -> Iterator[Element]:
    return element.iterfind(f"{{{NS}}}{name}")


def _optional_child(element: Element, name: str) -> Element | None:
    children = list(_children(element, name))
    if len(children) > 1:
        raise RemoteError("format", f"more than one {name}")
    return children[0] if children else None


def _child(element: Element, name: str) -> Element:
    child = _optional_child(element, name)
    if child is None:
        raise RemoteError("format", f"{name} is missing")
    return child


def _attribute(element: Element, name: str) -> str:
    value = element.get(name)
    if value is None:
        raise RemoteError("format", f"{name} is missing")
    return value


def _id(text: str) -> int:
    digits = text.strip(_XML_SPACE)
    # int() alone would take signs, underscores and the digits of other scripts.
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and 1 <= int(digits) <= MAX_ID):
        raise RemoteError("format", "not an id of 1 to 2^31-1")
    return int(digits)


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.strip(_XML_SPACE)]
    except KeyError:
        raise RemoteError("format", "not a boolean") from None


def _label(device: Element) -> tuple[str, bytes] | tuple[None, None]:
    label, signature = device.get("label"), device.get("labelsig")
    if label is None or signature is None or len(label) > MAX_LABEL:
        return None, None
    try:
        return label, _of_length(_decode(signature, 64), 64)
    except RemoteError:
        return None, None


def _exactly(element: Element, length: int) -> bytes:
    return _of_length(_data(element, length), length)


def _of_length(data: bytes, length: int) -> bytes:
    if len(data) != length:
        raise RemoteError("format", f"not {length} bytes")
    return data


def _data(element: Element, most: int) -> bytes:
    if len(element):
        raise RemoteError("format", "an element inside base64")
    return _decode(element.text or "", most)


def _decode(text: str, most: int) -> bytes:
    # Line breaks and spaces are allowed in xs:base64Binary, some writers wrap.
    packed = text.translate(_WITHOUT_SPACE)
    if len(packed) > (most + 2) // 3 * 4:
        raise RemoteError("too-large", "base64")
    try:
        data = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        raise RemoteError("format", "not base64") from None
    if not data or _base64(data) != packed:
        raise RemoteError("format", "not base64")
    if len(data) > most:
        raise RemoteError("too-large", "base64")
    return data


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")

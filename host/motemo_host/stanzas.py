"""OMEMO's XML (`urn:xmpp:omemo:2`, XEP-0384 0.9.1; `eu.siacs.conversations.axolotl`, 0.3) to and from the values of
`motemo.omemo.elements`.

What comes from outside is parsed strictly and within bounds: anything else raises RemoteError "format" or
"too-large". Unknown elements and attributes are ignored, the order of elements is free.
"""

import base64
import binascii
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from slixmpp.jid import JID, InvalidJID

from motemo.crypto.points import edwards_to_montgomery
from motemo.errors import LocalError, RemoteError
from motemo.omemo.elements import LEGACY, OMEMO2, Bundle, Encrypted

__all__ = [
    "BUNDLES_NODE",
    "DEVICES_NODE",
    "DEVICES_NODES",
    "NS",
    "Device",
    "bare_jid",
    "bundle_address",
    "bundle_from_xml",
    "bundle_to_xml",
    "devices_from_xml",
    "devices_to_xml",
    "drop_device",
    "encrypted_from_xml",
    "encrypted_to_xml",
    "find_encrypted",
    "forms_from_text",
    "forms_to_text",
    "legacy_form",
    "message_elements",
]

NAMESPACES = {OMEMO2: "urn:xmpp:omemo:2", LEGACY: "eu.siacs.conversations.axolotl"}
NS = NAMESPACES[OMEMO2]
DEVICES_NODE = NS + ":devices"
BUNDLES_NODE = NS + ":bundles"
ENCRYPTED_TAG = f"{{{NS}}}encrypted"
LEGACY_NS = NAMESPACES[LEGACY]
DEVICES_NODES = {OMEMO2: DEVICES_NODE, LEGACY: LEGACY_NS + ".devicelist"}
LEGACY_ENCRYPTED_TAG = f"{{{LEGACY_NS}}}encrypted"
CURRENT = "current"  # the item of a node that has one (O-059, P-10)
# What clients without OMEMO show of a legacy message.
FALLBACK_BODY = "This message is encrypted with OMEMO; this client cannot read it."
EME_NS = "urn:xmpp:eme:0"
HINTS_NS = "urn:xmpp:hints"

MAX_ID = 2**31 - 1
MAX_LEGACY_ID = 2**32 - 1
MAX_DEVICES = 256  # devices in one list, `key` elements in one message
MAX_RECIPIENTS = 128  # `keys` elements in one message
MAX_PREKEYS = 1000
MAX_LABEL = 255  # characters; XEP-0384 recommends less than 53
MAX_KEY_BYTES = 1024  # one ratchet message or key exchange, about 200 bytes in fact
MAX_PAYLOAD_BYTES = 128 * 1024

_KEY_TYPE = b"\5"  # before a Curve25519 key, in the legacy dialect
_XML_SPACE = " \t\r\n"
_WITHOUT_SPACE = str.maketrans("", "", _XML_SPACE)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class Device(NamedTuple):
    """One entry of a device list. A label counts only once its signature has been checked (O-058)."""

    id: int
    label: str | None = None
    label_signature: bytes | None = None


# --- messages ------------------------------------------------------------------------------------------------


def find_encrypted(message: Element) -> Encrypted | None:
    """Return what a message stanza holds for OMEMO, None if nothing: the newest form, with the legacy one if both are
    there.

    RemoteError "format" if there are several of one form.
    """
    new, old = (_optional(list(message.iterfind(tag))) for tag in (ENCRYPTED_TAG, LEGACY_ENCRYPTED_TAG))
    if new is None:
        return None if old is None else encrypted_from_xml(old)
    encrypted = encrypted_from_xml(new)
    if old is not None:
        encrypted.legacy = encrypted_from_xml(old)
    return encrypted


def encrypted_from_xml(element: Element) -> Encrypted:
    """Parse an `encrypted` element of either dialect (section "Message structure").

    The keys of a legacy one name no JID: "" stands there.
    """
    if element.tag == LEGACY_ENCRYPTED_TAG:
        return _legacy_encrypted_from_xml(element)
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


def _legacy_encrypted_from_xml(element: Element) -> Encrypted:
    header = _child(element, "header", LEGACY_NS)
    keys = []
    for key in _children(header, "key", LEGACY_NS):
        if len(keys) == MAX_DEVICES:
            raise RemoteError("too-large", "keys")
        rid = _id(_attribute(key, "rid"), 0, MAX_LEGACY_ID)
        keys.append(("", rid, _boolean(key.get("prekey", "false")), _data(key, MAX_KEY_BYTES)))
    payload = _optional_child(element, "payload", LEGACY_NS)
    iv = _optional_child(header, "iv", LEGACY_NS)
    if payload is not None and iv is None:
        raise RemoteError("format", "iv is missing")
    return Encrypted(
        LEGACY,
        _id(_attribute(header, "sid")),
        keys,
        None if payload is None else _data(payload, MAX_PAYLOAD_BYTES),
        None if iv is None else _data(iv, 64),
    )


def encrypted_to_xml(encrypted: Encrypted) -> Element:
    """Write an `encrypted` element: one `keys` for each JID, one `key` for each device (O-085)."""
    if encrypted.dialect == LEGACY:
        return _legacy_encrypted_to_xml(encrypted)
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


def _legacy_encrypted_to_xml(encrypted: Encrypted) -> Element:
    element = Element(LEGACY_ENCRYPTED_TAG)
    header = SubElement(element, f"{{{LEGACY_NS}}}header", {"sid": str(encrypted.sid)})
    for _, rid, kex, data in encrypted.keys:
        key = SubElement(header, f"{{{LEGACY_NS}}}key", {"rid": str(rid)})
        if kex:
            key.set("prekey", "true")
        key.text = _base64(data)
    if encrypted.iv is not None:
        SubElement(header, f"{{{LEGACY_NS}}}iv").text = _base64(encrypted.iv)
    if encrypted.payload is not None:
        SubElement(element, f"{{{LEGACY_NS}}}payload").text = _base64(encrypted.payload)
    return element


def message_elements(encrypted: Encrypted) -> list[Element]:
    """Return the children of a message stanza: `encrypted`, its XEP-0380 announcement and the `store` hint.

    With a legacy form beside, both have their element and announcement. The announcement has no name (M-03). A message
    that is all legacy has the customary fallback body, if it says anything; one with omemo:2 has none (S-08, M-05).
    """
    forms = _forms(encrypted)
    elements = [encrypted_to_xml(form) for form in forms]
    elements += [Element(f"{{{EME_NS}}}encryption", {"namespace": NAMESPACES[form.dialect]}) for form in forms]
    if encrypted.dialect == LEGACY and encrypted.payload is not None:
        body = Element("{jabber:client}body")
        body.text = FALLBACK_BODY
        elements.append(body)
    return [*elements, Element(f"{{{HINTS_NS}}}store")]


def forms_to_text(encrypted: Encrypted) -> str:
    """Write the `encrypted` elements of a message as text, to be kept."""
    return "".join(ElementTree.tostring(encrypted_to_xml(form), "unicode") for form in _forms(encrypted))


def forms_from_text(text: str) -> Encrypted:
    """Parse what `forms_to_text` has written."""
    encrypted = find_encrypted(ElementTree.fromstring(f"<message>{text}</message>"))
    if encrypted is None:
        raise RemoteError("format", "no encrypted element")
    return encrypted


def _forms(encrypted: Encrypted) -> list[Encrypted]:
    return [encrypted] if encrypted.legacy is None else [encrypted, encrypted.legacy]


# --- device lists and bundles ------------------------------------------------------------------------------------


def devices_from_xml(element: Element) -> list[Device]:
    """Parse a device list, of either dialect. A device that is listed twice counts once; a label without signature is
    left out.
    """
    ns = LEGACY_NS if element.tag == f"{{{LEGACY_NS}}}list" else NS
    if ns == NS and element.tag != f"{{{NS}}}devices":
        raise RemoteError("format", "not a device list")
    devices: dict[int, Device] = {}
    for child in _children(element, "device", ns):
        device = _id(_attribute(child, "id"))
        if device not in devices and len(devices) == MAX_DEVICES:
            raise RemoteError("too-large", "devices")
        devices.setdefault(device, Device(device, *_label(child)))
    return list(devices.values())


def devices_to_xml(devices: list[Device], dialect: int = OMEMO2) -> Element:
    """Write a device list; LocalError "format" for a label that is too long or not one line of text.

    The legacy dialect has no labels.
    """
    if dialect == LEGACY:
        element = Element(f"{{{LEGACY_NS}}}list")
        for device in devices:
            SubElement(element, f"{{{LEGACY_NS}}}device", {"id": str(device.id)})
        return element
    element = Element(f"{{{NS}}}devices")
    for device in devices:
        child = SubElement(element, f"{{{NS}}}device", {"id": str(device.id)})
        if device.label is not None and device.label_signature is not None:
            if len(device.label) > MAX_LABEL or not device.label.isprintable():
                raise LocalError("format", "label")
            child.set("label", device.label)
            child.set("labelsig", _base64(device.label_signature))
    return element


def drop_device(devices: Element, device: int) -> bool:
    """Take a device out of a list of either dialect; all else in it stays as it is. False if it was not there."""
    entries = [child for child in devices if _is_entry(child, device)]
    for entry in entries:
        devices.remove(entry)
    return bool(entries)


def _is_entry(child: Element, device: int) -> bool:
    try:
        return child.tag.endswith("}device") and _id(child.get("id", "")) == device
    except RemoteError:
        return False


def bundle_address(dialect: int, device: int) -> tuple[str, str]:
    """Return node and item of a bundle: omemo:2 has one node for all (O-063, O-064), legacy one for each."""
    return (f"{LEGACY_NS}.bundles:{device}", CURRENT) if dialect == LEGACY else (BUNDLES_NODE, str(device))


def bundle_from_xml(element: Element) -> Bundle:
    """Parse a `bundle` element: every part once, lengths exact, prekey ids 1 to 2^31-1 and each once (O-069).

    In the legacy dialect ids may be 0 too.
    """
    if element.tag == f"{{{LEGACY_NS}}}bundle":
        return _legacy_bundle_from_xml(element)
    if element.tag != f"{{{NS}}}bundle":
        raise RemoteError("format", "not a bundle")
    signed_prekey = _child(element, "spk")
    prekeys: dict[int, bytes] = {}
    for child in _children(_child(element, "prekeys"), "pk"):
        _add_prekey(prekeys, _id(_attribute(child, "id")), _exactly(child, 32))
    return Bundle(
        _exactly(_child(element, "ik"), 32),
        _id(_attribute(signed_prekey, "id")),
        _exactly(signed_prekey, 32),
        _exactly(_child(element, "spks"), 64),
        list(prekeys.items()),
    )


def _legacy_bundle_from_xml(element: Element) -> Bundle:
    signed_prekey = _child(element, "signedPreKeyPublic", LEGACY_NS)
    prekeys: dict[int, bytes] = {}
    for child in _children(_child(element, "prekeys", LEGACY_NS), "preKeyPublic", LEGACY_NS):
        _add_prekey(prekeys, _id(_attribute(child, "preKeyId"), 0, MAX_LEGACY_ID), _legacy_key(child))
    return Bundle(
        _legacy_key(_child(element, "identityKey", LEGACY_NS)),
        _id(_attribute(signed_prekey, "signedPreKeyId"), 0, MAX_LEGACY_ID),
        _legacy_key(signed_prekey),
        _exactly(_child(element, "signedPreKeySignature", LEGACY_NS), 64),
        list(prekeys.items()),
        LEGACY,
    )


def _add_prekey(prekeys: dict[int, bytes], number: int, key: bytes) -> None:
    if number in prekeys:
        raise RemoteError("format", "two prekeys with one id")
    if len(prekeys) == MAX_PREKEYS:
        raise RemoteError("too-large", "prekeys")
    prekeys[number] = key


def bundle_to_xml(bundle: Bundle) -> Element:
    """Write a `bundle` element."""
    if bundle.dialect == LEGACY:
        return _legacy_bundle_to_xml(bundle)
    element = Element(f"{{{NS}}}bundle")
    signed_prekey = SubElement(element, f"{{{NS}}}spk", {"id": str(bundle.signed_prekey_id)})
    signed_prekey.text = _base64(bundle.signed_prekey)
    SubElement(element, f"{{{NS}}}spks").text = _base64(bundle.signature)
    SubElement(element, f"{{{NS}}}ik").text = _base64(bundle.identity_key)
    prekeys = SubElement(element, f"{{{NS}}}prekeys")
    for prekey, key in bundle.prekeys:
        SubElement(prekeys, f"{{{NS}}}pk", {"id": str(prekey)}).text = _base64(key)
    return element


def legacy_form(bundle: Bundle) -> Bundle:
    """Return the legacy form of an own omemo:2 bundle: the same keys, its own signature."""
    return Bundle(
        edwards_to_montgomery(bundle.identity_key),
        bundle.signed_prekey_id,
        bundle.signed_prekey,
        bundle.legacy_signature,
        bundle.prekeys,
        LEGACY,
    )


def _legacy_bundle_to_xml(bundle: Bundle) -> Element:
    element = Element(f"{{{LEGACY_NS}}}bundle")

    def add(parent: Element, name: str, value: bytes, **ids: int) -> None:
        attributes = {key: str(id) for key, id in ids.items()}
        SubElement(parent, f"{{{LEGACY_NS}}}{name}", attributes).text = _base64(value)

    add(element, "signedPreKeyPublic", _KEY_TYPE + bundle.signed_prekey, signedPreKeyId=bundle.signed_prekey_id)
    add(element, "signedPreKeySignature", bundle.signature)
    add(element, "identityKey", _KEY_TYPE + bundle.identity_key)
    prekeys = SubElement(element, f"{{{LEGACY_NS}}}prekeys")
    for number, key in bundle.prekeys:
        add(prekeys, "preKeyPublic", _KEY_TYPE + key, preKeyId=number)
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


def _children(element: Element, name: str, ns: str = NS) -> Iterator[Element]:
    return element.iterfind(f"{{{ns}}}{name}")


def _optional(elements: list[Element]) -> Element | None:
    if len(elements) > 1:
        raise RemoteError("format", f"more than one {elements[0].tag.rpartition('}')[2]} element")
    return elements[0] if elements else None


def _optional_child(element: Element, name: str, ns: str = NS) -> Element | None:
    return _optional(list(_children(element, name, ns)))


def _child(element: Element, name: str, ns: str = NS) -> Element:
    child = _optional_child(element, name, ns)
    if child is None:
        raise RemoteError("format", f"{name} is missing")
    return child


def _attribute(element: Element, name: str) -> str:
    value = element.get(name)
    if value is None:
        raise RemoteError("format", f"{name} is missing")
    return value


def _id(text: str, least: int = 1, most: int = MAX_ID) -> int:
    digits = text.strip(_XML_SPACE)
    # int() alone would take signs, underscores and the digits of other scripts.
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10 and least <= int(digits) <= most):
        raise RemoteError("format", f"not an id of {least} to {most}")
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


def _legacy_key(element: Element) -> bytes:
    key = _exactly(element, 33)
    if key[:1] != _KEY_TYPE:
        raise RemoteError("format", "type of key")
    return key[1:]


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

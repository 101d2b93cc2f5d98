"""Fingerprints for people: text, URI and QR code (O-144 to O-146, XEP-0384 "Security").

Two kinds of URI name the keys of an account, and are read as well as written:

    xmpp:JID?omemo-sid-ID=HEX;omemo-sid-ID=HEX                                      what chat clients show and scan
    xmpp:JID?trust-message;encryption=urn:xmpp:omemo:2;trust=HEX;distrust=HEX       XEP-0434 (T-14)

HEX is the fingerprint, the identity key in Curve25519 form, in both. In a JID, what RFC 5122 does not allow in a path
is percent-encoded.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote

import segno

from motemo.errors import LocalError

from .home import parse_address

__all__ = ["Pin", "grouped", "parse_fingerprint", "parse_pin", "qr_text", "trust_uri", "uri"]

_HEX = re.compile(r"[0-9a-fA-F]{64}")
_SID = re.compile(r"omemo-sid-([1-9][0-9]{0,9})")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_SCHEME = "xmpp:"
_ENCRYPTION = "urn:xmpp:omemo:2"
_IN_PATH = "@!$()*+,;=~"  # RFC 5122 "nodeallow", and what parts user and host
_LONGEST = 4096
_MOST_KEYS = 32  # a board keeps no more of one account


class Pin(NamedTuple):
    """Keys of an account. fingerprints: to be trusted. distrusted: to be trusted no more."""

    jid: str
    fingerprints: list[bytes]
    distrusted: Sequence[bytes] = ()


def grouped(fingerprint: bytes) -> str:
    """Lower-case hex in 8 groups of 8 (O-146)."""
    digits = fingerprint.hex()
    return " ".join(digits[at : at + 8] for at in range(0, 64, 8))


def parse_fingerprint(text: str) -> bytes:
    """The 32 bytes of a fingerprint in hex, with or without spaces and colons; raises LocalError "format"."""
    digits = re.sub(r"[\s:]", "", text)
    if not _HEX.fullmatch(digits):
        raise LocalError("format", f"a fingerprint has 64 hex digits, this one is {text!r}")
    return bytes.fromhex(digits)


def parse_pin(text: str) -> Pin:
    """What JID, JID=FINGERPRINT,… or a URI of either kind names; raises LocalError "format" or "too-large".

    A URI that names no key at all is refused: it would read as a JID alone, which means first use.
    """
    if len(text) > _LONGEST:
        raise LocalError("too-large", f"an address with fingerprints has at most {_LONGEST} characters")
    if text[: len(_SCHEME)].lower() == _SCHEME:
        pin = _parse_uri(text)
    else:
        jid, equals, fingerprints = text.partition("=")
        keys = [parse_fingerprint(one) for one in fingerprints.split(",")] if equals else []
        pin = Pin(parse_address(jid), _distinct(keys))
    if len(pin.fingerprints) + len(pin.distrusted) > _MOST_KEYS:
        raise LocalError("too-large", f"at most {_MOST_KEYS} keys of one account can be named")
    return pin


def _parse_uri(text: str) -> Pin:
    path, mark, query = text[len(_SCHEME) :].partition("#")[0].partition("?")
    if path.startswith("//"):
        raise LocalError("format", f"{text!r} names an account to log in with; say xmpp:JID?…")
    jid = parse_address(_unescaped(path))
    first, *others = query.split(";") if mark else [""]
    if first == "trust-message":
        return _parse_trust_message(text, jid, others)
    keys = []
    for part in (first, *others):
        name, _, value = part.partition("=")
        found = _SID.fullmatch(name)
        if found and int(found[1]) < 2**31:
            keys.append(_parse_key(value))
        elif name.startswith("omemo-sid-"):
            raise LocalError("format", f"{name!r} is not the id of a device, 1 to 2147483647")
    if not keys:
        raise LocalError("format", f"{text!r} names no key to trust; it wants omemo-sid-ID=HEX")
    return Pin(jid, _distinct(keys))


def _parse_trust_message(text: str, jid: str, parts: list[str]) -> Pin:
    name, _, value = parts[0].partition("=") if parts else ("", "", "")
    if name != "encryption":
        raise LocalError("format", f"in {text!r} encryption has to come first (XEP-0434)")
    if _unescaped(value) != _ENCRYPTION:
        raise LocalError("format", f"{text!r} is for another encryption than {_ENCRYPTION}")
    keys: dict[str, list[bytes]] = {"trust": [], "distrust": []}
    for part in parts[1:]:
        name, _, value = part.partition("=")
        if name not in keys:
            raise LocalError("format", f"{name!r} has no place in a trust-message URI (XEP-0434)")
        keys[name].append(_parse_key(value))
    if set(keys["trust"]) & set(keys["distrust"]):
        raise LocalError("format", f"{text!r} trusts and distrusts the same key")
    if not keys["trust"] and not keys["distrust"]:
        raise LocalError("format", f"{text!r} names no key")
    return Pin(jid, _distinct(keys["trust"]), _distinct(keys["distrust"]))


def _parse_key(value: str) -> bytes:
    if not _HEX.fullmatch(value):
        raise LocalError("format", f"a key in a URI has 64 hex digits, this one is {value!r}")
    return bytes.fromhex(value)


def _unescaped(text: str) -> str:
    try:
        if not _BAD_ESCAPE.search(text):
            return unquote(text, errors="strict")
    except UnicodeDecodeError:
        pass
    raise LocalError("format", f"{text!r} is not percent-encoded as a URI is")


def _distinct(keys: list[bytes]) -> list[bytes]:
    return list(dict.fromkeys(keys))


def uri(jid: str, devices: Mapping[int, bytes]) -> str:
    """The URI that chat clients scan, of an account's device ids and fingerprints."""
    return _start(jid) + ";".join(f"omemo-sid-{device}={key.hex()}" for device, key in devices.items())


def trust_uri(jid: str, trusted: Sequence[bytes], distrusted: Sequence[bytes] = ()) -> str:
    """The URI of XEP-0434 about fingerprints of an account (T-14)."""
    parts = ["trust-message", f"encryption={_ENCRYPTION}"]
    parts += [f"trust={key.hex()}" for key in trusted]
    parts += [f"distrust={key.hex()}" for key in distrusted]
    return _start(jid) + ";".join(parts)


def _start(jid: str) -> str:
    return f"{_SCHEME}{quote(jid, safe=_IN_PATH)}?"


def qr_text(text: str) -> str:
    """A QR code in characters for the terminal, at most 80 columns for a URI."""
    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out, compact=True, border=2)
    return out.getvalue()

"""Fingerprints for people: text, URI and QR code (O-144 to O-146, XEP-0384 "Security")."""

import io
import re

import segno

from motemo.errors import LocalError

from .home import parse_address

__all__ = ["grouped", "parse_fingerprint", "parse_pin", "qr_text", "uri"]

_HEX = re.compile(r"[0-9a-fA-F]{64}")


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


def parse_pin(text: str) -> tuple[str, list[bytes]]:
    """(bare JID, fingerprints) of JID or JID=FINGERPRINT,…; raises LocalError "format"."""
    jid, equals, fingerprints = text.partition("=")
    return parse_address(jid), [parse_fingerprint(one) for one in fingerprints.split(",")] if equals else []


def uri(jid: str, device: int, fingerprint: bytes) -> str:
    """The URI that chat clients scan: `xmpp:JID?omemo-sid-ID=HEX`."""
    return f"xmpp:{jid}?omemo-sid-{device}={fingerprint.hex()}"


def qr_text(text: str) -> str:
    """A QR code in characters for the terminal, at most 80 columns for a URI."""
    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out, compact=True, border=2)
    return out.getvalue()

"""Writes the envelope that omemo:2 encrypts: Stanza Content Encryption, XEP-0420 0.5.0, as XEP-0384 0.9.1 profiles it.

With default namespaces and no prefixes, because clients match on names as they are written, and without white space,
because every byte travels. `motemo.omemo.envelope_reader` is the way back.
"""

from motemo.crypto.random import random_bytes
from motemo.xmltext import escape, quote

SENML = "urn:motemo:senml:1"  # the XEP-0432 datatype of our SenML records (RFC 8428)
NOTICE = ("urn:motemo:notice:1", "notice")  # beside a body that nobody may answer by program

_PADDING = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def build(sender, body=None, records=None, to=None, stamp=None, least=160, extra=12, more="") -> bytes:
    """An envelope from `sender` (JID, its resource is left out).

    body: text. records: JSON text of SenML records. to: JID, which a group chat needs (O-083). stamp: unix seconds.
    more: further elements of the content, as XML.
    The padding fills up to `least` bytes and adds 0 to `extra` random characters (S-01: at most 200).
    """
    head = "<envelope xmlns='urn:xmpp:sce:1'><content>"
    if body is not None:
        head += "<body xmlns='jabber:client'>" + escape(body) + "</body>"
    if records is not None:
        head += "<payload xmlns='urn:xmpp:json-msg:0' datatype='" + SENML + "'>"
        head += "<json xmlns='urn:xmpp:json:0'>" + escape(records) + "</json></payload>"
    head += more + "</content><rpad>"
    tail = "</rpad>"
    if stamp is not None:
        from motemo import timestamp  # most boards send none

        tail += "<time stamp='" + timestamp.write(stamp) + "'/>"
    if to is not None:
        tail += "<to jid=" + quote(to.split("/")[0]) + "/>"
    tail += "<from jid=" + quote(sender.split("/")[0]) + "/></envelope>"
    head = head.encode()
    tail = tail.encode()
    padding = int.from_bytes(random_bytes(2), "big") % (extra + 1) + max(0, least - len(head) - len(tail))
    return head + bytes([_PADDING[c & 63] for c in random_bytes(padding)]) + tail

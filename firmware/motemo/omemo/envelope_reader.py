"""Reads and checks the envelope that omemo:2 decrypts (XEP-0420 0.5.0); `motemo.omemo.envelope` writes it."""

from motemo.errors import RemoteError
from motemo.xml import Parser

_SCE = "urn:xmpp:sce:1"
_BODY = ("jabber:client", "body")
_PAYLOAD = ("urn:xmpp:json-msg:0", "payload")
_JSON = ("urn:xmpp:json:0", "json")
_OPT_OUT = ("urn:xmpp:omemo:2", "opt-out")
_REASON = ("urn:xmpp:omemo:2", "reason")
_STANZA_ID = ("urn:xmpp:sid:0", "stanza-id")
_FOR_THE_SERVER = ("urn:xmpp:hints", "http://jabber.org/protocol/address", "urn:xmpp:eme:0")


class Envelope:
    """What an envelope held.

    body: the text, or None. records: list of (datatype, JSON text). stamp: the sender's unix seconds, or None.
    opt_out: the reason, maybe "", with which the peer asks for plain text; or None. others: (namespace, name) of the
    other elements. dropped: how many elements that are for the server were thrown away (S-12).
    """

    def __init__(self):
        self.body = None
        self.records = []
        self.stamp = None
        self.opt_out = None
        self.others = []
        self.dropped = 0


def read(data, sender, to=None, group=False, sent=None, margin=3600) -> Envelope:
    """The envelope in decrypted bytes, checked against the stanza that it came in (S-04 to S-06).

    sender: the stanza's sender; to: its recipient, if that is to be checked; JIDs, their resources do not count.
    group: it came through a group chat, so it must name its recipient. sent: when the stanza was sent, unix seconds, if
    that is known; `margin` in seconds. The caller bounds the length of `data`.

    A missing `rpad` or `from` is no error: the profile asks a sender for them, and XEP-0384's own example of an opt-out
    has neither. Raises RemoteError "envelope".
    """
    parser = Parser(tag=len(data), text=len(data), size=len(data), depth=24, attributes=32)
    reader = _Reader(sender, to, sent, margin)
    try:
        for event in parser.feed(data):
            if event[0] == "start":
                reader.start(event[1:3], event[3])
            elif event[0] == "text":
                reader.text += event[1]
            else:
                reader.end()
    except RemoteError as error:
        raise RemoteError("envelope", error.reason) from None
    if not parser.ended or "content" not in reader.seen or group and "to" not in reader.seen:
        raise _bad()
    return reader.envelope


def read_legacy(data, *_) -> Envelope:
    """What a legacy message says: its plaintext is the body alone. Raises RemoteError "envelope"."""
    content = Envelope()
    try:
        content.body = data.decode()
    except UnicodeError:
        raise RemoteError("envelope", "not text") from None
    return content


class _Reader:
    """Fills an `Envelope` from the parser's events."""

    def __init__(self, sender, to, sent, margin):
        self.envelope = Envelope()
        self.seen = {}  # children of the envelope, each allowed once
        self.text = ""  # since the last tag
        self._jids = {"from": sender, "to": to}
        self._sent = sent
        self._margin = margin
        self._path = []
        self._datatype = None
        self._json = None

    def start(self, element, attributes):
        path = self._path
        depth = len(path)
        if depth == 0 and element != (_SCE, "envelope"):
            raise _bad()
        if depth == 1 and element[0] == _SCE:
            self._affix(element[1], attributes)
        elif depth == 2 and path[1] == (_SCE, "content"):
            self._content(element, attributes)
        elif depth >= 3 and path[2] == _PAYLOAD:
            if depth > 3 or element != _JSON or self._json is not None:
                raise _bad()
            self._json = ""
        elif depth >= 3 and path[2] == _BODY:
            raise _bad()
        path.append(element)
        self.text = ""

    def _affix(self, name, attributes):
        if name in self.seen:
            raise _bad()
        self.seen[name] = True
        if name in self._jids:
            expected = self._jids[name]
            jid = attributes.get("jid")
            if not jid or expected is not None and _bare(jid) != _bare(expected):
                raise _bad()
        elif name == "time":
            from motemo import timestamp  # few messages need it

            stamp = self.envelope.stamp = timestamp.read(attributes.get("stamp", ""))
            if self._sent is not None and abs(stamp - self._sent) > self._margin:
                raise _bad()

    def _content(self, element, attributes):
        if element[0] == _SCE or not element[0]:
            raise _bad()  # S-13
        if element[0] in _FOR_THE_SERVER or element == _STANZA_ID:
            self.envelope.dropped += 1
        elif element == _PAYLOAD:
            self._datatype = attributes.get("datatype")
            self._json = None
        elif element == _OPT_OUT:
            self.envelope.opt_out = ""
        elif element != _BODY:
            self.envelope.others.append(element)

    def end(self):
        path = self._path
        element = path.pop()
        depth = len(path)
        if depth >= 2 and path[1] == (_SCE, "content"):
            if depth == 2:
                if element == _BODY and self.envelope.body is None:
                    self.envelope.body = self.text
                elif element == _PAYLOAD:
                    if not self._datatype or not self._json:
                        raise _bad()
                    self.envelope.records.append((self._datatype, self._json))
            elif depth == 3:
                if path[2] == _PAYLOAD:
                    self._json = self.text.strip()
                elif path[2] == _OPT_OUT and element == _REASON:
                    self.envelope.opt_out = self.text.strip()
        self.text = ""


def _bad():
    return RemoteError("envelope")


def _bare(jid):
    return jid.split("/")[0].lower()

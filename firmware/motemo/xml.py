"""An incremental, bounded, namespace-aware XML parser for XMPP (RFC 6120 section 11).

Invariant: any bytes, whole or cut anywhere, give the same events or a RemoteError, in bounded memory.

What RFC 6120 forbids is refused: comments, processing instructions, document types, entities other than the five
predefined ones. Names are checked in ASCII only: a server has let the others pass, and a strange name from a contact is
no reason to end a stream.
"""

from motemo.errors import RemoteError

try:
    from micropython import const
except ImportError:

    def const(value):
        return value


_TEXT = const(0)
_TAG = const(1)
_BANG = const(2)  # after "<!": nothing but a CDATA section may come
_CDATA = const(3)
_SPACE = b" \t\r\n"
_OPEN_CDATA = b"![CDATA["
_XML = "http://www.w3.org/XML/1998/namespace"
_XMLNS = "http://www.w3.org/2000/xmlns/"
_ENTITIES = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}


class Parser:
    """Turns the bytes of a document, or of a stream whose root element stays open, into events.

    Events: ("start", namespace, name, attributes), ("end", namespace, name), ("text", text). The key of an attribute
    that has a prefix is "{namespace}name". Text may come in more than one event, at places that do not depend on how
    the bytes were cut.

    stream: the children of the root are stanzas. Text between them must be white space and gives no event. A stanza
    that goes over a limit is skipped to its end and counted in `skipped`: the event ("skipped",) comes in place of what
    was left of it. Outside of a stanza, or if this is not a stream, that is a RemoteError "too-large".

    tag, text: most bytes of a tag, of a run of text. size: most bytes of a child of the root with all that is in it.
    depth: most open elements. attributes: most for an element, with its namespace declarations.
    `ended` tells that the root element is closed.
    """

    def __init__(self, stream=False, tag=1024, text=4096, size=65536, depth=12, attributes=16):
        self.ended = False
        self.skipped = 0
        self._stream = stream
        self._tag_limit = tag
        self._text_limit = text
        self._size_limit = size
        self._depth_limit = depth
        self._attributes_limit = attributes
        self._state = _TEXT
        self._token = b""  # what came of the token so far; of a tag that is skipped the first and the last byte
        self._first = True  # nothing is complete yet, so that an XML declaration may come
        self._quote = 0  # the quote that will end an attribute's value
        self._brackets = 0  # in a CDATA section, how many "]" came just before
        self._size = 0
        self._open = []  # for each open element: name as written, namespace, name, scope around it
        self._scope = {"": "", "xml": _XML}  # prefix: namespace
        self._inside = None  # while a stanza is skipped, how many of its elements are open

    def feed(self, data: bytes):
        """Generator of the events that `data` completes; it has to be exhausted.

        Raises RemoteError "format" or "too-large"; the parser is of no use after that.
        """
        start = at = 0
        while at < len(data):
            if self._state == _TEXT:
                at = data.find(b"<", start)
                if at < 0:
                    break
                text = self._token + data[start:at]
                if text:
                    self._first = False
                    yield from self._text(text, False)
                self._next(_TAG)
                start = at = at + 1
                continue
            c = data[at]
            at += 1
            if self._state == _TAG:
                if self._quote:
                    if c == self._quote:
                        self._quote = 0
                    elif c == 0x3C:
                        raise _error()
                elif c == 0x3E:
                    yield from self._tag(self._token + data[start : at - 1])
                    self._next(_TEXT)
                    start = at
                elif c == 0x22 or c == 0x27:
                    self._quote = c
                elif c == 0x3C:
                    raise _error()
                elif not self._token and at - 1 == start:
                    if c == 0x21:
                        self._state = _BANG
                    elif c == 0x3F and not self._first:
                        raise _error()
            elif self._state == _BANG:
                token = self._token + data[start:at]
                if not _OPEN_CDATA.startswith(token) or self._outside():
                    raise _error()
                if token == _OPEN_CDATA:
                    self._next(_CDATA)
                    start = at
            elif c == 0x5D:
                self._brackets += 1
            elif c == 0x3E and self._brackets >= 2:
                yield from self._text((self._token + data[start:at])[:-3], True)
                self._next(_TEXT)
                start = at
            else:
                self._brackets = 0
        self._keep(data[start:])

    def _next(self, state):
        self._state = state
        self._token = b""
        self._brackets = 0

    def _outside(self):
        """Whether text here has to be white space."""
        return len(self._open) <= self._stream and self._inside is None

    def _keep(self, rest):
        """Keep what came of a token that is not complete."""
        token = self._token + rest
        is_tag = self._state == _TAG or self._state == _BANG
        if is_tag and self.ended:
            raise _error()
        if not is_tag and self._outside():
            if token.strip(_SPACE):
                raise _error()
            if token:
                self._first = False
            token = b""
        elif len(token) - min(self._brackets, 2) > (self._tag_limit if is_tag else self._text_limit):
            self._skip()
        if self._inside is not None and self._state != _BANG:
            token = token[:1] + token[-1:] if is_tag else b""
        self._token = token

    def _skip(self):
        """Something is over a limit: go on without keeping anything until the stanza ends."""
        if self._inside is not None:
            return
        if not self._stream or not self._open:
            raise RemoteError("too-large", "XML")
        self._inside = len(self._open) - 1
        if self._inside:
            self._scope = self._open[1][3]
            self._open = self._open[:1]

    def _text(self, token, literal):
        if self._outside():
            if token.strip(_SPACE):
                raise _error()
            return
        self._size += len(token) + (12 if literal else 0)
        if len(token) > self._text_limit or self._size > self._size_limit:
            self._skip()
        if self._inside is None and token:
            if not literal and b"]]>" in token:
                raise _error()
            text = _decode(token).replace("\r\n", "\n").replace("\r", "\n")
            yield "text", text if literal else _expand(text)

    def _tag(self, token):
        if token[:1] == b"?":  # feed let it through, so nothing came before
            self._first = False
            if token[:4] != b"?xml" or token[-1:] != b"?" or ("", "version") not in _attributes(token[4:-1])[0]:
                raise _error()
            return
        self._first = False
        closes = token[:1] == b"/"
        empty = token.endswith(b"/")
        self._size += len(token) + 2
        if len(token) > self._tag_limit or self._size > self._size_limit:
            self._skip()
        if self._inside is None:
            if closes:
                yield self._end(token[1:].rstrip(_SPACE))
            else:
                event = self._start(token[:-1] if empty else token)
                if event:
                    yield event
                    if empty:
                        yield self._end(self._open[-1][0])
        if self._inside is not None:
            if closes:
                self._inside -= 1
            elif not empty:
                self._inside += 1
            if self._inside < 0:
                raise _error()
            if not self._inside:
                self._inside = None
                self.skipped += 1
                yield ("skipped",)
        if len(self._open) <= 1 and self._inside is None:
            self._size = 0

    def _start(self, token):
        """The event of a start tag, or None if it is over a limit."""
        if self.ended:
            raise _error()
        end = len(token)
        for space in _SPACE:
            at = token.find(bytes((space,)))
            if 0 <= at < end:
                end = at
        written, declared = _attributes(token[end:])
        prefix, name = _name(token[:end])
        if len(self._open) >= self._depth_limit or len(written) + len(declared) > self._attributes_limit:
            self._skip()
            return None
        outer = scope = self._scope
        if declared:
            scope = outer.copy()
            scope.update(declared)
        attributes = {}
        for (space, local), value in written.items():
            if space:
                if space not in scope:
                    raise _error()
                local = "{" + scope[space] + "}" + local
            if local in attributes:
                raise _error()
            attributes[local] = value
        if prefix not in scope:
            raise _error()
        self._scope = scope
        self._open.append((token[:end], scope[prefix], name, outer))
        return "start", scope[prefix], name, attributes

    def _end(self, written):
        if not self._open or self._open[-1][0] != written:
            raise _error()
        written, namespace, name, self._scope = self._open.pop()
        self.ended = not self._open
        return "end", namespace, name


def _error():
    return RemoteError("format", "XML")


def _attributes(rest):
    """What follows the name in a tag: {(prefix, name): value} of the attributes, {prefix: namespace} declared."""
    found = {}
    declared = {}
    while True:
        text = rest.lstrip(_SPACE)
        if not text:
            return found, declared
        if len(text) == len(rest):
            raise _error()
        name, equals, rest = text.partition(b"=")
        rest = rest.lstrip(_SPACE)
        quote = rest[:1]
        if quote != b"'" and quote != b'"':
            raise _error()
        value, closing, rest = rest[1:].partition(quote)
        if not closing:
            raise _error()
        value = _decode(value).replace("\r\n", " ")
        for space in "\t\r\n":
            value = value.replace(space, " ")
        value = _expand(value)
        target = found
        key = prefix, name = _name(name.rstrip(_SPACE))
        if prefix == "xmlns" or key == ("", "xmlns"):
            target = declared
            key = name if prefix else ""
            if (key == "xml") != (value == _XML) or key == "xmlns" or value == _XMLNS or key and not value:
                raise _error()
        if key in target:
            raise _error()
        target[key] = value


def _name(data):
    """(prefix or "", local name)."""
    prefix, colon, name = _decode(data).partition(":")
    if not colon:
        prefix, name = "", prefix
    elif not prefix:
        raise _error()
    for part in (prefix, name):
        for i, c in enumerate(part):
            if c < "\x80" and not (c.isalpha() or c == "_" or i and (c.isdigit() or c in "-.")):
                raise _error()
    if not name:
        raise _error()
    return prefix, name


def _decode(data):
    """UTF-8 to text, of characters that XML 1.0 allows; MicroPython checks the structure only."""
    lead = 0
    for c in data:
        if c < 0x20:
            if c not in _SPACE:
                raise _error()
        elif c >= 0x80:
            if (
                (lead == 0xE0 and c < 0xA0)
                or (lead == 0xED and c >= 0xA0)  # surrogates
                or (lead == 0xF0 and c < 0x90)
                or (lead == 0xF4 and c >= 0x90)
                or c == 0xC0
                or c == 0xC1
                or c > 0xF4
            ):
                raise _error()
        lead = c
    try:
        text = data.decode()
    except UnicodeError:
        raise _error() from None
    if "\ufffe" in text or "\uffff" in text:
        raise _error()
    return text


def _expand(text):
    """Entities and character references replaced."""
    parts = text.split("&")
    for i in range(1, len(parts)):
        name, end, rest = parts[i].partition(";")
        if not end:
            raise _error()
        parts[i] = (_ENTITIES.get(name) or _character(name)) + rest
    return "".join(parts)


def _character(name):
    base = 16 if name[:2] == "#x" else 10
    digits = name[2 if base == 16 else 1 :]
    if name[:1] != "#" or not digits:
        raise _error()
    code = 0
    for c in digits:
        digit = "0123456789abcdef".find(c.lower())
        if not 0 <= digit < base or code > 0x10FFFF:
            raise _error()
        code = code * base + digit
    if code < 0x20 and code not in _SPACE or 0xD800 <= code < 0xE000 or code in (0xFFFE, 0xFFFF) or code > 0x10FFFF:
        raise _error()
    return chr(code)

"""The session of the link (docs/link-protocol.md, "Session"): messages in order, exactly once, over a line that errs.

The rules:

* Both ends are alike but for their role. Each has an id of 4 bytes, random at boot. `hello` tells it, with the other's
  id where that is known. An end is up when a hello tells it its own id; until then it repeats its hello, which asks for
  an answer. A hello with another id than before ends the session ("down"); an end that goes down counts its own id on,
  so that no two sessions have the same pair of ids.
* Every other frame has the ids of sender and receiver in its CRC: what another session left on the line, or what comes
  back as an echo, is not intact.
* A message goes in fragments, one at a time. A fragment is sent again, ever more rarely, until its number is
  acknowledged. Fragments with the last number again are acknowledged again and dropped.
* The last fragment is acknowledged when the application calls `accept()`: acknowledged means taken over. Until then its
  repetitions are ignored, for however long the application works.
* A message that was not acknowledged when the session ended is sent again in the next, from its first fragment, if
  the application does not withdraw it. The receiver may have it already: messages carry ids for that.
"""

from binascii import crc32

from motemo.errors import LocalError, StateError
from motemo.link import frame
from motemo.link.frame import LIMIT

BOARD = 0
HOST = 1

VERSION = 1
QUEUE = 8  # messages that wait

_LONGEST_WAIT = 8000


class Session:
    """One end of a link, without I/O.

    role: BOARD or HOST. boot_id: 4 random bytes. pack: makes bytes of what `send` is given, when its turn has come (the
    context that messages.pack leans on belongs to a session, so packing must wait for it); None: it is bytes already.

    Times are milliseconds of any clock that wraps at a multiple of 2^30, such as `time.ticks_ms()`.
    """

    def __init__(self, role: int, boot_id: bytes, pack=None):
        if len(boot_id) != 4:
            raise LocalError("length", "boot id")
        self.up = False
        self.damaged = 0  # frames that were not intact, those of other sessions among them
        self._role = role
        self._id = boot_id
        self._peer = b""
        self._pack = pack or bytes
        self._reader = frame.Reader()
        self._queue = []
        self._busy = False  # the application has a message and has not accepted it
        self._begin()

    def _begin(self):
        self._hello = True  # to be said at once
        self._tries = 0
        self._due = 0  # when to say hello or the fragment again
        self._number = 0  # of the fragment that we send
        self._sent = False  # it is out and not acknowledged
        self._message = None  # what it is part of
        self._offset = 0
        self._expected = 0  # number of the next fragment that we take
        self._parts = bytearray()
        self._owed = False  # `accept()` has to acknowledge the last one
        self._ack = -1  # number to acknowledge, -1: none

    def waiting(self):
        """Return how many messages of ours are not acknowledged, at most `QUEUE`."""
        return len(self._queue)

    def send(self, message, tag=None) -> None:
        """Queue `message`; ("sent", tag) comes when the peer has taken it over. StateError "full"."""
        if len(self._queue) >= QUEUE:
            raise StateError("full", "link queue")
        self._queue.append((message, tag))

    def holds(self, message) -> bool:
        """Whether this very message is queued or on its way."""
        return any(entry[0] is message for entry in self._queue)

    def withdraw(self) -> list:
        """Take back what was not acknowledged: [(message, tag)]. Only at an "up", before any of it is sent again."""
        queue, self._queue = self._queue, []
        return queue

    def accept(self) -> None:
        """Tell that the message given last is taken over: once for each, after errors and a "down" too."""
        if not self._busy:
            raise LocalError("protocol", "nothing to accept")
        self._busy = False
        if self._owed:
            self._owed = False
            self._ack = (self._expected - 1) & 255

    def receive(self, data: bytes) -> list:
        """Take bytes off the line; return events, any of:

        ("up",), ("down",), ("message", bytes), ("sent", tag), ("noise", bytes) for what is no frame, and
        ("version", number) when the peer speaks another version of the link. Never raises.
        """
        events = []
        for is_frame, item in self._reader.feed(data):
            if is_frame:
                self._take(item, events)
            else:
                events.append(("noise", item))
        return events

    def poll(self, now: int) -> bytes:
        """Return what to write now, maybe nothing.

        LocalError "too-large" if a message is longer than `LIMIT`, and whatever `pack` raises; the message is dropped.
        """
        out = b""
        if self._hello or (not self.up and not _left(self._due, now)):
            self._hello = False
            flags = VERSION << 2 | self._role << 1 | (not self.up)
            out = frame.build(frame.HELLO, flags, self._id + self._peer, 0)
            if not self.up:
                self._wait(now, 250)
        if self._ack >= 0:
            out += frame.build(frame.ACK, self._ack, b"", self._seed(self._id, self._peer))
            self._ack = -1
        if self.up and self._queue and not (self._sent and _left(self._due, now)):
            out += self._fragment(now)
        return out

    def next_ms(self, now: int):
        """Return in how many ms to poll again if nothing is received or sent before, None for never."""
        if self._hello or self._ack >= 0:
            return 0
        if self.up and not self._queue:
            return None
        return 0 if self.up and not self._sent else _left(self._due, now)

    def _fragment(self, now):
        if self._message is None:
            try:
                message = self._pack(self._queue[0][0])
                if len(message) > LIMIT:
                    raise LocalError("too-large", "message")
            except Exception:
                self._queue.pop(0)
                raise
            self._message = message
        end = self._offset + frame.PAYLOAD
        kind = frame.MORE if end < len(self._message) else frame.DATA
        out = frame.build(kind, self._number, self._message[self._offset : end], self._seed(self._id, self._peer))
        self._sent = True
        # 2 ms for a byte: time for the fragment and its answer at 9600 baud.
        self._wait(now, 250 + 2 * len(out))
        return out

    def _wait(self, now, first):
        self._due = (now + min(first << self._tries, _LONGEST_WAIT)) & 0x3FFFFFFF
        self._tries = min(self._tries + 1, 5)

    def _seed(self, sender, receiver):
        return crc32(sender + receiver)

    def _take(self, body, events):
        kind, number = body[0], body[1]
        if kind == frame.HELLO:
            if frame.intact(body, 0):
                self._greeted(number, body[2:-4], events)
            else:
                self.damaged += 1
        elif not self.up or not frame.intact(body, self._seed(self._peer, self._id)):
            self.damaged += 1
        elif kind == frame.ACK:
            if self._sent and number == self._number:
                self._acknowledged(events)
        elif number == self._expected:
            self._fragment_came(kind, body[2:-4], events)
        elif number == (self._expected - 1) & 255 and not self._owed:
            self._ack = number  # our ACK was lost

    def _greeted(self, flags, ids, events):
        if flags >> 2 != VERSION:
            events.append(("version", flags >> 2))
            return
        if flags >> 1 & 1 == self._role or len(ids) < 4:  # an echo of ours, or two of a kind
            return
        peer = ids[:4]
        if peer != self._peer:
            if self.up:
                self.up = False
                self._id = ((int.from_bytes(self._id, "big") + 1) & 0xFFFFFFFF).to_bytes(4, "big")
                self._begin()
                events.append(("down",))
            self._peer = peer
        if not self.up and ids[4:] == self._id:
            self.up = True
            self._tries = 0
            events.append(("up",))
        if flags & 1:
            self._hello = True

    def _acknowledged(self, events):
        self._sent = False
        self._tries = 0
        self._number = (self._number + 1) & 255
        self._offset += frame.PAYLOAD
        if self._offset >= len(self._message):
            self._message = None
            self._offset = 0
            events.append(("sent", self._queue.pop(0)[1]))

    def _fragment_came(self, kind, payload, events):
        # A message of the last session may still be worked on; what is too long breaks the protocol. Both wait.
        if self._busy or len(self._parts) + len(payload) > LIMIT:
            return
        self._expected = (self._expected + 1) & 255
        if kind == frame.MORE:
            self._parts += payload
            self._ack = (self._expected - 1) & 255
            return
        message = bytes(self._parts) + payload
        self._parts = bytearray()
        self._busy = self._owed = True
        events.append(("message", message))


def _left(due, now):
    """Milliseconds from `now` to `due`, 0 if it is past; right for 2^29 ms (6 days) each way."""
    left = (due - now) & 0x3FFFFFFF
    return 0 if left & 0x20000000 else left

"""Northbound over the link: the agent's messages go to the gateway, which proxies XMPP and holds no key.

A message of the agent is kept until the gateway has taken it over; its id lets the gateway know it again after a
reset of either end. Requests of a tool or the gateway are answered here.
"""

import asyncio
import time

from motemo import overlay
from motemo.crypto.random import random_bytes
from motemo.errors import REASONS, LocalError, MotemoError, RemoteError, StateError
from motemo.link import cbor, messages, session
from motemo.omemo.elements import LEGACY, Encrypted

# Where the operations of a request are, if not in motemo.provision.
_OPERATIONS = {
    "status": "motemo.status",
    "log": "motemo.status",
    "list-pins": "motemo.pinning",
    "add-pins": "motemo.pinning",
    "remove-pins": "motemo.pinning",
    "list-sessions": "motemo.sessions",
    "reset-sessions": "motemo.sessions",
    "retire": "motemo.retirement",
    "room": "motemo.rooms",
}

_POLL_SECONDS = 0.01
_ANSWER_SECONDS = 60


class Linked:
    """`requests` names the module that fetches and publishes over it.

    port: an object with `read()` (what is there, without waiting) and `write(bytes)`."""

    requests = "motemo.link.requests"

    def __init__(self, port):
        self.online = False  # whether a gateway is there and its XMPP connection stands
        self._port = port
        self._agent = None
        self._context = messages.Context(cbor)
        self._session = session.Session(session.BOARD, random_bytes(4), self._pack)
        self._answers = {}  # request id: None, then its answer
        self._next_request = 0
        self._outgoing = None  # the agent's message that the gateway has yet to take over
        self._taken = False

    async def run(self, agent):
        """Moves bytes between the port and the session, and hands the agent what comes in."""
        self._agent = agent
        while agent.fault is None:
            for event in self._session.receive(self._port.read()):
                self._on_event(event)
            self._flush()
            await asyncio.sleep(_POLL_SECONDS)
        raise agent.fault

    # Northbound

    async def send(self, jid, encrypted, group=False):
        """Hands a message to the gateway; returns when it has it. group: `jid` is a room."""
        self._outgoing = {
            "type": "message",
            "id": self._agent.next_message_id(),
            "to": jid,
            "dialect": encrypted.dialect,
            "sid": encrypted.sid,
            "keys": encrypted.keys,
        }
        if encrypted.payload is not None:
            self._outgoing["payload"] = encrypted.payload
        if encrypted.iv is not None:
            self._outgoing["iv"] = encrypted.iv
        legacy = encrypted.legacy
        if legacy:
            self._outgoing["legacy"] = {"keys": legacy.keys, "payload": legacy.payload, "iv": legacy.iv}
        if group:
            self._outgoing["group"] = True
        self._taken = False
        if self.online:
            self._queue(self._outgoing, "message")
        while not self._taken:
            await asyncio.sleep(_POLL_SECONDS)
        self._outgoing = None

    def forget_devices(self, devices):
        """Takes the keys of these devices, (bare JID, id) each, out of the message that waits."""
        outgoing = self._outgoing
        if outgoing is None:
            return
        legacy = outgoing.get("legacy")
        for form in (outgoing, legacy):
            if form:
                form["keys"] = [key for key in form["keys"] if key[:2] not in devices]
        if legacy and not legacy["keys"]:
            del outgoing["legacy"]
        elif legacy and not outgoing["keys"]:  # the second form is the only one now
            outgoing["dialect"] = LEGACY
            outgoing.update(outgoing.pop("legacy"))
        if not outgoing["keys"] and not self._session.holds(outgoing):  # else `_flush` drops it
            self._outgoing = None
            self._taken = True

    # Inside

    def _complain(self, error):
        self._agent.count(error.reason)
        self._agent.log("link: " + str(error))

    def _pack(self, message):
        return messages.pack(message, self._context)

    def _queue(self, message, tag=None):
        self._session.send(message, tag)
        self._flush()

    def _flush(self):
        try:
            out = self._session.poll(time.ticks_ms())
        except LocalError as error:  # the message is dropped, and would be again
            self._complain(error)
            self._taken = True
            return
        if out:
            self._port.write(out)

    async def request(self, message):
        """The gateway's answer to a request; raises what the gateway says, or StateError "offline" or "timeout"."""
        if not self.online:
            raise StateError("offline")
        self._next_request = (self._next_request + 1) & 0xFFFF
        number = message["id"] = self._next_request
        self._answers[number] = None
        try:
            self._queue(message)
            for _ in range(_ANSWER_SECONDS * 10):
                answer = self._answers[number]
                if answer is not None:
                    break
                if not self.online:
                    raise StateError("offline")
                await asyncio.sleep(0.1)
            else:
                raise StateError("timeout")
        finally:
            del self._answers[number]
        code = answer.get("code")
        if code is not None:
            raise RemoteError(REASONS[code if code < len(REASONS) else 0], answer.get("text", ""))
        return answer

    def _on_event(self, event):
        if event[0] == "message":
            try:
                self._on_message(messages.unpack(event[1], self._context))
            except MotemoError as error:
                self._complain(error)
            self._session.accept()
        elif event[0] == "sent":
            if event[1] == "message":
                self._taken = True
        elif event[0] == "up":
            # Whoever is there now may be a tool: the agent's message waits until a gateway says that it is online.
            self._context.reset()
            self._session.withdraw()
            self.online = False
            for number in self._answers:  # what was asked went to somebody who is gone
                self._answers[number] = {"code": REASONS.index("offline")}
        elif event[0] == "down":
            self.online = False

    def _on_message(self, message):
        kind = message["type"]
        if kind == "message":
            own = self._agent.engine.keys if self._agent.engine else None
            keys = [(own.jid, own.device, message["kex"], message["data"])] if own else []
            get = message.get
            encrypted = Encrypted(message["dialect"], message["sid"], keys, get("payload"), get("iv"))
            self._agent.on_message(message["from"], encrypted, get("stamp"), get("group", False))
        elif kind == "request":
            self._queue(self._result(message))
        elif kind == "online":
            self._on_online(message["state"])
        elif kind == "catch-up":
            self._agent.on_catch_up(message["state"])
        elif kind == "time":
            self._agent.set_clock(message["now"])
        elif message.get("id") in self._answers:
            self._answers[message["id"]] = message
        elif kind == "devices":
            self._agent.on_devices(message["jid"], message["devices"], message["dialect"])
        elif kind == "room":
            overlay.call("motemo.rooms", "on_room", self._agent, message)
        else:
            self._complain(RemoteError("protocol", kind))

    def _on_online(self, state):
        came = state and not self.online
        self.online = state
        if came:
            if self._outgoing is not None:
                self._queue(self._outgoing, "message")
            self._agent.on_online()

    def _result(self, request):
        result = {"type": "result", "id": request["id"]}
        self._agent.collect()
        try:
            module = _OPERATIONS.get(request["op"], "motemo.provision")
            result["fields"] = overlay.call(module, "perform", self._agent, request)
        except MotemoError as error:
            result["code"] = REASONS.index(error.reason)
            result["text"] = error.text
        except MemoryError:
            result["code"] = REASONS.index("memory")
        self._agent.collect()
        return result

"""The agent: sensors and commands of the application, the engine, and the northbound that carries its messages.

One task samples the sensors into the outbox, one does all the sending, and the northbound calls `on_…` for what comes
in. A received message is decrypted, and its change of state stored, before the northbound acknowledges it.
"""

import gc

if hasattr(gc, "threshold"):  # MicroPython
    # While modules are loaded: what stays lies close together, and the rest of the heap is in one piece.
    gc.threshold(4096)

import asyncio
import sys
import time

from motemo import overlay, settings, telemetry
from motemo.errors import MotemoError, RemoteError, StateError
from motemo.omemo import trust
from motemo.omemo.elements import OMEMO2
from motemo.omemo.engine import Engine
from motemo.omemo.envelope import NOTICE
from motemo.omemo.keys import BUNDLE_DIRTY
from motemo.store.journal import Journal

_LOG_LINES = 12
_WAITING_COMMANDS = 8
_RETRY_SECONDS = 5
_LOOK_SECONDS = 0.05
_LOOK_AGAIN_SECONDS = 60
_PUBLISH_AGAIN_SECONDS = 60
_UPKEEP_SECONDS = 3600
_NO_ROOM = "My answer is too long for the memory that I have left."


class Agent:
    """The application's view: `sensor` and `command` register functions, `run` never returns.

    store: the journal. profile: the limits. northbound: a `Linked`; `load` makes what a board needs.
    """

    def __init__(self, store, profile, northbound):
        self.store = store
        self.profile = profile
        self.northbound = northbound
        self.engine = None
        self.counters = {}  # what was not shown or done, by cause; the engine counts here too
        self.sensors = {}  # name: (unit, function)
        self.commands = {}  # name: function
        self.outbox = telemetry.Outbox(profile.outbox)
        self.log_lines = []
        self.replies = []  # (bare JID, text, further elements as XML): answers, and what owners are told unasked
        self._asked = []  # (bare JID, device, text of a command)
        self._reached = None, []  # the sample that is being sent, and the addresses that have it
        self.room = ""  # the group chat that readings go to
        self.members = []  # accounts with pins that are members of it, as far as it may be used
        self.nick = ""  # what we are called there
        self.entered = None  # the room and the accounts that the gateway was told, None for no room
        self._left_out = None  # the address and the number of devices that the log tells of
        self.fault = None  # what ended one of the tasks; the northbound raises it
        self.told = {}  # (bare JID, device): causes of which its owner has been told (motemo.notices)
        self.told_at = 0
        self.retiring = None  # how far the farewell is, on a board that is taken out of service (motemo.retirement)
        self._publish_again = 0  # when keys are published that the server has refused
        self._look_again = 0  # when owners who cannot be reached are looked up anew
        self._awake = False  # the sending task has something to look for
        self.every = 60
        self._due = 0
        self._clock = None  # what Unix time is ahead of our clock, None when it is not known
        self.started = self._counted = time.time()  # _counted: until when the signed prekey's age was counted
        self._upkeep = 0  # when to look after it again
        self.heap_least = 1 << 30
        self.announce = True
        self.lists_told = 0  # device lists that came unasked
        self._messages = 0  # the last message id, 0 before the first
        self.reload_settings()
        state = settings.read(store, "state")
        if state:
            self.start_engine()
        if state == "retiring":
            self.retiring = {}

    @staticmethod
    def load(directory="motemo.state"):
        """The agent of this board: its journal, its limits (`board.json`), its link.

        directory: not `motemo`, which would stand before the package in the search for modules.
        """
        from motemo.link.stdio import StdioPort
        from motemo.linked import Linked

        profile, problems = overlay.call("motemo.limits", "read", "board.json")
        agent = Agent(Journal(directory), profile, Linked(StdioPort()))
        for problem in problems:
            agent.log(problem)
        gc.collect()
        gc.threshold(gc.mem_free() // 2)
        return agent

    # The application's side

    def sensor(self, name, unit=""):
        """Decorator: the function returns the sensor's value, or None when there is none. It may be async."""
        telemetry.check_name(name)

        def register(function):
            self.sensors[name] = unit, function
            return function

        return register

    def command(self, name):
        """Decorator: the function takes the text after `set NAME` and returns the answer. It may be async."""
        telemetry.check_name(name)

        def register(function):
            self.commands[name] = function
            return function

        return register

    def run(self):
        """Runs until the board is switched off. After a fault that nobody foresaw the board starts anew.

        Ctrl-C within five seconds of such a fault leads to MicroPython's prompt instead.
        """
        try:
            asyncio.run(self.main())
        except Exception as error:  # whatever it was: nobody may be there to press the reset button
            import machine
            import micropython

            micropython.kbd_intr(3)
            sys.print_exception(error)
            time.sleep(5)
            machine.reset()

    async def main(self):
        """Samples, sends and receives; raises what none of the three foresaw."""
        asyncio.get_event_loop().set_exception_handler(self._on_fault)
        asyncio.create_task(self._sample_forever())
        asyncio.create_task(self._send_forever())
        await self.northbound.run(self)

    def _on_fault(self, loop, context):
        self.fault = context["exception"]

    # Called by northbound, commands and provisioning

    def start_engine(self):
        """Starts the engine on the provisioned store."""
        if self.engine is None:
            self.engine = Engine(self.store, self.profile)
            self.engine.counters = self.counters
        self.retiring = None
        self.announce = True
        self._due = time.time()
        self.wake()

    def stop_engine(self):
        """Forgets keys and sessions in memory, and what was to be sent with them."""
        for jid, device, _ in self._asked:
            self.miss(jid, device, "not-provisioned")
        self.engine = None
        self.retiring = None
        self._asked = []
        self.replies = []

    def forget_devices(self, devices):
        """Drops what these devices, (bare JID, id) each, have asked and what still waits for them."""
        for asked in list(self._asked):
            if asked[:2] in devices:
                self.miss(asked[0], asked[1], "untrusted")
                self._asked.remove(asked)
        self.northbound.forget_devices(devices)

    def reload_settings(self):
        """Takes over what provisioning or a command has changed."""
        self.every = int(settings.read(self.store, "every"))
        room = settings.read(self.store, "room")
        if room != self.room:
            self.room = room
            self.members = []
            self.nick = ""

    def change_interval(self, seconds):
        """Stores a new interval between readings."""
        self.store.commit([settings.change("every", str(seconds))])
        self.reload_settings()
        self._due = time.time() + seconds

    def wake(self):
        """Lets the sending task look for work."""
        self._awake = True

    def on_online(self):
        """The northbound is back: lists may have changed meanwhile, so they are fetched before the next message."""
        if self.engine:
            for jid in trust.owners(self.store):
                self.engine.look_again(jid)
            self.engine.want_devices(self.engine.keys.jid)
        self._publish_again = 0
        if self.entered:
            self.entered = ()  # whoever is there now has been told nothing
        self.wake()

    def on_catch_up(self, state):
        """The northbound begins or ends to hand over what has come in while we were away (O-124)."""
        if self.engine is None:
            return
        if state:
            self.engine.catching_up = True
        else:
            overlay.call("motemo.omemo.upkeep", "end_catch_up", self.engine)
        self.wake()

    def set_clock(self, now):
        """Takes the Unix time from the northbound."""
        self._clock = now - int(time.time())

    def next_message_id(self):
        """A number that no message of this board had before, in this life or a former one (32 bits)."""
        if self._messages & 0xFFFF == 0xFFFF or not self._messages:
            life = int(settings.read(self.store, "life")) + 1 & 0xFFFF
            self.store.commit([settings.change("life", str(life))])
            self._messages = life << 16
        self._messages += 1
        return self._messages

    def log(self, text):
        """Adds a line, without content and secrets, to the log that owners can read.

        It begins with the Unix time, or, as long as that is not known, with the seconds since the start and " s".
        """
        now = time.time()
        moment = "{} s".format(int(now - self.started)) if self._clock is None else str(int(now) + self._clock)
        self.log_lines.append(moment + ": " + text)
        if len(self.log_lines) > _LOG_LINES:
            self.log_lines.pop(0)

    def count(self, reason):
        """Counts something that was not shown or done."""
        self.counters[reason] = self.counters.get(reason, 0) + 1

    def miss(self, jid, device, reason):
        """Counts and logs a message that is not shown to anybody, or not done: never its content."""
        self.count(reason)
        self._log_message(jid, device, reason)

    def _log_message(self, jid, device, reason):
        self.log("message of {} device {}: {}".format(jid, device, reason))

    def request(self, function, *arguments):
        """The coroutine of a function of the northbound's `requests`, whose code is loaded for the call."""
        return overlay.call(self.northbound.requests, function, self.northbound, *arguments)

    def on_devices(self, jid, devices, dialect=OMEMO2):
        """Takes a device list, asked for or not; the own ones must have our id (O-060)."""
        if self.engine is None:
            return
        self.lists_told += 1
        own = self.engine.keys
        if jid == own.jid:
            if own.device not in devices:
                self.announce = True
        elif not trust.pins(self.store, jid):
            return  # nobody whom we write to
        new = [device for device in self.engine.on_devices(jid, devices, dialect) if device != own.device]
        if new and jid == own.jid:
            overlay.call("motemo.notices", "own_devices", self, new)
        self.wake()

    def on_message(self, sender, encrypted, stamp=None, group=False):
        """Decrypts a message; a pinned device's text becomes a command. Whatever else happens is counted and logged.

        group: it came through the room. There a command begins with our nick, and what does not is no concern of ours.
        """
        if self.engine is None or group and not self.room:
            self.miss(sender, encrypted.sid, "refused" if self.engine else "not-provisioned")
            return
        try:
            opened = self.engine.open(sender, encrypted, stamp, self.room if group else None)
        except MotemoError as error:
            if error.reason != "duplicate":
                self._unreadable(sender, encrypted.sid, error.reason)
        except MemoryError:
            self.collect()
            self.count("memory")
            self._unreadable(sender, encrypted.sid, "memory")
        else:
            self.told.pop((sender, encrypted.sid), None)
            self._on_opened(opened, group)
        self.collect()
        self.wake()

    def _unreadable(self, jid, device, reason):
        self._log_message(jid, device, reason)
        if trust.pins(self.store, jid):
            overlay.call("motemo.notices", "unreadable", self, jid, device, reason)

    def _on_opened(self, opened, group):
        content = opened.envelope
        if content is None:
            return
        text = content.body or ""
        if group:
            nick = self.nick
            end = len(nick)
            if not nick or text[:end].lower() != nick.lower() or text[end : end + 1] not in (":", ",", " "):
                return
            text = text[end + 1 :].strip()
        reason = None
        if not opened.trusted:
            reason = "untrusted"
        elif content.opt_out is not None:
            trust.note_opt_out(self.store, opened.jid, True)
            reason = "opt-out"
        elif NOTICE in content.others:
            reason = "notice"
        elif not text:
            reason = "unknown"
        elif len(self._asked) >= _WAITING_COMMANDS:
            reason = "full"
        if reason:
            self.miss(opened.jid, opened.device, reason)
            return
        if trust.note_opt_out(self.store, opened.jid, False):
            self.log("{}: back from its opt-out".format(opened.jid))
        self._asked.append((opened.jid, opened.device, text))

    def collect(self):
        """Collects garbage and keeps the least free heap in mind."""
        gc.collect()
        if hasattr(gc, "mem_free"):
            self.heap_least = min(self.heap_least, gc.mem_free())

    async def sample(self, only=None):
        """The values of all sensors, or of one, as [(name, unit, value), …]."""
        values = []
        for name in sorted(self.sensors):
            if only in (None, name):
                unit, function = self.sensors[name]
                try:
                    value = await self.call(function)
                except Exception as error:  # an application's sensor may raise anything; the others go on
                    self.log("sensor {}: {}".format(name, type(error).__name__))
                    value = None
                if value is not None:
                    values.append((name, unit, value))
        return values

    async def call(self, function, *arguments):
        """The result of an application's function, plain or async."""
        result = function(*arguments)
        return await result if hasattr(result, "send") else result

    # Tasks

    async def _sample_forever(self):
        while True:
            now = time.time()
            if now >= self._upkeep and self.retiring is None:
                self.wake()
            if self.engine and self.sensors and self.retiring is None and now >= self._due:
                self._due = max(self._due + self.every, now)
                values = await self.sample()
                if values:
                    self.outbox.put((int(now), values))
                    self.wake()
            await asyncio.sleep(0.2)

    async def _send_forever(self):
        while True:
            if not self._awake or self.engine is None or not self.northbound.online:
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            self._awake = False
            try:
                await self._work()
            except MotemoError as error:
                self.count(error.reason)
                self.log("sending: " + str(error))
                await asyncio.sleep(_RETRY_SECONDS)
                self.wake()
            except MemoryError:
                self._out_of_memory()
                await asyncio.sleep(_RETRY_SECONDS)
                self.wake()
            self.collect()

    def _out_of_memory(self):
        self.collect()
        self.count("memory")
        self.log("the heap was too small")

    async def _work(self):
        """Does what is due, the urgent first: keys and list on the server, pings, answers, readings."""
        if self.retiring is not None:
            await overlay.call("motemo.retirement", "say_farewell", self)
            return
        keys = self.engine.keys
        if time.time() >= self._upkeep:
            self._look_after_keys()
        if (self.announce or keys.flags & BUNDLE_DIRTY) and time.time() >= self._publish_again:
            await self._publish()
        await self._fetch([])
        await self._send_pings()
        wanted = (self.room, trust.owners(self.store)) if self.room else None
        if wanted != self.entered:
            await overlay.call("motemo.rooms", "enter", self)
        while self._asked:
            jid, _, text = self._asked.pop(0)
            self.replies.append((jid, await self._answer(jid, text), ""))
        while self.replies:
            jid, text, more = self.replies[0]
            try:
                await self._send_or_count(jid, text, None, more)
            except MemoryError:
                if text == _NO_ROOM:
                    raise
                self._out_of_memory()
                self.replies[0] = jid, _NO_ROOM, more
                continue
            self.replies.pop(0)
        while len(self.outbox) and self.northbound.online and not self._asked:
            await self._send_sample()
        if self.engine.notices:
            overlay.call("motemo.notices", "of_devices", self)
        if self._asked:
            self.wake()

    async def _publish(self):
        """What the server refuses to take is tried again later; pings and readings go on."""
        try:
            await overlay.call("motemo.publish", "publish", self)
        except RemoteError as error:
            self.count(error.reason)
            self.log("publishing: " + str(error))
            self._publish_again = time.time() + _PUBLISH_AGAIN_SECONDS

    def _look_after_keys(self):
        now = int(time.time())
        unix = 0 if self._clock is None else now + self._clock
        age = self.engine.keys, self.profile.rotation, now - int(self._counted), unix
        if overlay.call("motemo.rotation", "look", *age):
            self._counted = now
        self._upkeep = now + _UPKEEP_SECONDS

    async def _answer(self, jid, text):
        try:
            return await overlay.call("motemo.commands", "answer", self, jid, text)
        except Exception as error:  # an application's command may raise anything
            self.log("command of {}: {}".format(jid, type(error).__name__))
            return "That did not work: " + type(error).__name__

    async def _send_pings(self):
        while True:
            ping = self.engine.next_ping()
            if ping is None:
                return
            await self.northbound.send(ping[0], ping[1])

    async def _fetch(self, jids):
        if self.engine.needs(jids):
            await overlay.call("motemo.fetching", "fetch", self, jids)

    async def send(self, to, text, records=None, more="", members=None):
        """Seals for an account, or for these members of a room, and hands over; returns once the northbound has it.

        Raises as `Engine.seal`.
        """
        await self._fetch(members or [to])
        if members:
            self.collect()  # a message for a room is long
            sealed = self.engine.seal(members, text, records, to=to)
        else:
            sealed = self.engine.seal([to], text, records, more=more)
        left_out = to, self.engine.left_out
        if left_out[1] and left_out != self._left_out:
            self.log("message for {}: too-large, {} devices left out".format(*left_out))
            self._left_out = left_out
        if sealed:
            await self.northbound.send(to, sealed, bool(members))
        self.collect()

    async def _send_or_count(self, to, text, records=None, more="", members=None):
        """Sends to an account, or to a room with these members.

        When there is no device that may get it, that is counted, and the accounts are looked up anew.
        """
        try:
            await self.send(to, text, records, more, members)
        except StateError as error:
            if error.reason == "opt-out":  # O-103; the log has the opt-out itself
                self.count(error.reason)
                return
            if error.reason != "no-devices":
                raise
            self.count("no-devices")
            self.log("message for {}: no-devices".format(to))
            if time.time() >= self._look_again:
                self._look_again = time.time() + _LOOK_AGAIN_SECONDS
                for jid in members or [to]:
                    self.engine.look_again(jid)

    async def _send_sample(self):
        """Sends the oldest sample to the room, and to each owner who is not in it.

        Who cannot be reached is counted, the others get it.
        """
        sample = self.outbox.first()
        if self._reached[0] is not sample:
            self._reached = sample, []
        moment, values = sample
        stamp = 0 if self._clock is None else moment + self._clock
        owners = trust.owners(self.store)
        if not owners:
            self.count("no-devices")
        members = [jid for jid in owners if jid in self.members]
        for jid in ([self.room] if members else []) + [jid for jid in owners if jid not in members]:
            if jid in self._reached[1]:
                continue
            group = members if jid == self.room else None
            await self._send_or_count(jid, telemetry.line(values), telemetry.senml(stamp, values), "", group)
            self._reached[1].append(jid)
        self.outbox.taken(sample)

"""The host's end of the link with one board: the session over a serial port, with asyncio.

A board that has fallen to MicroPython's prompt is started again: first a Ctrl-B and an Enter, which a prompt answers
and a running agent ignores, then a soft reset.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from motemo.errors import REASONS, MotemoError, RemoteError, StateError
from motemo.link import frame, messages, session

from . import hostcbor
from .serialport import PortError, SerialPort

__all__ = ["BoardLink", "quiet_boot_id"]

log = logging.getLogger(__name__)

_PROMPT = b"\n>>> "
_UNFINISHED = (b"\n=== ", b"\n... ")  # paste mode, and a line that others must follow: what frames can look like
_ASK_FOR_PROMPT = b"\x02\r"
_INTERRUPT = b"\x03"
_SOFT_RESET = b"\x04"
_SILENT_SECONDS = 1.5
_NUDGE_SECONDS = 10
_RESET_SECONDS = 0.5  # what is heard so soon after a soft reset was said before
_REOPEN_SECONDS = 1


def quiet_boot_id() -> bytes:
    """A random id for our end with a hello that does nothing to a board in its REPL: no control characters in it.

    Nor does it hold kinds of frames, so that its echo is not taken for the begin of one.
    """
    while True:
        boot_id = os.urandom(4)
        # Not looked at: the zeros around, COBS's first byte, the kind and the flags, which are harmless.
        hello = session.Session(session.HOST, boot_id).poll(0)[4:-1]
        if min(hello) >= 0x20 and max(hello) < frame.HELLO:
            return boot_id


def now_ms() -> int:
    """The clock of the session."""
    return int(time.monotonic() * 1000) & 0x3FFFFFFF


class BoardLink:
    """Requests to a board and its messages to us.

    `on_message(message)`, async: takes a message of the board over; the board may forget it when this returns. It must
    not wait for the board. `on_up()`, `on_down()`: a session begins or ends. `on_noise(data)`: what is no frame.
    `on_log(level, text)`: the board's log. `persistent`: keeps on when the port goes away, and opens it again.
    `revive`: restarts a board that sits at MicroPython's prompt; without it `at_prompt` tells that it does.
    """

    def __init__(self, port: SerialPort, persistent: bool = False, revive: bool = True):
        self.on_message: Callable[[dict[str, Any]], Awaitable[None]] = _ignore
        self.on_up: Callable[[], None] = lambda: None
        self.on_down: Callable[[], None] = lambda: None
        self.on_noise: Callable[[bytes], None] = lambda data: None
        self.on_log: Callable[[int, str], None] = lambda level, text: None
        self.malformed = 0  # messages that could not be read
        self.failed = 0  # messages that `on_message` raised an exception for
        self.at_prompt = False
        self._port = port
        self._persistent = persistent
        self._revive = revive
        self._context = messages.Context(hostcbor)
        self._session = session.Session(session.HOST, quiet_boot_id(), self._pack)
        self._up = False
        self._answered = asyncio.Event()  # the board is up, or has no agent
        self._work = asyncio.Event()
        self._room = asyncio.Semaphore(session.QUEUE)
        self._sending: deque[asyncio.Future[None]] = deque()
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._taken_over: set[int] = set()  # requests that the board has and has not answered
        self._last_id = int.from_bytes(os.urandom(2), "big")
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: MotemoError | None = None
        self._noise_tail = b""
        self._silent_since = 0.0
        self._reset_at = self._asked_at = float("-inf")

    @property
    def up(self) -> bool:
        """Whether a session with the board stands."""
        return self._up

    @property
    def failure(self) -> MotemoError | None:
        """What ended the link for good, None while it works."""
        return self._failure

    async def connect(self, timeout: float = 10) -> None:
        """Opens the port and waits for the board. PortError for the port; StateError "offline" when nobody answers."""
        await self._port.open()
        self._silent_since = time.monotonic()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._deliver())]
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._answered.wait()
            if not self._up:
                raise self._failure or self._no_answer()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Ends the link; what waits fails."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._port.close()
        self._fail(StateError("offline", f"the link to {self._port.path} is closed"))

    async def send(self, message: dict[str, Any]) -> None:
        """Returns when the board has taken the message over. LocalError for a message that does not fit the link."""
        await self._room.acquire()
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sent.add_done_callback(self._sent)
        if self._failure is not None:
            sent.set_exception(self._failure)
        else:
            self._sending.append(sent)
            self._session.send(message)
            self._work.set()
        await asyncio.shield(sent)  # a caller that gives up cannot take the message back

    async def request(self, op: str, timeout: float = 60, **args: Any) -> dict[str, Any]:
        """The board's answer to the operation `op`: its fields. RemoteError with the board's reason when it refuses.

        StateError "offline" when the board restarts before it answers, "timeout" after `timeout` seconds.
        """
        self._last_id += 1
        number = self._last_id
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        answer.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # seen, even if sending failed first
        try:
            async with asyncio.timeout(timeout):
                await self.send({"type": "request", "id": number, "op": op, **args})
                if not answer.done():
                    self._taken_over.add(number)
                result = await answer
        except TimeoutError:
            raise StateError("timeout", f"the board at {self._port.path} did not answer within {timeout:g} s") from None
        finally:
            del self._answers[number]
            self._taken_over.discard(number)
        if "code" in result:
            code = result["code"]
            raise RemoteError(REASONS[code] if code < len(REASONS) else "unknown", result.get("text", ""))
        return {
            **{name: result[name] for name in result if name not in ("type", "id", "fields")},
            **result.get("fields", {}),
        }

    def _no_answer(self) -> StateError:
        if self.at_prompt:
            hint = "MicroPython runs there without an agent; put it on with `motemo provision`"
        else:
            hint = "reset it, or look at it with `motemo ports`"
        return StateError("offline", f"the board at {self._port.path} does not answer: {hint}")

    def _sent(self, sent: asyncio.Future[None]) -> None:
        self._room.release()
        if not sent.cancelled():
            sent.exception()  # seen, even if the caller has gone

    def _pack(self, message: dict[str, Any]) -> bytes:
        return messages.pack(message, self._context)

    async def _run(self) -> None:
        while True:
            try:
                error = await self._carry()
            except Exception:
                log.exception("the link to %s ends by an error in a callback", self._port.path)
                self._fail(StateError("unknown", f"the link to {self._port.path} failed; see the log"))
                return
            await self._port.close()
            if not self._persistent:
                self._fail(error)
                return
            log.info("%s", error)
            await asyncio.sleep(_REOPEN_SECONDS)

    async def _carry(self) -> PortError:
        """Moves bytes until the port fails; returns the failure."""
        try:
            await self._port.open()
        except PortError as error:
            return error
        reading, writing = asyncio.create_task(self._read()), asyncio.create_task(self._write())
        try:
            await asyncio.gather(reading, writing)
        except PortError as error:
            return error
        finally:
            reading.cancel()
            writing.cancel()
            await asyncio.gather(reading, writing, return_exceptions=True)
        raise AssertionError("neither ends by itself")

    async def _read(self) -> None:
        while True:
            for event in self._session.receive(await self._port.read()):
                self._handle(event)
            self._work.set()

    async def _write(self) -> None:
        while True:
            self._work.clear()
            try:
                data = self._session.poll(now_ms())
            except MotemoError as error:
                _settle(self._sending.popleft(), error)
                continue
            data += self._nudge()
            if data:
                await self._port.write(data)
                continue
            pause = self._session.next_ms(now_ms())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SILENT_SECONDS if pause is None else min(pause / 1000, _RESET_SECONDS)):
                    await self._work.wait()

    def _nudge(self) -> bytes:
        """What starts a board that sits at MicroPython's prompt, when it is time for it."""
        now = time.monotonic()
        if now - self._silent_since < _SILENT_SECONDS:
            return b""
        tail = self._noise_tail
        if tail in _UNFINISHED:
            self._noise_tail = b""
            return _INTERRUPT
        if tail == _PROMPT and now - self._reset_at > _RESET_SECONDS:
            self._noise_tail = b""
            if self.at_prompt or not self._revive:
                self._answered.set()
            self.at_prompt = True
            if self._revive and now - self._reset_at > _NUDGE_SECONDS:
                self._reset_at = now
                return _SOFT_RESET
        waiting = not self.up or self._session.waiting()
        if not waiting or now - self._asked_at < _NUDGE_SECONDS:
            return b""
        self._asked_at = now
        return _ASK_FOR_PROMPT

    def _handle(self, event: tuple[Any, ...]) -> None:
        kind = event[0]
        if kind != "noise":
            self._silent_since = time.monotonic()
            self._noise_tail = b""
        if kind == "message":
            self._take(event[1])
        elif kind == "sent":
            _settle(self._sending.popleft(), None)
        elif kind == "noise":
            self._noise_tail = (self._noise_tail + event[1])[-len(_PROMPT) :]
            self.on_noise(event[1])
        elif kind == "up":
            self._context.reset()
            self.at_prompt = False
            self._up = True
            self._answered.set()
            restarted = StateError("offline", "the board restarted before it answered; try again")
            for number in self._taken_over:
                _settle(self._answers[number], restarted)
            self.on_up()
        elif kind == "down":
            self._up = False
            self.on_down()
        elif kind == "version":
            text = f"the board speaks version {event[1]} of the link, not {session.VERSION}: renew its agent"
            self._fail(RemoteError("protocol", text))

    def _take(self, data: bytes) -> None:
        try:
            message = messages.unpack(data, self._context)
        except RemoteError as error:
            self.malformed += 1
            log.warning("the board sent a message that cannot be read: %s", error)
            self._accept()
            return
        if message["type"] == "result":
            _settle(self._answers.get(message["id"]), message)
            self._accept()
        elif message["type"] == "log":
            self.on_log(message["level"], message["text"])
            self._accept()
        else:
            self._inbox.put_nowait(message)

    async def _deliver(self) -> None:
        while True:
            message = await self._inbox.get()
            try:
                await self.on_message(message)
            except Exception:
                # Not taken over would mean: again and again, and nothing behind it.
                self.failed += 1
                log.exception("a %s message of the board was not dealt with", message["type"])
            self._accept()

    def _accept(self) -> None:
        self._session.accept()
        self._work.set()

    def _fail(self, error: MotemoError) -> None:
        self._failure = self._failure or error
        self._up = False
        self._answered.set()
        for future in [*self._sending, *self._answers.values()]:
            _settle(future, error)
        self._sending.clear()


def _settle(future: asyncio.Future[Any] | None, outcome: Any) -> None:
    if future is None or future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


async def _ignore(message: dict[str, Any]) -> None:
    """Takes nothing in: for links that ask only."""

"""The host's end of the link, over a pseudo-terminal, with the real session on MicroPython at the other end."""

import asyncio
import contextlib
import random

import pytest

from motemo.errors import LocalError, RemoteError, StateError
from motemo.link import frame, session
from motemo_host.boardlink import BoardLink, quiet_boot_id
from motemo_host.install import firmware, install
from motemo_host.serialport import PortError, SerialPort
from motemo_host.virtual import VirtualBoard

# Answers `status`, refuses `finish`, resets on `wipe`, fails at `provision`, says nothing to `pin`.
BOARD = b"""
import os, time
import machine
from motemo.link import cbor, messages, session
from motemo.link.stdio import StdioPort

port = StdioPort()
print("boot text")
context = messages.Context(cbor)
link = session.Session(session.BOARD, os.urandom(4), lambda message: messages.pack(message, context))
link.send({"type": "fetch-devices", "id": 7, "jid": "a@b"})

def request(message):
    result = {"type": "result", "id": message["id"]}
    if message["op"] == "status":
        result["fields"] = {"label": "a board", "count": message.get("count", 0)}
    elif message["op"] == "finish":
        result["code"] = 14
        result["text"] = "nobody to encrypt for"
    elif message["op"] in ("wipe", "provision"):
        link.accept()
        port.write(link.poll(time.ticks_ms()))
        time.sleep_ms(50)
        if message["op"] == "provision":
            raise ValueError
        machine.reset()
    else:
        return
    link.send(result)

while True:
    for event in link.receive(port.read()):
        if event[0] == "up":
            context.reset()
        elif event[0] == "message":
            message = messages.unpack(event[1], context)
            if message["type"] == "request":
                request(message)
            elif message["type"] == "time":
                link.send({"type": "log", "level": 1, "text": "it is " + str(message["now"])})
            link.accept()
    out = link.poll(time.ticks_ms())
    if out:
        port.write(out)
    time.sleep_ms(2)
"""


def link_files():
    """The modules of the link, by their paths on the board."""
    return {
        name: data
        for name, data in firmware("x64").items()
        if name.startswith("lib/motemo/link/") or name in ("lib/motemo/errors.mpy", "lib/motemo/__init__.mpy")
    }


@pytest.fixture(scope="module")
def module_board(tmp_path_factory):
    with VirtualBoard("linked", tmp_path_factory.mktemp("linked")) as board:
        board.start()
        install(str(board.port), modules={**link_files(), "main.py": BOARD})
        yield board


@pytest.fixture
def board(module_board):
    module_board.plug()
    module_board.kill()
    module_board.start()
    yield module_board
    module_board.to_board = module_board.to_host = bytes


@contextlib.asynccontextmanager
async def linked(board, persistent=False, **callbacks):
    link = BoardLink(SerialPort(str(board.port)), persistent)
    for name, callback in callbacks.items():
        setattr(link, name, callback)
    await link.connect()
    try:
        yield link
    finally:
        await link.close()


async def test_a_request_is_answered(board):
    async with linked(board) as link:
        assert await link.request("status", count=3, timeout=3) == {"label": "a board", "count": 3}


async def test_a_refusal_has_the_reason_of_the_board(board):
    async with linked(board) as link:
        with pytest.raises(RemoteError, match="nobody") as caught:
            await link.request("finish")
        assert caught.value.reason == "no-devices"


async def test_an_answer_that_does_not_come_is_a_timeout(board):
    async with linked(board) as link:
        with pytest.raises(StateError) as caught:
            await link.request("pin", timeout=0.5)
        assert caught.value.reason == "timeout"
        assert await link.request("status")


async def test_messages_of_the_board_are_taken_over_when_the_callback_is_done(board):
    got, done = [], asyncio.Event()

    async def take(message):
        got.append(message)
        if len(got) == 1:
            board.kill()  # before it is acknowledged: the board has to send it again
            board.start()
            await asyncio.sleep(0.3)
        else:
            done.set()

    async with linked(board, on_message=take):
        await asyncio.wait_for(done.wait(), 10)
    assert got[0] == got[1] and got[0]["jid"] == "a@b"


async def test_a_message_that_cannot_be_dealt_with_blocks_nothing(board):
    async def fail(message):
        raise RuntimeError

    async with linked(board, on_message=fail) as link:
        assert await link.request("status")
        assert link.failed == 1


async def test_log_and_text_come_to_their_callbacks(board):
    logged, noise = asyncio.Queue(), bytearray()

    def log(level, text):
        logged.put_nowait((level, text))

    async with linked(board, on_log=log, on_noise=noise.extend) as link:
        board.kill()
        board.start()
        await link.send({"type": "time", "now": 5})
        assert await asyncio.wait_for(logged.get(), 5) == (1, "it is 5")
    assert b"boot text" in noise


async def test_a_restart_before_the_answer_fails_the_request_and_the_link_comes_back(board):
    events = []
    async with linked(board, on_up=lambda: events.append("up"), on_down=lambda: events.append("down")) as link:
        with pytest.raises(StateError) as caught:
            await link.request("wipe")
        assert caught.value.reason == "offline"
        assert await link.request("status")
    assert events == ["up", "down", "up"]


async def test_what_the_link_cannot_carry_fails_alone(board):
    async with linked(board) as link:
        with pytest.raises(LocalError):
            await link.send({"type": "request", "id": 1, "op": "status", "label": 5})
        assert await link.request("status")


async def test_many_requests_at_once(board):
    async with linked(board) as link:
        answers = await asyncio.gather(*[link.request("status", count=count) for count in range(30)])
    assert [answer["count"] for answer in answers] == list(range(30))


async def test_unplugging_ends_a_link_with_a_clear_error(board):
    async with linked(board) as link:
        waiting = asyncio.create_task(link.request("pin"))
        await asyncio.sleep(0.2)
        board.unplug()
        with pytest.raises(PortError) as caught:
            await waiting
        assert caught.value.kind == "unplugged"
        with pytest.raises(PortError):
            await link.request("status")


async def test_a_persistent_link_goes_on_when_the_board_is_plugged_in_again(board):
    async with linked(board, persistent=True) as link:
        board.unplug()
        waiting = asyncio.create_task(link.request("status", count=9))
        await asyncio.sleep(0.2)
        board.plug()
        assert (await waiting)["count"] == 9


async def test_noise_on_the_line_costs_only_time(board):
    chance = random.Random(4)

    def spoil(data):
        return data if chance.random() > 0.15 else bytes(byte ^ 0x10 for byte in data)

    async with linked(board) as link:
        board.to_board = board.to_host = spoil
        for number in range(20):
            assert (await link.request("status", count=number))["count"] == number


async def test_a_board_that_fell_to_the_prompt_is_started_again(board):
    noise = bytearray()
    async with linked(board, on_noise=noise.extend) as link:
        with pytest.raises(StateError):
            await link.request("provision", timeout=1)
        assert (await link.request("status", count=4))["count"] == 4
    assert b"ValueError" in noise and b"soft reboot" in noise


async def test_a_link_starts_a_board_that_was_left_at_the_prompt(board):
    async with linked(board) as link:
        with pytest.raises(StateError):
            await link.request("provision", timeout=0.2)
    async with linked(board) as link:
        assert await link.request("status")


async def test_a_bare_board_is_named(tmp_path):
    with VirtualBoard("bare", tmp_path) as board:
        board.start()
        link = BoardLink(SerialPort(str(board.port)))
        with pytest.raises(StateError, match="motemo provision"):
            await link.connect(timeout=3)


async def test_a_port_can_be_used_once(board):
    async with linked(board):
        with pytest.raises(PortError) as caught:
            await BoardLink(SerialPort(str(board.port))).connect()
    assert caught.value.kind == "busy" and "process" in caught.value.text


def test_the_hello_of_a_host_has_no_control_characters():
    for _ in range(50):
        hello = session.Session(session.HOST, quiet_boot_id()).poll(0)
        assert hello[2] == frame.HELLO
        assert not any(byte in (1, 2, 3, 4, 5, 13) for byte in hello)

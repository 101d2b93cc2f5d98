"""The serial port for asyncio: devices and TCP, and what it says when something is wrong."""

import asyncio
import os
import pty
import tty

import pytest

from motemo_host.serialport import PortError, SerialPort


@pytest.fixture
def line():
    """(master end as a file descriptor, path of the port)."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    for end in (master, slave):
        try:
            os.close(end)
        except OSError:
            pass


async def test_bytes_go_both_ways(line):
    master, path = line
    port = SerialPort(path)
    await port.open()
    await port.write(b"out")
    assert os.read(master, 10) == b"out"
    os.write(master, bytes(range(256)))
    got = b""
    while len(got) < 256:
        got += await port.read()
    assert got == bytes(range(256))
    await port.close()


async def test_closing_wakes_the_reader_and_it_can_be_opened_again(line):
    master, path = line
    port = SerialPort(path)
    await port.open()
    reader = asyncio.create_task(port.read())
    await asyncio.sleep(0.05)
    await port.close()
    with pytest.raises(PortError):
        await reader
    with pytest.raises(PortError):
        await port.write(b"x")
    await port.open()
    os.write(master, b"again")
    assert await port.read() == b"again"
    await port.close()


async def test_a_port_that_goes_away_says_so(line):
    master, path = line
    port = SerialPort(path)
    await port.open()
    os.close(master)
    with pytest.raises(PortError) as caught:
        await port.read()
    assert caught.value.kind == "unplugged" and "plug the board in" in caught.value.text
    await port.close()


async def test_a_port_is_for_one_only(line):
    _, path = line
    first, second = SerialPort(path), SerialPort(path)
    await first.open()
    with pytest.raises(PortError) as caught:
        await second.open()
    assert caught.value.kind == "busy"
    assert f"process {os.getpid()} (" in caught.value.text
    await first.close()
    await second.open()
    await second.close()


@pytest.mark.parametrize("path", ["/dev/no-such-port", "tcp://127.0.0.1:1"])
async def test_a_port_that_is_not_there(path):
    with pytest.raises(PortError) as caught:
        await SerialPort(path).open()
    assert caught.value.kind == "missing"
    assert path in caught.value.text


async def test_a_board_behind_tcp():
    async def echo(reader, writer):
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = SerialPort(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await port.open()
    await port.write(b"hello" * 100)
    got = b""
    while len(got) < 500:
        got += await port.read()
    assert got == b"hello" * 100
    await port.close()
    server.close()

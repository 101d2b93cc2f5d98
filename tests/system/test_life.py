"""The life of a linked board in its heap: a thousand readings and a hundred commands, a backlog, an overflow."""

import asyncio
import re

import pytest

from motemo_host import local
from tests.system.stage import Stage, until

READINGS = 1000
COMMANDS = 100
SPARE = 1536  # bytes by which the free heap may be lower at the end: lists that are longer now, fragments

# Makes readings as fast as they are taken, up to the number that is asked for; or a pile of them after a while.
HASTY_MAIN = """
import asyncio
import gc
import time

from motemo.agent import Agent

agent = Agent.load()
made = 0
wanted = 0
pile = 0


@agent.command("wanted")
def set_wanted(number):
    global wanted
    wanted = int(number)
    return "making " + number


@agent.command("pile")
def set_pile(number):
    global pile
    pile = int(number)
    return "a pile of " + number


@agent.command("heap")
def heap(state):
    gc.collect()
    return str(gc.mem_free())


def make():
    global made
    made += 1
    agent.outbox.put((int(time.time()), [("count", "", made)]))
    agent.wake()


async def hurry():
    global pile
    while True:
        if made < wanted and len(agent.outbox) < 2:
            make()
        if pile:
            await asyncio.sleep(4)
            while pile:
                make()
                pile -= 1
        await asyncio.sleep(0.01)


async def main():
    asyncio.create_task(hurry())
    await agent.main()


asyncio.run(main())
"""


class Life:
    """A board with that application, its gateway, its owner's collector."""

    def __init__(self, stage):
        self.stage = stage
        self.jid, self.owner = stage.account("lifeboard"), stage.account("lifeowner")
        owner = f"{self.owner}={stage.identity(self.owner)}"
        self.board = stage.board("life", HASTY_MAIN)
        stage.provision(self.board, self.jid, "--owner", owner)
        self.gateway = stage.gateway(self.board)
        self.listener = stage.listen(self.owner)

    async def say(self, text):
        """The board's answer, over the collector's socket as `motemo send` asks for it."""
        folder = self.stage.home / "identities" / self.owner
        return await local.ask(folder, "send", self.jid, text, 60.0)

    def come(self, count):
        """Waits until so many readings have come in."""
        until(lambda: len(self.listener.values(self.jid)) >= count, 120)


@pytest.fixture(scope="module")
def life(prosody, tmp_path_factory):
    stage = Stage(prosody, tmp_path_factory.mktemp("life"))
    yield Life(stage)
    stage.close()


@pytest.mark.timeout(240)
async def test_a_thousand_readings_and_a_hundred_commands_leave_the_heap_as_it_was(life):
    await life.say("set wanted 100")
    for _ in range(10):
        await life.say("get")
    await asyncio.to_thread(life.come, 100)
    before = int(await life.say("set heap now"))

    await life.say(f"set wanted {READINGS}")
    for number in range(COMMANDS):
        assert "count" not in await life.say(("get", "status", "log", "help")[number % 4])
    await asyncio.to_thread(life.come, READINGS)
    after = int(await life.say("set heap now"))

    assert life.listener.values(life.jid) == list(range(1, READINGS + 1))
    assert after > before - SPARE, f"{before - after} bytes are gone"
    status = await life.say("status")
    assert int(re.search(r"least free heap (\d+) bytes", status)[1]) > 0
    assert "faults: none" in status and "0 dropped" in status, status
    assert "MemoryError" not in await life.say("log")
    assert not [event for event in life.listener.events if event["event"] == "problem"]
    assert life.board.boots == 1


async def test_ten_readings_without_a_gateway_come_later_in_order(life):
    start = len(life.listener.values(life.jid))
    await life.say("set pile 10")
    life.gateway.stop()
    await asyncio.sleep(6)
    life.gateway = life.stage.gateway(life.board)
    await asyncio.to_thread(life.come, start + 10)
    values = life.listener.values(life.jid)
    assert values == list(range(1, len(values) + 1))


async def test_an_outbox_that_is_full_drops_the_oldest_and_counts_them(life):
    start = len(life.listener.values(life.jid))
    await life.say("set pile 50")
    life.gateway.stop()
    await asyncio.sleep(6)
    life.gateway = life.stage.gateway(life.board)
    await asyncio.to_thread(life.come, start + 30)
    status = await life.say("status")
    dropped = int(re.search(r"(\d+) dropped", status)[1])
    until(lambda: life.listener.values(life.jid)[-1] == start + 50)
    values = life.listener.values(life.jid)[start:]
    assert dropped == 50 - 32
    # The one that was on its way when it was dropped arrives all the same.
    assert values[-32:] == list(range(start + 50 - 31, start + 51)) and len(values) in (32, 33)

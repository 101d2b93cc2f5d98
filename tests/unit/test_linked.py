"""What waits in the agent's end of the link when a device is unpinned."""

import asyncio

from motemo.linked import Linked
from motemo.omemo.elements import Encrypted
from tests.covers import covers

NOT_ON = {"wasm": "its asyncio has no event loop of its own"}

ALICE, BOB = "alice@example.org", "bob@example.org"
KEYS = [(ALICE, 1, False, b"a"), (ALICE, 2, False, b"b"), (BOB, 1, False, b"c")]


class Agent:
    def next_message_id(self):
        return 1


async def waiting():
    """An end of a link without a gateway, the message that waits there, and the task that sends it."""
    linked = Linked(None)
    linked._agent = Agent()
    task = asyncio.create_task(linked.send(ALICE, Encrypted(2, 7, list(KEYS), b"payload")))
    await asyncio.sleep(0)
    return linked, linked._outgoing, task


@covers("O-140")
def test_a_waiting_message_loses_the_keys_of_who_is_unpinned():
    async def main():
        linked, message, task = await waiting()
        linked.forget_devices([(ALICE, 2), (BOB, 2)])
        assert message["keys"] == [KEYS[0], KEYS[2]] and linked._outgoing is message
        linked.forget_devices([(ALICE, 1), (BOB, 1)])
        await asyncio.wait_for(task, 2)
        assert linked._outgoing is None
        linked.forget_devices([(ALICE, 1)])

    asyncio.run(main())


def test_a_queued_message_without_keys_waits_for_the_line_to_drop_it():
    async def main():
        linked, message, task = await waiting()
        linked._session.send(message, "message")
        linked.forget_devices([(ALICE, 1), (ALICE, 2), (BOB, 1)])
        await asyncio.sleep(0.05)
        assert not task.done() and message["keys"] == []
        task.cancel()

    asyncio.run(main())

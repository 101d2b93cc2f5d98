"""What waits in the agent's end of the link when a device is unpinned."""

import asyncio

from motemo.linked import Linked
from motemo.omemo.elements import LEGACY, Encrypted
from tests.covers import covers

NOT_ON = {"wasm": "its asyncio has no event loop of its own"}

ALICE, BOB = "alice@example.org", "bob@example.org"
KEYS = [(ALICE, 1, False, b"a"), (ALICE, 2, False, b"b"), (BOB, 1, False, b"c")]


class Agent:
    def next_message_id(self):
        return 1


async def waiting(legacy=None):
    """An end of a link without a gateway, the message that waits there, and the task that sends it."""
    linked = Linked(None)
    linked._agent = Agent()
    task = asyncio.create_task(linked.send(ALICE, Encrypted(2, 7, list(KEYS), b"payload", legacy=legacy)))
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


@covers("O-140")
def test_a_waiting_message_in_two_forms_loses_keys_in_both():
    async def main():
        form = Encrypted(LEGACY, 7, [(ALICE, 3, False, b"d"), (BOB, 4, False, b"e")], b"other", b"iv")
        linked, message, task = await waiting(form)
        linked.forget_devices([(ALICE, 3), (BOB, 1)])
        assert message["keys"] == KEYS[:2] and message["legacy"]["keys"] == form.keys[1:]
        linked.forget_devices([(ALICE, 1), (ALICE, 2)])
        assert message["keys"] == form.keys[1:] and (message["payload"], message["iv"]) == (b"other", b"iv")
        assert message["dialect"] == LEGACY and "legacy" not in message
        linked.forget_devices([(BOB, 4)])
        await asyncio.wait_for(task, 2)

    asyncio.run(main())


@covers("O-140")
def test_a_waiting_message_keeps_its_first_form_alone():
    async def main():
        form = Encrypted(LEGACY, 7, [(BOB, 4, False, b"e")], b"other", b"iv")
        linked, message, task = await waiting(form)
        linked.forget_devices([(BOB, 4)])
        assert message["keys"] == KEYS and "legacy" not in message
        task.cancel()

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

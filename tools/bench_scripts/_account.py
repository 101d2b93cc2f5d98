"""The account of a board as the gateway sees it (`motemo_host.xmpp.Account`), without a server."""

import asyncio


class Account:
    """Always online. What the gateway hands over goes to `send`, which the benches define."""

    on_message = on_unreadable = on_devices = on_online = on_catch_up = staticmethod(lambda *_: None)

    def __init__(self, jid: str):
        self.jid = jid
        self.online = self.caught_up = True

    async def connect(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    async def stay_online(self, since) -> None:
        """Never returns."""
        self.on_online(True)
        await asyncio.Event().wait()

    async def send(self, to: str, encrypted, *, id: str) -> None:
        """Takes a message of the board."""
        raise NotImplementedError

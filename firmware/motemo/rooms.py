"""The group chat that the readings go to: entering it by the gateway, and its setting (XEP-0384 "Group chat").

The gateway says which of the pinned accounts are members, no more: what is sealed for the room is sealed for pinned
devices, as everywhere. Seldom needed, so an overlay.
"""

from motemo import address, overlay, settings
from motemo.errors import REASONS, RemoteError, StateError
from motemo.omemo import trust


async def enter(agent):
    """Has the gateway enter the room of the settings, or leave the former one when there is none.

    A room that cannot be used is logged and counted; the readings then go to each owner, until the gateway says that
    it can be used. Raises StateError when there is no gateway.
    """
    accounts = trust.owners(agent.store)
    agent.entered = (agent.room, accounts) if agent.room else None
    jid = agent.engine.keys.jid
    nick = settings.read(agent.store, "label") or jid[: jid.find("@")]
    requests = agent.northbound.requests
    try:
        found = await overlay.call(requests, "enter_room", agent.northbound, agent.room, nick, accounts)
    except RemoteError as error:
        _refused(agent, error.reason, error.text)
    except StateError:
        agent.entered = ()
        raise
    else:
        if agent.room:
            on_room(agent, found)


def on_room(agent, message):
    """Takes what the gateway says of the room: its members, or, with a `code`, that it may not be used."""
    if agent.engine is None or not agent.room or message.get("room") != agent.room:
        return  # of a room that we have left
    if "code" in message:
        code = message["code"]
        _refused(agent, REASONS[code if code < len(REASONS) else 0], message.get("text", ""))
        return
    members = [jid for jid in trust.owners(agent.store) if jid in message["members"]]
    if members != agent.members:
        agent.log("room {}: {} pinned members, {} others".format(agent.room, len(members), message["others"]))
    agent.members = members
    agent.nick = message.get("text", "")


def _refused(agent, reason, text):
    agent.members = []
    agent.nick = ""
    agent.count(reason)
    agent.log("room {}: {} {}".format(agent.room, reason, text))


def perform(agent, request):
    """Does what the operation `room` asks for: sets the room ("" for none), or only tells it."""
    if agent.engine is None:
        raise StateError("not-provisioned")
    room = request.get("room")
    if room is not None:
        if room:
            address.check(room)
        agent.store.commit([settings.change("room", room)])
        agent.reload_settings()
        agent.wake()
    return {"room": agent.room, "members": agent.members}

"""What owners are told without having asked: in the log and by an encrypted message. Seldom needed."""

from motemo.omemo import trust
from motemo.omemo.records import split_device_key

_MOST_WAITING = 16
_TEXTS = {
    "stale": "Your device {} has not answered for long: it gets one reading of eight. Write to me from it to get all.",
    "renewed": "Your device {} still does not answer: I have made a new session with it.",
    "left out": "Your device {} gets nothing from me until it writes to me: {}.",
}


def of_devices(agent):
    """Tells the owners of the devices that the engine has something to say about."""
    engine = agent.engine
    while engine.notices:
        key, text = engine.notices.pop(0)
        jid, device, _ = split_device_key(key)
        agent.log("device {} of {}: {}".format(device, jid, text))
        kind, _, why = text.partition(": ")
        _tell(agent, jid, _TEXTS[kind].format(device, why))


def own_devices(agent, devices):
    """Tells all owners that the board's account has these new devices, which are not this board."""
    names = ", ".join([str(device) for device in devices[:4]])
    if len(devices) > 4:
        names += ", …"
    agent.log("new devices on our account: " + names)
    for jid in trust.owners(agent.store):
        _tell(agent, jid, "My account has new devices that are not me: {}. Do not trust their keys.".format(names))


def _tell(agent, jid, text):
    if len(agent.replies) >= _MOST_WAITING:
        agent.engine.count("full")
        return
    agent.replies.append((jid, text))
    agent.wake()

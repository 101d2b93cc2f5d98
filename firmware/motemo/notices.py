"""What owners are told without having asked, by an encrypted message that says what it is: no program answers it.

Never more than a few wait, and what could not be read is told seldom: whoever can put messages on the line must not
make the board talk. Seldom needed, so an overlay.
"""

import time

from motemo.omemo import trust
from motemo.omemo.envelope import NOTICE
from motemo.omemo.records import split_device_key

_MOST_WAITING = 16
_MOST_DEVICES = 8  # whose causes are kept
_PAUSE_SECONDS = 10  # between two notices of what could not be read
_MARK = "<{1} xmlns='{0}'/>".format(*NOTICE)
_TEXTS = {
    "stale": "Your device {} has not answered for long: it gets one reading of eight. Write to me from it to get all.",
    "renewed": "Your device {} still does not answer: I have made a new session with it.",
    "left out": "Your device {} gets nothing from me until it writes to me: {}.",
}


def unreadable(agent, jid, device, reason):
    """Tells an owner that a message of theirs could not be read (O-095, O-123).

    Once for each device and cause until a message of that device can be read. The caller has counted and logged it.
    """
    causes = agent.told.get((jid, device), [])
    now = time.time()
    if reason in causes or (agent.told_at and now - agent.told_at < _PAUSE_SECONDS):
        return
    if not causes and len(agent.told) >= _MOST_DEVICES:
        agent.told.pop(next(iter(agent.told)))
    agent.told[jid, device] = causes + [reason]
    agent.told_at = now
    text = "I could not read a message of your device {} ({}). If that goes on, say: reset session"
    _tell(agent, jid, text.format(device, reason))


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
        agent.count("full")
        return
    agent.replies.append((jid, text, _MARK))
    agent.wake()

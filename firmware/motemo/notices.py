"""Tells an owner, by an encrypted notice, that something of theirs could not be read (O-095, O-123).

Once for each device and cause until a message of that device can be read, and seldom: whoever can put messages on the
line must not make the board talk. What is not told is counted and logged all the same. A notice says what it is, so
that no program answers it. Seldom needed, so an overlay.
"""

import time

from motemo.omemo.envelope import NOTICE

_MOST_DEVICES = 8  # whose causes are kept
_PAUSE_SECONDS = 10  # between two notices
_MARK = "<{1} xmlns='{0}'/>".format(*NOTICE)


def tell(agent, jid, device, reason):
    """Queues the notice for the pinned devices of `jid`, if it is due."""
    causes = agent.told.get((jid, device), [])
    now = time.time()
    if reason in causes or (agent.told_at and now - agent.told_at < _PAUSE_SECONDS):
        return
    if not causes and len(agent.told) >= _MOST_DEVICES:
        agent.told.pop(next(iter(agent.told)))
    agent.told[jid, device] = causes + [reason]
    agent.told_at = now
    text = "I could not read a message of your device {} ({}). If that goes on, say: reset session"
    agent.reply(jid, text.format(device, reason), _MARK)

"""Commands in the encrypted chat: plain words, so that every client can give them (design section 9).

Only pinned devices get here. `answer` takes the words and returns the line that goes back.
"""

from motemo import overlay, status, telemetry
from motemo.errors import MotemoError

HELP = "get [SENSOR] · set NAME VALUE · every SECONDS · status · log · reset session · trust list"

_LONGEST_INTERVAL = 86400


async def answer(agent, jid, text) -> str:
    """The answer to what a pinned device of `jid` wrote."""
    words = text.split()
    verb = words[0].lower() if words else ""
    action = _ACTIONS.get(verb)
    if action is None:
        return "I do not know that. " + _help(agent)
    try:
        return await action(agent, jid, words[1:])
    except MotemoError as error:
        return "That did not work: " + str(error)


def _help(agent):
    names = ", ".join(sorted(agent.commands))
    return "I know: " + HELP + (". I can set: " + names if names else "")


async def _do_help(agent, jid, words):
    return _help(agent)


async def _get(agent, jid, words):
    if words and words[0] not in agent.sensors:
        return "There is no sensor " + words[0] + ". There is: " + ", ".join(sorted(agent.sensors))
    values = await agent.sample(words[0] if words else None)
    return telemetry.line(values) if values else "No sensor gave a value."


async def _set(agent, jid, words):
    command = agent.commands.get(words[0]) if words else None
    if command is None:
        return "What should I set? I can set: " + (", ".join(sorted(agent.commands)) or "nothing")
    return str(await agent.call(command, " ".join(words[1:])))


async def _every(agent, jid, words):
    number = words[0] if words else ""
    if not number.isdigit() or not 1 <= int(number) <= _LONGEST_INTERVAL or words[1:] not in ([], ["s"]):
        return "Say: every SECONDS, from 1 to 86400, for example: every 60 s"
    agent.change_interval(int(number))
    return "A reading every " + str(int(number)) + " s from now on."


async def _status(agent, jid, words):
    found = status.fields(agent)
    faults = ", ".join([name + " " + str(count) for name, count in sorted(found["counters"].items())])
    names = "uptime", "sessions", "stale", "outbox", "dropped", "heap_least"
    text = "up {} s, {} sessions, stale {}, {} readings waiting, {} dropped, least free heap {} bytes".format(
        *[found[name] for name in names]
    )
    if found["own_devices"]:
        text += ", {} other devices on my account".format(found["own_devices"])
    text += "; faults: " + (faults or "none")
    if found["opted_out"]:
        text += "; want plain text and get nothing: " + ", ".join(found["opted_out"])
    return text


async def _log(agent, jid, words):
    return "\n".join(agent.log_lines) or "The log is empty."


async def _reset(agent, jid, words):
    return overlay.call("motemo.sessions", "say", agent, jid, words)


async def _trust(agent, jid, words):
    return overlay.call("motemo.pinning", "say", agent, words)


_ACTIONS = {
    "help": _do_help,
    "get": _get,
    "set": _set,
    "every": _every,
    "status": _status,
    "log": _log,
    "reset": _reset,
    "trust": _trust,
}

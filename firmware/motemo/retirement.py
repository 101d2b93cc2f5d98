"""Taking a board out of service: it says farewell, and announces and sends nothing from then on (O-100, O-129).

That it retires is stored first. What was said is not: a board that loses power meanwhile says it again when it is asked
again. The host then takes its id and its bundle from the server and has it wiped (motemo.provision).
"""

from motemo import settings
from motemo.errors import MotemoError, StateError
from motemo.omemo import trust
from motemo.xmltext import escape

_SENTENCE = "This board is taken out of service."


def perform(agent, request):
    """Begins, or tells how far it is: the owners `told` and `untold`, and how many steps are `missing`.

    With `text` the pinned devices of all owners get an opt-out that has it as its reason.
    """
    if agent.engine is None:
        raise StateError("not-provisioned")
    if not agent.retiring:
        agent.store.commit([settings.change("state", "retiring")])
        text = request.get("text")
        left = [] if text is None else trust.owners(agent.store)
        agent.retiring = {"reason": text, "left": left, "told": [], "untold": [], "quiet": False}
        agent.log("retires")
        agent.wake()
    state = agent.retiring
    # Quiet: what was being sent when the request came is out, so nothing is announced behind the host's back.
    missing = len(state["left"]) + (not state["quiet"])
    return {"told": state["told"], "untold": state["untold"], "missing": missing}


async def say_farewell(agent):
    """Sends the opt-outs that are due; an owner who cannot be reached is left out."""
    state = agent.retiring
    if not state:
        return  # the power was away since the request, which comes again
    state["quiet"] = True
    reason = state["reason"]
    while state["left"]:
        jid = state["left"][0]
        more = "<opt-out xmlns='urn:xmpp:omemo:2'><reason>" + escape(reason) + "</reason></opt-out>"
        try:
            await agent.send(jid, _SENTENCE + (" " + reason if reason else ""), None, more)
            state["told"].append(jid)
        except MotemoError as error:
            if error.reason in ("offline", "timeout"):
                raise
            agent.count(error.reason)
            state["untold"].append(jid)
        state["left"].pop(0)

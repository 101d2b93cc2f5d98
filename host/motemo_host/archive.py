"""Catching up from the account's archive (XEP-0313): what came in while no connection was there to take it."""

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement

from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError

__all__ = ["Archive"]

_MAM = "urn:xmpp:mam:2"
_RSM = "http://jabber.org/protocol/rsm"
_FORM = "jabber:x:data"
_FORWARDED = "{urn:xmpp:forward:0}forwarded"
_PAGE = 100
_MAX_PAGES = 1000


class Archive:
    """The own archive. `on_message(stanza, wrapper, archive id)` gets each of its messages during `catch_up`."""

    def __init__(self, client: ClientXMPP, on_message: Callable[[Element, Element, str], None], timeout: float = 30):
        self._client = client
        self._on_message = on_message
        self._timeout = timeout
        self._query = ""  # the id of the running query, empty when there is none

    async def catch_up(self, since: int) -> bool:
        """Hand over all messages since a time (unix seconds), page by page; False if the server has no archive.

        IqError and IqTimeout of slixmpp if it breaks off.
        """
        self._query = secrets.token_hex(8)
        start = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        after = None
        try:
            for _ in range(_MAX_PAGES):
                fin = await self._page(start, after)
                last = fin.findtext(f"{{{_RSM}}}set/{{{_RSM}}}last")
                if fin.get("complete") in ("true", "1") or not last:
                    break
                after = last
        except IqError as error:
            if after is None and error.condition in ("service-unavailable", "feature-not-implemented"):
                return False
            raise
        finally:
            self._query = ""
        return True

    async def _page(self, start: str, after: str | None) -> Element:
        iq = self._client.make_iq_set()
        query = Element(f"{{{_MAM}}}query", {"queryid": self._query})
        form = SubElement(query, f"{{{_FORM}}}x", {"type": "submit"})
        for name, value in ("FORM_TYPE", _MAM), ("start", start):
            field = SubElement(form, f"{{{_FORM}}}field", {"var": name})
            SubElement(field, f"{{{_FORM}}}value").text = value
        page = SubElement(query, f"{{{_RSM}}}set")
        SubElement(page, f"{{{_RSM}}}max").text = str(_PAGE)
        if after:
            SubElement(page, f"{{{_RSM}}}after").text = after
        iq.append(query)
        answer = await iq.send(timeout=self._timeout)
        fin = answer.xml.find(f"{{{_MAM}}}fin")
        return Element("fin") if fin is None else fin

    def take(self, sender: JID, message: Element) -> bool:
        """Take a stanza if it is a result of the archive; say whether it was one.

        Results that do not come from the own archive or not for the running query are dropped (M-13).
        """
        result = message.find(f"{{{_MAM}}}result")
        if result is None:
            return False
        own = sender.full in ("", self._client.boundjid.bare)
        if own and self._query and result.get("queryid") == self._query:
            forwarded = result.find(_FORWARDED)
            stanza = None if forwarded is None else forwarded.find("{jabber:client}message")
            if forwarded is not None and stanza is not None:
                self._on_message(stanza, forwarded, result.get("id", ""))
        return True

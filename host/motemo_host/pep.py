"""Device lists and bundles in PEP (XEP-0163), the careful way.

Publish with options; where the node stands with other settings, configure it and publish again (O-067); where
the server knows no `pubsub#max_items` = `max`, publish without and configure after; then look at what is really
stored. Lists are fetched, merged, published and checked, because other devices of the account write to them too.
"""

from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError, IqTimeout, XMPPError

from motemo.crypto.points import edwards_to_montgomery
from motemo.errors import MotemoError, RemoteError
from motemo.omemo.elements import DIALECTS, LEGACY, OMEMO2, Bundle

from .stanzas import (
    CURRENT,
    DEVICES_NODES,
    Device,
    bundle_address,
    bundle_from_xml,
    bundle_to_xml,
    devices_from_xml,
    devices_to_xml,
    drop_device,
    legacy_form,
)

__all__ = ["PUBSUB_NS", "Pep"]

PUBSUB_NS = "http://jabber.org/protocol/pubsub"
_ITEMS = f"{{{PUBSUB_NS}}}pubsub/{{{PUBSUB_NS}}}items/{{{PUBSUB_NS}}}item"
_PRECONDITION = f".//{{{PUBSUB_NS}#errors}}precondition-not-met"
_ACCESS, _MAX_ITEMS, _PERSIST = "pubsub#access_model", "pubsub#max_items", "pubsub#persist_items"
_NEEDED_FEATURES = ("publish", "publish-options", "persistent-items")
# What a server may answer to an option or value that it does not know.
_NOT_UNDERSTOOD = ("bad-request", "not-acceptable", "feature-not-implemented", "conflict")
# Tried in this order where `max` is refused: old servers have a bound of their own and do not tell it.
_MANY_ITEMS = ("max", "1000", "256", "100")
_LIST_ATTEMPTS = 3

_FETCH_REASONS = {
    "item-not-found": "not-found",
    "service-unavailable": "not-found",  # what servers say of accounts that are not there (P-09)
    "feature-not-implemented": "not-found",
    "forbidden": "not-found",  # ... and of nodes that are not there, so as not to tell
    "not-authorized": "not-found",
    "remote-server-not-found": "offline",
    "remote-server-timeout": "offline",
}


class Pep:
    """The PEP nodes of OMEMO, seen from the account of one connection."""

    def __init__(self, client: ClientXMPP, timeout: float = 30):
        self._client = client
        self._timeout = timeout

    async def check(self) -> None:
        """Look whether the server's PEP does what OMEMO needs (P-06, O-130..O-133); RemoteError "refused" if not."""
        disco = self._client.plugin["xep_0030"]
        try:
            answer = await disco.get_info(jid=JID(self._own), cached=False, timeout=self._timeout)
        except XMPPError as error:
            raise _error(error, "asking the server for PEP") from None
        info = answer["disco_info"]
        if not any(identity[:2] == ("pubsub", "pep") for identity in info["identities"]):
            raise RemoteError("refused", "the server has no PEP (XEP-0163) for this account; use another server")
        missing = [name for name in _NEEDED_FEATURES if f"{PUBSUB_NS}#{name}" not in info["features"]]
        if missing:
            raise RemoteError("refused", "the server's PEP lacks " + ", ".join(missing) + "; use another server")

    async def fetch_devices(self, jid: str, dialect: int = OMEMO2) -> list[Device]:
        """Return the device list of an account; RemoteError "not-found" if it has none (P-09)."""
        element = await self._fetch_list(jid, dialect)
        return [] if element is None else devices_from_xml(element)

    async def _fetch_list(self, jid: str, dialect: int) -> Element | None:
        items = await self._items(jid, DEVICES_NODES[dialect], None)
        if not items:
            return None
        current = [item for item in items if item.get("id") == CURRENT]
        return _payload((current or items)[-1])

    async def fetch_bundle(self, jid: str, device: int, dialect: int = OMEMO2) -> Bundle:
        """Return the bundle of a device; RemoteError "not-found" if there is none: listed, but unusable (P-09)."""
        node, name = bundle_address(dialect, device)
        # A legacy bundle has its own node, and whatever its item is called.
        for item in await self._items(jid, node, None if dialect == LEGACY else name):
            if dialect == LEGACY or item.get("id") == name:
                return bundle_from_xml(_payload(item))
        raise RemoteError("not-found", "no bundle")

    async def device_taken(self, device: int, identity_key: bytes) -> bool:
        """Say whether the id belongs to another device of the own account (O-116), i.e. has another identity key."""
        for dialect in DIALECTS:
            try:
                if all(entry.id != device for entry in await self.fetch_devices(self._own, dialect)):
                    continue
                theirs = (await self.fetch_bundle(self._own, device, dialect)).identity_key
                if theirs != (edwards_to_montgomery(identity_key) if dialect == LEGACY else identity_key):
                    return True
            except RemoteError as error:
                if error.reason != "not-found":
                    raise
        return False

    async def publish_bundle(self, device: int, bundle: Bundle) -> None:
        """Publish the bundle as its own item in the bundles node, open to all, beside many others (O-062..O-068).

        One that has a legacy form too is published in both; a legacy one is the only item of its node.
        """
        node, name = bundle_address(bundle.dialect, device)
        await self._publish(node, name, bundle_to_xml(bundle), ("1",) if bundle.dialect == LEGACY else _MANY_ITEMS)
        stored = await self.fetch_bundle(self._own, device, bundle.dialect)
        if ElementTree.tostring(bundle_to_xml(stored)) != ElementTree.tostring(bundle_to_xml(bundle)):
            raise RemoteError("refused", "the server took the bundle but stores another one; check its PEP")
        if bundle.legacy_signature is not None:
            await self.publish_bundle(device, legacy_form(bundle))

    async def publish_devices(self, own: Device, dialect: int = OMEMO2) -> None:
        """Add the own device to the account's list, next to what is there, unless it stands in it already.

        A label without signature is left out (O-057), and the legacy list has none. What others wrote stays as it is.
        """
        if own.label_signature is None or dialect == LEGACY:
            own = Device(own.id)
        node = DEVICES_NODES[dialect]
        for _ in range(_LIST_ATTEMPTS):
            devices = await self._own_list(dialect)
            if own in devices_from_xml(devices) and await self._is_open(node):
                return
            # Another device may write between our fetch and our publication: look again.
            drop_device(devices, own.id)
            devices.extend(devices_to_xml([own], dialect))
            await self._publish(node, CURRENT, devices, ("1",))
        raise RemoteError("refused", "the server does not keep the device in its list; check its PEP")

    async def remove_device(self, device: int) -> None:
        """Take an own id off the lists of both dialects, then its bundles off the server (O-129).

        What is gone already is no error, and what others wrote stays as it is.
        """
        for dialect in DIALECTS:
            for _ in range(_LIST_ATTEMPTS):
                devices = await self._own_list(dialect)
                if not drop_device(devices, device):
                    break
                await self._publish(DEVICES_NODES[dialect], CURRENT, devices, ("1",))
            else:
                raise RemoteError("refused", "the server keeps the device in its list; check its PEP")
        for dialect in DIALECTS:
            await self._remove_bundle(device, dialect)

    async def _remove_bundle(self, device: int, dialect: int) -> None:
        node, name = bundle_address(dialect, device)
        pubsub = self._client.plugin["xep_0060"]
        try:
            if dialect == LEGACY:
                await pubsub.delete_node(self._own, node, timeout=self._timeout)
            else:
                await pubsub.retract(self._own, node, name, notify=True, timeout=self._timeout)
        except XMPPError as error:
            if isinstance(error, IqTimeout) or error.condition != "item-not-found":
                raise _error(error, f"removing {node}") from None

    async def _own_list(self, dialect: int) -> Element:
        """The own device list as it is on the server, an empty one when there is none."""
        try:
            element = await self._fetch_list(self._own, dialect)
        except RemoteError as error:
            if error.reason != "not-found":
                raise
            element = None
        return devices_to_xml([], dialect) if element is None else element

    # --- nodes and items

    @property
    def _own(self) -> str:
        return self._client.boundjid.bare

    async def _items(self, jid: str, node: str, item: str | None) -> list[Element]:
        query = Element(f"{{{PUBSUB_NS}}}pubsub")
        items = SubElement(query, f"{{{PUBSUB_NS}}}items", {"node": node})
        if item is None:
            items.set("max_items", "1")
        else:
            SubElement(items, f"{{{PUBSUB_NS}}}item", {"id": item})
        iq = self._client.make_iq_get(ito=JID(jid))
        iq.append(query)
        try:
            answer = await iq.send(timeout=self._timeout)
        except XMPPError as error:
            raise _error(error, f"fetching {node}", _FETCH_REASONS) from None
        return answer.xml.findall(_ITEMS)

    async def _publish(self, node: str, item: str, payload: Element, most: tuple[str, ...]) -> None:
        """Publish one item with open access; `most` are the values of `pubsub#max_items` to try."""
        wanted = {_PERSIST: "true", _ACCESS: "open"}
        try:
            try:
                await self._publish_once(node, item, payload, {**wanted, _MAX_ITEMS: most[0]})
            except IqError as error:
                if error.iq.xml.find(_PRECONDITION) is not None:
                    await self._configure(node, wanted, most)
                    await self._publish_once(node, item, payload, {})
                elif error.condition in _NOT_UNDERSTOOD:
                    await self._publish_once(node, item, payload, {})
                    await self._configure(node, wanted, most)
                else:
                    raise
            if not await self._is_open(node):
                await self._configure(node, wanted, most)
        except XMPPError as error:
            raise _error(error, f"publishing {node}") from None
        if not await self._is_open(node):
            raise RemoteError("refused", f"the server does not open {node} to others; check its PEP")

    async def _publish_once(self, node: str, item: str, payload: Element, options: dict[str, str]) -> None:
        form = None
        if options:
            form = self._form({"FORM_TYPE": f"{PUBSUB_NS}#publish-options", **options})
        await self._client.plugin["xep_0060"].publish(
            self._own, node, id=item, payload=payload, options=form, timeout=self._timeout
        )

    async def _configure(self, node: str, wanted: dict[str, str], most: tuple[str, ...]) -> None:
        """Change a standing node: what is wanted, and the first value of `pubsub#max_items` that the server takes."""
        present = await self._config(node)
        settings = {**present, **{name: value for name, value in wanted.items() if name in present}}
        attempts = [{**settings, _MAX_ITEMS: value} for value in most] if _MAX_ITEMS in present else []
        for values in [*attempts, settings]:
            try:
                await self._client.plugin["xep_0060"].set_node_config(
                    self._own, node, self._form(values), timeout=self._timeout
                )
                return
            except IqError as error:
                if error.condition not in _NOT_UNDERSTOOD or values is settings:
                    raise

    async def _config(self, node: str) -> dict:
        answer = await self._client.plugin["xep_0060"].get_node_config(self._own, node, timeout=self._timeout)
        return answer["pubsub_owner"]["configure"]["form"]["values"]

    async def _is_open(self, node: str) -> bool:
        try:
            return (await self._config(node)).get(_ACCESS) == "open"
        except XMPPError as error:
            raise _error(error, f"reading the settings of {node}") from None

    def _form(self, values: dict):
        form = self._client.plugin["xep_0004"].make_form(ftype="submit")
        for name, value in values.items():
            form.add_field(var=name, ftype="hidden" if name == "FORM_TYPE" else None, value=value)
        return form


def _error(error: XMPPError, doing: str, reasons: dict[str, str] | None = None) -> MotemoError:
    """Return the error of ours for a stanza error or a missing answer."""
    if isinstance(error, IqTimeout):
        return RemoteError("timeout", f"{doing}: the server does not answer")
    return RemoteError((reasons or {}).get(error.condition, "refused"), f"{doing}: {error.condition}")


def _payload(item: Element) -> Element:
    if len(item) != 1:
        raise RemoteError("format", "a PEP item without payload")
    return item[0]

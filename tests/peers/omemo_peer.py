"""An OMEMO client that we did not write, for both dialects: slixmpp, slixmpp-omemo and python-omemo.

slixmpp-omemo 2.2 publishes bundles of both dialects but sends only the legacy one, and refuses to read
`urn:xmpp:omemo:2`: that part, with the envelope of XEP-0420, is done here, straight on its session manager. Nothing of
Motemo is used. All devices that are seen are trusted.

By hand, events as JSON lines on stdout:

    python -m tests.peers.omemo_peer echo@localhost pw --port 5223 --certificate localhost.crt --echo
    python -m tests.peers.omemo_peer alice@localhost pw ... --to echo@localhost --send hello --expect "echo: hello"
"""

import argparse
import asyncio
import base64
import contextlib
import datetime
import json
import secrets
import ssl
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import oldmemo
import oldmemo.etree
import omemo
import slixmpp_omemo.xep_0384
import twomemo
import twomemo.etree
from omemo.storage import Just, Maybe, Nothing, Storage
from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError
from slixmpp.plugins import register_plugin
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath
from slixmpp_omemo import XEP_0384, TrustLevel

OMEMO2 = twomemo.twomemo.NAMESPACE
LEGACY = oldmemo.oldmemo.NAMESPACE
SCE = "urn:xmpp:sce:1"
EME = "urn:xmpp:eme:0"
DEVICE_LIST_NODES = ("urn:xmpp:omemo:2:devices", "eu.siacs.conversations.axolotl.devicelist")
ECHO = "echo: "
WAIT_SECONDS = 30


class FileStorage(Storage):
    """python-omemo's state in memory, and in a JSON file when there is a path."""

    def __init__(self, path: Path | None):
        super().__init__()
        self._path = path
        self._values: dict[str, Any] = json.loads(path.read_text("utf-8")) if path and path.exists() else {}

    async def _load(self, key: str) -> Maybe[Any]:
        return Just(self._values[key]) if key in self._values else Nothing()

    async def _store(self, key: str, value: Any) -> None:
        self._values[key] = value
        self._write()

    async def _delete(self, key: str) -> None:
        self._values.pop(key, None)
        self._write()

    def _write(self) -> None:
        if self._path:
            new = self._path.with_suffix(".new")
            new.write_text(json.dumps(self._values), "utf-8")
            new.replace(self._path)


class TrustingOmemo(XEP_0384):
    """slixmpp-omemo with our storage, trusting every device."""

    default_config = {
        "fallback_message": "This message is OMEMO encrypted",
        "file": None,
        "dialects": (OMEMO2, LEGACY),
    }

    def plugin_init(self) -> None:
        self._storage = FileStorage(self.file)
        super().plugin_init()

    @property
    def storage(self) -> Storage:
        return self._storage

    @property
    def _btbv_enabled(self) -> bool:
        return True

    async def _prompt_manual_trust(self, manually_trusted, identifier) -> None:
        manager = await self.get_session_manager()
        for device in manually_trusted:
            await manager.set_trust(device.bare_jid, device.identity_key, TrustLevel.TRUSTED.value)


register_plugin(TrustingOmemo)


def _with_its_dialects(make_session_manager):
    """slixmpp-omemo always takes both backends: this leaves those that the plugin is to speak."""

    def make(xmpp, plugin):
        class Manager(make_session_manager(xmpp, plugin)):
            @classmethod
            async def create(cls, backends, *args, **options):
                spoken = [backend for backend in backends if backend.namespace in plugin.dialects]
                return await super().create(spoken, *args, **options)

            async def update_device_list(self, namespace, *args):
                if namespace in plugin.dialects:
                    await super().update_device_list(namespace, *args)

        return Manager

    return make


slixmpp_omemo.xep_0384._make_session_manager = _with_its_dialects(slixmpp_omemo.xep_0384._make_session_manager)


class Peer:
    """One signed-in OMEMO client.

    `port` takes TLS from the first byte; `certificate` is the PEM file that is trusted. `echo` answers every text with
    "echo: " and the text, in the dialect in which it came. `dialects`: what it speaks. `file` keeps the state from one
    `Peer` to the next: without it every one is a new device. After `start`: `jid`, `device_id`, `identity_key`
    (Ed25519, 32 bytes).

    `events` holds all that happened, as dictionaries with `event`: `message` (sender, body, dialect, device, stamp of
    the envelope, room: where it was said, or None), `opt-out` (sender, device, reason; after its `message`), `empty`
    (a ping), `undecryptable` (error), `sent` (devices), `plain` (an unencrypted body), `refused` (a message came back:
    condition).
    """

    def __init__(
        self,
        jid: str,
        password: str,
        *,
        host: str,
        port: int,
        certificate: Path,
        echo: bool = False,
        file: Path | None = None,
        dialects: tuple[str, ...] = (OMEMO2, LEGACY),
        on_event: Any = None,
    ):
        self.jid = jid
        self.echo = echo
        self.dialects = dialects
        self.events: list[dict[str, Any]] = []
        self.device_id = 0
        self.identity_key = b""
        self._address = (host, port)
        self._on_event = on_event
        self._news = asyncio.Condition()
        self._seen = 0
        self._initialized = asyncio.Event()
        self._started = asyncio.Event()
        self._failure = ""
        self._tasks: set[asyncio.Task[None]] = set()
        # python-omemo loads and stores sessions between awaits: two at once take the same message key.
        self._one_at_a_time = asyncio.Lock()
        self._client = client = ClientXMPP(jid, password)
        client.ssl_context = ssl.create_default_context(cafile=str(certificate))
        client.enable_direct_tls, client.enable_starttls = True, False
        for plugin in ("xep_0030", "xep_0045", "xep_0198", "xep_0199", "xep_0359", "xep_0380"):
            client.register_plugin(plugin)
        client.register_plugin("xep_0384", {"file": file, "dialects": dialects}, module=sys.modules[__name__])
        client.add_event_handler("session_start", lambda _: self._run(self._announce()))
        client.add_event_handler("omemo_initialized", lambda _: self._initialized.set())
        # Not the event "message": that is for messages with a body, which encrypted ones need not have.
        client.register_handler(
            Callback("every message", StanzaPath("message"), lambda stanza: self._run(self._receive(stanza)))
        )
        client.add_event_handler("failed_all_auth", lambda _: self._fail("wrong password"))

    async def start(self) -> None:
        """Sign in and publish; returns when others can encrypt to us. ConnectionError when that does not come."""
        self._client.connect(*self._address)
        try:
            await asyncio.wait_for(self._started.wait(), WAIT_SECONDS)
        except TimeoutError:
            self._failure = self._failure or "no session in time"
        if self._failure:
            raise ConnectionError(f"{self.jid}: {self._failure}")

    async def stop(self) -> None:
        """Sign out."""
        await self._client.disconnect(wait=1)
        for task in self._tasks:
            task.cancel()

    async def send(self, to: str, body: str, *dialects: str) -> None:
        """Encrypt and send a text; each device gets it in the first of `dialects` (our best by default) it speaks."""
        content = f"<body xmlns='jabber:client'>{escape(body)}</body>"
        await self._send(to, {OMEMO2: self._envelope(content), LEGACY: body.encode()}, *dialects)

    async def send_content(self, to: str, content: str) -> None:
        """The same for XML elements as the content of the envelope; in omemo:2, which alone has one."""
        await self._send(to, {OMEMO2: self._envelope(content)}, OMEMO2)

    async def label(self, jid: str, device: int) -> str | None:
        """The label of a device as python-omemo has it: checked against its signature."""
        manager = await self._client.plugin["xep_0384"].get_session_manager()
        await manager.refresh_device_list(OMEMO2, jid)
        (found,) = [one for one in await manager.get_device_information(jid) if one.device_id == device]
        return found.label

    async def set_label(self, label: str) -> None:
        """Label our own device."""
        await (await self._client.plugin["xep_0384"].get_session_manager()).set_own_label(label)

    async def devices(self, jid: str) -> list[ET.Element]:
        """The elements of an account's list in omemo:2, as they are on the server."""
        items = await self._client.plugin["xep_0060"].get_items(JID(jid), DEVICE_LIST_NODES[0])
        return list(items["pubsub"]["items"].xml[0][0])

    async def item(self, jid: str, node: str, item: str | None) -> ET.Element | None:
        """An item of a node, or its newest; None when it is not there."""
        try:
            answer = await self._client.plugin["xep_0060"].get_items(
                JID(jid), node, item_ids=[item] if item else None, max_items=None if item else 1
            )
        except IqError as error:
            assert error.condition == "item-not-found"
            return None
        items = answer["pubsub"]["items"].xml
        return items[0] if len(items) else None

    async def forge_label(self, label: str) -> None:
        """Put another label to our own device, with the signature of the former one."""
        (element,) = await self.devices(self.jid)
        element.set("label", label)
        devices = ET.Element(f"{{{OMEMO2}}}devices")
        devices.append(element)
        await self._client.plugin["xep_0060"].publish(
            JID(self.jid), DEVICE_LIST_NODES[0], id="current", payload=devices
        )

    async def _send(self, to: str, plaintexts: dict[str, bytes], *dialects: str) -> None:
        dialects = dialects or self.dialects[:1]
        manager = await self._client.plugin["xep_0384"].get_session_manager()
        for dialect in self.dialects:
            await manager.refresh_device_list(dialect, to)
        await self._encrypt_and_send(frozenset({to}), to, plaintexts, dialects, "chat")

    @property
    def muc(self) -> Any:
        """slixmpp's plugin for rooms, for what an owner does there."""
        return self._client.plugin["xep_0045"]

    async def make_room(self, room: str, *members: str, **settings: str) -> None:
        """Make a room, set `muc#roomconfig_` settings, let these accounts be members, and be in it."""
        await self.enter(room)
        if settings:
            await self.configure(room, **settings)
        for member in members:
            await self.muc.set_affiliation(room, "member", jid=member)

    async def configure(self, room: str, **settings: str) -> None:
        """Change `muc#roomconfig_` settings of a room of ours."""
        form = await self.muc.get_room_config(room)
        for name, value in settings.items():
            form.get_fields()["muc#roomconfig_" + name]["value"] = value
        await self.muc.set_room_config(room, form)

    async def enter(self, room: str) -> None:
        """Be in a room."""
        await self.muc.join_muc_wait(JID(room), JID(self.jid).user, maxstanzas=0, timeout=WAIT_SECONDS)

    async def say(self, room: str, body: str, *dialects: str, to: str | None = None) -> None:
        """Encrypt and send a text to all members of a room. to: what the envelope names instead of the room."""
        dialects = dialects or self.dialects[:1]
        members: set[str] = set()
        for affiliation in ("member", "admin", "owner"):
            members |= {JID(jid).bare for jid in await self.muc.get_affiliation_list(room, affiliation)}
        manager = await self._client.plugin["xep_0384"].get_session_manager()
        for member in members:
            for dialect in self.dialects:
                with contextlib.suppress(omemo.DeviceListDownloadFailed):  # of a member who has none in this dialect
                    await manager.refresh_device_list(dialect, member)
        content = f"<body xmlns='jabber:client'>{escape(body)}</body>"
        plaintexts = {OMEMO2: self._envelope(content, to or room), LEGACY: body.encode()}
        await self._encrypt_and_send(frozenset(members), room, plaintexts, dialects, "groupchat")

    async def _encrypt_and_send(
        self, jids: frozenset[str], to: str, plaintexts: dict[str, bytes], dialects: tuple[str, ...], kind: Any
    ) -> None:
        manager = await self._client.plugin["xep_0384"].get_session_manager()
        async with self._one_at_a_time:
            messages, errors = await manager.encrypt(
                jids, {dialect: plaintexts[dialect] for dialect in dialects}, list(dialects)
            )
        stanza = self._client.make_message(mto=JID(to), mtype=kind)
        stanza.enable("store")
        if LEGACY in dialects:
            stanza["body"] = "This message is OMEMO encrypted"
        for message in messages:
            codec = twomemo.etree if message.namespace == OMEMO2 else oldmemo.etree
            stanza.append(codec.serialize_message(message))
        stanza.append(ET.Element(f"{{{EME}}}encryption", {"namespace": dialects[0], "name": "OMEMO"}))
        stanza.send()
        devices = [device.device_id for message in messages for device, _ in message.keys]
        self._tell("sent", to=to, dialects=dialects, devices=devices, errors=[str(error) for error in errors])

    async def wait(self, event: str, timeout: float = WAIT_SECONDS, **values: Any) -> dict[str, Any]:
        """The next event of this kind with these values, among those that `wait` has not passed. TimeoutError."""

        def found() -> dict[str, Any] | None:
            while self._seen < len(self.events):
                candidate = self.events[self._seen]
                self._seen += 1
                if candidate["event"] == event and values.items() <= candidate.items():
                    return candidate
            return None

        async with self._news:
            try:
                return await asyncio.wait_for(self._news.wait_for(found), timeout)
            except TimeoutError:
                raise TimeoutError(f"{self.jid}: no {event} {values} among {self.events}") from None

    def _run(self, work) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(self, event: str, **values: Any) -> None:
        self.events.append({"event": event, **values})
        if self._on_event:
            self._on_event(self.events[-1])
        self._run(self._wake())

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    def _fail(self, reason: str) -> None:
        self._failure = reason
        self._started.set()

    async def _announce(self) -> None:
        # Interests that plugins add before the binding are lost (slixmpp 1.17): without these no +notify comes.
        for node in DEVICE_LIST_NODES:
            self._client.plugin["xep_0030"].add_feature(node + "+notify", jid=self._client.boundjid)
        await self._client.plugin["xep_0115"].update_caps(self._client.boundjid, broadcast=False)
        await self._client.get_roster()
        self._client.send_presence()
        await self._initialized.wait()
        manager = await self._client.plugin["xep_0384"].get_session_manager()
        own, _ = await manager.get_own_device_information()
        self.device_id, self.identity_key = own.device_id, own.identity_key
        self._tell("ready", jid=self.jid, device=own.device_id, identity_key=own.identity_key.hex())
        self._started.set()

    def _envelope(self, content: str, to: str | None = None) -> bytes:
        """An XEP-0420 envelope, with default namespaces: some clients match on qualified names."""
        recipient = f"<to jid={quoteattr(to)}/>" if to else ""
        padding = base64.b64encode(secrets.token_bytes(secrets.randbelow(150))).decode()
        now = datetime.datetime.now(datetime.UTC)
        return (
            f"<envelope xmlns='{SCE}'><content>{content}</content>"
            f"<rpad>{padding}</rpad><time stamp='{now:%Y-%m-%dT%H:%M:%SZ}'/>{recipient}"
            f"<from jid={quoteattr(self.jid)}/></envelope>"
        ).encode()

    async def _receive(self, stanza) -> None:
        plugin = self._client.plugin["xep_0384"]
        if stanza["type"] == "error":
            self._tell("refused", sender=stanza["from"].bare, condition=stanza["error"]["condition"])
            return
        dialects = plugin.is_encrypted(stanza)
        sender = stanza["from"].bare
        room = sender if stanza["type"] == "groupchat" else None
        if room:
            real = self.muc.get_jid_property(JID(room), stanza["from"].resource, "jid")
            if not real or JID(real).bare == self.jid:
                return  # of the room itself, or our own
            sender = JID(real).bare
        if not dialects:
            if stanza["body"]:
                self._tell("plain", sender=sender, body=stanza["body"])
            return
        manager = await plugin.get_session_manager()
        dialect = next((dialect for dialect in self.dialects if dialect in dialects), LEGACY)
        element = stanza.xml.find(f"{{{dialect}}}encrypted")
        try:
            if dialect == OMEMO2:
                message = twomemo.etree.parse_message(element, sender)
            else:
                message = await oldmemo.etree.parse_message(element, sender, self.jid, manager)
            async with self._one_at_a_time:
                plaintext, device, _ = await manager.decrypt(message)
            body, stamp, opt_out = self._open(dialect, plaintext, sender, room)
        except (omemo.OMEMOException, ValueError, ET.ParseError) as error:
            self._tell("undecryptable", sender=sender, dialect=dialect, error=repr(error), cause=repr(error.__cause__))
            return
        if plaintext is None:
            self._tell("empty", sender=sender, dialect=dialect, device=device.device_id)
            return
        about = {"dialect": dialect, "device": device.device_id, "body": body, "stamp": stamp, "room": room}
        self._tell("message", sender=sender, **about)
        if opt_out is not None:
            self._tell("opt-out", sender=sender, device=device.device_id, reason=opt_out)
        if self.echo and body is not None and not body.startswith(ECHO):
            await self.send(sender, ECHO + body, dialect)

    @staticmethod
    def _open(
        dialect: str, plaintext: bytes | None, sender: str, room: str | None
    ) -> tuple[str | None, str | None, str | None]:
        """Body, time and opt-out of what was decrypted. ValueError when the envelope names another sender or room."""
        if plaintext is None or dialect == LEGACY:
            return plaintext and plaintext.decode(), None, None
        envelope = ET.fromstring(plaintext)
        origin, time = envelope.find(f"{{{SCE}}}from"), envelope.find(f"{{{SCE}}}time")
        if origin is None or JID(origin.get("jid")).bare != sender:
            raise ValueError("the envelope is not from the sender of the stanza")
        recipient = envelope.find(f"{{{SCE}}}to")
        if room and (recipient is None or recipient.get("jid") != room):
            raise ValueError("the envelope is not for the room")
        opt_out = envelope.find(f"{{{SCE}}}content/{{{OMEMO2}}}opt-out")
        return (
            envelope.findtext(f"{{{SCE}}}content/{{jabber:client}}body"),
            None if time is None else time.get("stamp"),
            None if opt_out is None else opt_out.findtext(f"{{{OMEMO2}}}reason", ""),
        )


async def main() -> int:
    parser = argparse.ArgumentParser(description="An OMEMO client for tests")
    parser.add_argument("jid")
    parser.add_argument("password")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="direct TLS")
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--file", type=Path, help="keeps the device's state")
    parser.add_argument("--echo", action="store_true", help="answer until killed")
    parser.add_argument("--to", help="send there")
    parser.add_argument("--send", metavar="TEXT")
    parser.add_argument("--dialect", choices=["2", "legacy"], default="2")
    parser.add_argument("--expect", metavar="TEXT", help="wait for this answer")
    words = parser.parse_args()
    peer = Peer(
        words.jid,
        words.password,
        host=words.host,
        port=words.port,
        certificate=words.certificate,
        echo=words.echo,
        file=words.file,
        on_event=lambda event: print(json.dumps(event), flush=True),
    )
    try:
        await peer.start()
        if words.send is not None:
            await peer.send(words.to, words.send, OMEMO2 if words.dialect == "2" else LEGACY)
        if words.expect is not None:
            await peer.wait("message", body=words.expect)
        if words.echo:
            await asyncio.Event().wait()
    except (ConnectionError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        await peer.stop()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

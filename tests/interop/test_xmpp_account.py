"""`Account` on a real Prosody: login and its failures, messages with receipts, PEP, reconnection, catching up."""

import asyncio
import contextlib
import datetime
import itertools
import os
import socket
import ssl
import time
import xml.etree.ElementTree as ET

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from slixmpp import JID

from motemo.crypto.ed25519 import ed25519_public
from motemo.crypto.points import edwards_to_montgomery
from motemo.errors import LocalError, MotemoError, RemoteError, StateError
from motemo.omemo.elements import LEGACY, OMEMO2, Bundle, Encrypted
from motemo_host.stanzas import BUNDLES_NODE, DEVICES_NODE, Device, devices_to_xml, message_elements
from motemo_host.xmpp import Account, tls_context
from tests.covers import covers
from tests.peers.prosody import Prosody

PASSWORD = "a pässword"
STREAM = (
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='localhost' "
    "version='1.0'><stream:features>{}</stream:features>"
)
SASL = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</mechanisms>"
_numbers = itertools.count(1)


@pytest.fixture
async def account(prosody):
    """A function that makes an account on the server and an `Account` for it, which is closed after the test."""
    accounts = []

    def make(jid=None, *, port=None, **options):
        jid = jid or prosody.add_account(f"account{next(_numbers)}", PASSWORD)
        words = {"host": prosody.host, "ca": str(prosody.certificate), **options}
        port = port or (prosody.tls_port if words.get("tls") == "direct" else prosody.starttls_port)
        new = Account(jid, words.pop("password", PASSWORD), port=port, **words)
        accounts.append(new)
        return new

    yield make
    for one in accounts:
        await one.close()


async def refusal(coroutine):
    """The MotemoError that it ends with."""
    with pytest.raises(MotemoError) as caught:
        await coroutine
    return caught.value


async def until(condition, seconds=10):
    """Wait until `condition()` is true; return its value."""
    async with asyncio.timeout(seconds):
        while not (value := condition()):
            await asyncio.sleep(0.01)
        return value


def collect(account):
    """The list into which the account's messages go from now on."""
    messages = []
    account.on_message = messages.append
    return messages


def message_for(jid, payload=b"payload"):
    return Encrypted(OMEMO2, 7, [(jid, 5, False, b"data"), (jid, 6, True, b"kex")], payload)


def some_bundle(prekeys=100):
    keys = [(number, os.urandom(32)) for number in range(1, prekeys + 1)]
    return Bundle(os.urandom(32), 1, os.urandom(32), os.urandom(64), keys)


def overhear(account, monkeypatch):
    """The list into which goes what the account says from now on: (whether it has its resource, XML)."""
    client = account._client
    said, send = [], client.send_raw

    def send_and_keep(data):
        said.append((client.bound, data if isinstance(data, str) else data.decode()))
        send(data)

    monkeypatch.setattr(client, "send_raw", send_and_keep)
    return said


async def disturb(account, element, node, item):
    """Publish something as another client of the account would."""
    await account._client.plugin["xep_0060"].publish(account.jid, node, id=item, payload=element)


# --- login


@covers("C-02", "C-03")
@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_both_kinds_of_tls_are_checked_for_the_jids_domain(account, tls):
    one = account(tls=tls)
    states = []
    one.on_online = states.append
    await one.connect()
    assert one.online
    assert one._client.socket.version() in ("TLSv1.2", "TLSv1.3")
    await one.close()
    assert not one.online
    assert states == [True, False]


@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_a_certificate_of_unknown_authority_is_refused(account, tls):
    error = await refusal(account(tls=tls, ca=None).connect())
    assert (error.reason, type(error)) == ("refused", RemoteError)
    assert "certificate" in error.text and "--ca" in error.text


@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_a_server_of_another_domain_is_refused(account, tls):
    error = await refusal(account("someone@elsewhere.example", tls=tls).connect())
    assert error.reason == "refused"
    assert "elsewhere.example" in error.text


@contextlib.asynccontextmanager
async def server_with_certificate_for(name, folder, tls):
    """A TLS server whose certificate is for `name`; yields (port, the certificate's file, what it was told in TLS)."""
    file = folder / "other.crt"
    make_certificate(file, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, file.with_suffix(".key"))
    told = []

    async def serve(reader, writer):
        with contextlib.suppress(OSError):
            if tls == "starttls":
                await reader.readuntil(b"version='1.0'>")
                writer.write(STREAM.format("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>").encode())
                await reader.readuntil(b"/>")
                writer.write(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
                await writer.start_tls(context)
            told.append(await reader.read(4096))
            writer.write(STREAM.format(SASL.format("<mechanism>PLAIN</mechanism>")).encode())
            told.append(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context if tls == "direct" else None)
    try:
        yield server.sockets[0].getsockname()[1], str(file), told
    finally:
        server.close()


def make_certificate(path, domain):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, domain)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@covers("C-03")
@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_a_trusted_certificate_for_another_name_is_refused(account, tmp_path, tls):
    # Of the address that we connect to, even: what counts is the JID's domain.
    async with server_with_certificate_for("127.0.0.1", tmp_path, tls) as (port, file, told):
        error = await refusal(account("someone@mine.example", tls=tls, port=port, ca=file).connect(timeout=5))
    assert (error.reason, "certificate" in error.text, "mine.example" in error.text) == ("refused", True, True)
    assert b"".join(told) == b""


@covers("C-09")
async def test_a_server_that_offers_plain_only_gets_no_password(account, tmp_path):
    async with server_with_certificate_for("mine.example", tmp_path, "direct") as (port, file, told):
        error = await refusal(account("someone@mine.example", tls="direct", port=port, ca=file).connect(timeout=5))
    assert (error.reason, "SCRAM" in error.text) == ("refused", True)
    assert b"<stream:stream" in told[0] and b"<auth" not in b"".join(told)


async def test_a_wrong_password_is_told_in_words(account):
    error = await refusal(account(password="wrong").connect())
    assert error.reason == "refused"
    assert "password" in error.text
    assert "wrong" not in error.text


async def test_an_account_that_is_not_there_is_told_in_words(account):
    error = await refusal(account("nobody@localhost").connect())
    assert (error.reason, "password" in error.text) == ("refused", True)


async def test_a_server_that_is_not_there_is_told_in_words(account):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await refusal(account(port=taken.getsockname()[1]).connect())
    assert error.reason == "offline"
    assert "check host, port and network" in error.text


async def test_a_name_that_is_not_there_is_told_in_words(account):
    error = await refusal(account(host="nowhere.invalid").connect())
    assert (error.reason, "nowhere.invalid" in error.text) == ("offline", True)


async def test_the_wrong_port_for_the_kind_of_tls_is_told_in_words(account, prosody):
    error = await refusal(account(tls="direct", port=prosody.starttls_port).connect())
    assert "--tls starttls" in error.text
    error = await refusal(account(tls="starttls", port=prosody.tls_port).connect())
    assert "--tls direct" in error.text


@contextlib.asynccontextmanager
async def fake_server(answer):
    """A server that sends `answer` to whatever comes; yields its port and what was said to it."""
    said = []

    async def serve(reader, writer):
        while data := await reader.read(4096):
            said.append(data)
            writer.write(answer.encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], said
    finally:
        server.close()


@covers("C-09")
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-1", "ANONYMOUS", "EXTERNAL", "DIGEST-MD5"])
async def test_a_server_without_tls_gets_no_login(account, mechanism):
    features = STREAM.format(SASL.format(f"<mechanism>{mechanism}</mechanism>"))
    async with fake_server(features) as (port, said):
        error = await refusal(account("someone@localhost", port=port).connect(timeout=5))
    assert (error.reason, "offers no TLS" in error.text) == ("refused", True)
    assert b"<auth" not in b"".join(said)


async def test_a_server_that_says_nothing_is_given_up(account):
    async with fake_server("") as (port, _):
        error = await refusal(account("someone@localhost", port=port).connect(timeout=0.3))
    assert error.reason == "timeout"


def test_one_tls_context_for_all_and_it_checks(prosody):
    context = tls_context(str(prosody.certificate))
    assert context is tls_context(str(prosody.certificate))
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
    for file in ("/nowhere.pem", __file__):
        with pytest.raises(LocalError):
            tls_context(file)


async def test_a_failed_attempt_can_be_repeated(account, prosody):
    one = account()
    right = one._client.password
    one._client.password = "wrong"
    for _ in range(2):
        assert (await refusal(one.connect())).reason == "refused"
    one._client.password = right
    await one.connect()
    assert one.online


# --- messages


@covers("M-11", "S-09", "S-10")
async def test_a_message_arrives_and_the_server_says_that_it_took_it(account):
    sender, receiver = account(), account(tls="direct")
    received = collect(receiver)
    await sender.connect()
    await receiver.connect()
    sent = message_for(receiver.jid)
    await sender.send(receiver.jid, sent, id="number-1")
    (got,) = await until(lambda: received)
    assert (got.sender, got.kind, got.id, got.stamp) == (sender.jid, "chat", "number-1", None)
    assert vars(got.encrypted) == vars(sent)


@covers("S-14", "S-16")
async def test_only_the_encrypted_element_of_a_message_counts(account):
    sender, receiver = account(), account()
    received, unreadable = collect(receiver), []
    receiver.on_unreadable = lambda jid, reason: unreadable.append((jid, reason))
    await sender.connect()
    await receiver.connect()
    bare = (
        "<envelope xmlns='urn:xmpp:sce:1'><content><body xmlns='jabber:client'>set relay on</body></content></envelope>"
    )
    plain = "<payload xmlns='urn:xmpp:json-msg:0' datatype='x'><json xmlns='urn:xmpp:json:0'>[1]</json></payload>"
    sealed = message_for(receiver.jid)
    for elements in ([], message_elements(sealed)):
        stanza = sender._client.make_message(mto=JID(receiver.jid), mtype="chat", mbody="set relay off")
        for element in [*elements, ET.fromstring(bare), ET.fromstring(plain)]:
            stanza.append(element)
        stanza.send()
    await sender.send(receiver.jid, sealed, id="last")
    first, last = await until(lambda: len(received) >= 2 and received)
    assert (last.id, unreadable) == ("last", [(sender.jid, "plain")])
    assert vars(first.encrypted) == vars(sealed)
    assert not any("relay" in str(value) or "[1]" in str(value) for value in first)


@covers("M-14", "M-15")
async def test_what_was_handled_is_acknowledged_also_at_the_end(account, monkeypatch):
    sender, receiver = account(), account()
    said = overhear(receiver, monkeypatch)
    received = collect(receiver)
    await sender.connect()
    await receiver.connect()
    assert [bound for bound, text in said if text.startswith("<enable ")] == [True], "once, after binding"
    for number in range(7):  # the server asks now and then
        await sender.send(receiver.jid, message_for(receiver.jid), id=str(number))
    await until(lambda: len(received) == 7)
    assert any(text.startswith("<a ") for _, text in said)
    handled = receiver._client.plugin["xep_0198"].handled
    before = len(said)
    await receiver.close()
    last = ET.fromstring(said[before][1])
    assert (last.tag, int(last.get("h"))) == ("{urn:xmpp:sm:3}a", handled) and handled >= 7
    received.clear()
    await receiver.connect()
    await sender.send(receiver.jid, message_for(receiver.jid), id="new")
    assert [got.id for got in await until(lambda: received)] == ["new"]


async def test_many_messages_keep_their_order(account):
    sender, receiver = account(), account()
    received = collect(receiver)
    await sender.connect()
    await receiver.connect()
    message = message_for(receiver.jid)
    await asyncio.gather(*(sender.send(receiver.jid, message, id=str(number)) for number in range(200)))
    await until(lambda: len(received) == 200)
    assert [got.id for got in received] == [str(number) for number in range(200)]
    assert not sender._untaken


async def test_without_a_connection_nothing_is_sent(account):
    one = account()
    assert (await refusal(one.send("a@localhost", message_for("a@localhost")))).reason == "offline"
    with pytest.raises(StateError):
        _ = one.pep


async def test_the_receipt_works_without_stream_management(account):
    sender, receiver = account(), account()
    for order in (9000, 10100):
        sender._client.unregister_feature("sm", order)
    received = collect(receiver)
    await sender.connect()
    await receiver.connect()
    assert not sender._stream_management
    await sender.send(receiver.jid, message_for(receiver.jid))
    await until(lambda: received)


@covers("M-02")
async def test_what_cannot_be_parsed_is_told(account):
    sender, receiver = account(), account()
    received, unreadable = collect(receiver), []
    receiver.on_unreadable = lambda jid, reason: unreadable.append((jid, reason))
    await sender.connect()
    await receiver.connect()
    stanza = sender._client.make_message(mto=JID(receiver.jid), mtype="chat")
    stanza.append(ET.fromstring("<encrypted xmlns='urn:xmpp:omemo:2'><header sid='0'/></encrypted>"))
    stanza.send()
    assert await until(lambda: unreadable) == [(sender.jid, "format")]
    assert received == []


async def test_an_error_in_a_handler_is_not_sent_to_the_peer(account):
    sender, receiver = account(), account()

    def fail(_):
        raise ValueError("a bug of ours")

    receiver.on_message = fail
    answers = []
    sender._client.add_event_handler("message_error", answers.append)
    await sender.connect()
    await receiver.connect()
    await sender.send(receiver.jid, message_for(receiver.jid))
    received = collect(receiver)
    await sender.send(receiver.jid, message_for(receiver.jid))
    await until(lambda: received)
    assert answers == []


@covers("M-09")
async def test_a_carbon_that_a_stranger_made_up_is_not_looked_into(account):
    sender, receiver = account(), account()
    received = collect(receiver)
    await sender.connect()
    await receiver.connect()
    inner = "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='7'/></encrypted>"
    forged = sender._client.make_message(mto=JID(receiver.jid), mtype="chat")
    forged.append(
        ET.fromstring(
            "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
            f"<message xmlns='jabber:client' from='owner@localhost'>{inner}</message></forwarded></received>"
        )
    )
    forged.send()
    await sender.send(receiver.jid, message_for(receiver.jid), id="the real one")
    assert [got.id for got in await until(lambda: received)] == ["the real one"]


# --- PEP


@covers("P-06", "O-130", "O-131")
async def test_prosodys_pep_passes_the_check(account):
    one = account()
    await one.connect()
    await one.pep.check()


@covers("P-06")
async def test_a_server_without_pep_fails_the_check(account, monkeypatch):
    one = account()
    await one.connect()
    info = await one._client.plugin["xep_0030"].get_info(jid=JID(one.jid))
    info["disco_info"].del_feature("http://jabber.org/protocol/pubsub#publish-options")

    async def answer(**_):
        return info

    monkeypatch.setattr(one._client.plugin["xep_0030"], "get_info", answer)
    error = await refusal(one.pep.check())
    assert (error.reason, "publish-options" in error.text) == ("refused", True)
    info["disco_info"].del_identity("pubsub", "pep")
    assert "no PEP" in (await refusal(one.pep.check())).text


@covers("O-053", "O-054", "O-059", "O-063", "O-064", "O-066", "O-068", "O-132", "O-133", "P-01", "P-10")
async def test_what_is_published_can_be_fetched_by_a_stranger(account):
    owner, stranger = account(), account()
    await owner.connect()
    await stranger.connect()
    bundles = {7: some_bundle(), 8: some_bundle(25)}
    for device, bundle in bundles.items():
        await owner.pep.publish_bundle(device, bundle)
    await owner.pep.publish_devices(Device(7, "Thermometer", b"s" * 64))
    await owner.pep.publish_devices(Device(8))
    assert await stranger.pep.fetch_devices(owner.jid) == [Device(7, "Thermometer", b"s" * 64), Device(8)]
    for device, bundle in bundles.items():
        assert vars(await stranger.pep.fetch_bundle(owner.jid, device)) == vars(bundle)
    settings = await owner.pep._config(BUNDLES_NODE)
    assert settings["pubsub#access_model"] == "open"
    assert settings["pubsub#max_items"] == "max"
    assert (await owner.pep._config(DEVICES_NODE))["pubsub#max_items"] == "1"


@covers("P-09")
async def test_what_is_not_there_is_not_found(account):
    owner, stranger = account(), account()
    await owner.connect()
    await stranger.connect()
    for jid in (owner.jid, stranger.jid, "nobody@localhost"):
        assert (await refusal(stranger.pep.fetch_devices(jid))).reason == "not-found"
    await owner.pep.publish_bundle(7, some_bundle())
    assert (await refusal(stranger.pep.fetch_bundle(owner.jid, 8))).reason == "not-found"


@covers("P-08")
async def test_a_bundle_is_asked_for_by_its_id_and_of_several_lists_the_current_one_counts(account):
    owner, stranger = account(), account()
    await owner.connect()
    await stranger.connect()
    words = {"FORM_TYPE": "http://jabber.org/protocol/pubsub#publish-options", "pubsub#access_model": "open"}
    options = owner.pep._form({**words, "pubsub#max_items": "3"})
    for item, device in (("one", 1), ("current", 2), ("other", 3)):
        await owner._client.plugin["xep_0060"].publish(
            owner.jid, DEVICES_NODE, id=item, payload=devices_to_xml([Device(device)]), options=options
        )
    published = some_bundle(25)
    await owner.pep.publish_bundle(7, published)

    queries = []

    def ask_for_all(stanza):
        """As if the server did not know `max_items`."""
        for items in stanza.xml.iter("{http://jabber.org/protocol/pubsub}items"):
            queries.append((items.attrib.pop("max_items", None), [item.get("id") for item in items]))
        return stanza

    assert len(await stranger.pep.fetch_devices(owner.jid)) == 1
    stranger._client.add_filter("out", ask_for_all)
    assert await stranger.pep.fetch_devices(owner.jid) == [Device(2)]
    assert vars(await stranger.pep.fetch_bundle(owner.jid, 7)) == vars(published)
    assert queries == [("1", []), (None, ["7"])]


@covers("O-067", "P-07")
@pytest.mark.parametrize("access, most", [("presence", "1"), ("whitelist", "1"), ("open", "2")])
async def test_a_node_with_other_settings_is_configured(account, access, most):
    owner, stranger = account(), account()
    await owner.connect()
    await stranger.connect()
    options = owner.pep._form(
        {
            "FORM_TYPE": "http://jabber.org/protocol/pubsub#publish-options",
            "pubsub#access_model": access,
            "pubsub#max_items": most,
        }
    )
    pubsub = owner._client.plugin["xep_0060"]
    for node in (DEVICES_NODE, BUNDLES_NODE):
        await pubsub.publish(owner.jid, node, id="current", payload=devices_to_xml([Device(3)]), options=options)
    published = {device: some_bundle(25) for device in (7, 8, 9)}
    for device, bundle in published.items():
        await owner.pep.publish_bundle(device, bundle)
    await owner.pep.publish_devices(Device(7))
    assert [device.id for device in await stranger.pep.fetch_devices(owner.jid)] == [3, 7]
    for device, bundle in published.items():
        assert vars(await stranger.pep.fetch_bundle(owner.jid, device)) == vars(bundle)


@covers("O-065", "O-066")
async def test_a_server_that_knows_no_max_items_gets_it_by_configuration(account, monkeypatch):
    from slixmpp.exceptions import IqError

    owner, stranger = account(), account()
    await owner.connect()
    await stranger.connect()
    pubsub = owner._client.plugin["xep_0060"]
    publish, configure = pubsub.publish, pubsub.set_node_config
    refused = []

    def refuse(what):
        iq = owner._client.make_iq_error("1", condition="not-acceptable")
        refused.append(what)
        raise IqError(iq)

    async def old_publish(*args, options=None, **words):
        if options is not None and options["values"].get("pubsub#max_items") == "max":
            refuse("publish")
        return await publish(*args, options=options, **words)

    async def old_configure(jid, node, form, **words):
        if form["values"]["pubsub#max_items"] in ("max", "1000"):
            refuse("configure")
        return await configure(jid, node, form, **words)

    monkeypatch.setattr(pubsub, "publish", old_publish)
    monkeypatch.setattr(pubsub, "set_node_config", old_configure)
    bundle = some_bundle(25)
    await owner.pep.publish_bundle(7, bundle)
    assert refused == ["publish", "configure", "configure"]
    assert vars(await stranger.pep.fetch_bundle(owner.jid, 7)) == vars(bundle)
    settings = await owner.pep._config(BUNDLES_NODE)
    assert (settings["pubsub#max_items"], settings["pubsub#access_model"]) == ("256", "open")


async def test_a_server_that_stores_something_else_is_told(account, monkeypatch):
    owner = account()
    await owner.connect()

    async def fetch(*_):
        return some_bundle()

    monkeypatch.setattr(owner.pep, "fetch_bundle", fetch)
    assert (await refusal(owner.pep.publish_bundle(7, some_bundle()))).reason == "refused"


@covers("O-052")
async def test_the_list_is_merged_with_what_others_put_there(account):
    phone = account()
    board = account(phone.jid)
    await phone.connect()
    await board.connect()
    await asyncio.gather(phone.pep.publish_devices(Device(1)), board.pep.publish_devices(Device(2)))
    await board.pep.publish_devices(Device(3))
    assert {device.id for device in await phone.pep.fetch_devices(phone.jid)} == {1, 2, 3}
    await board.pep.publish_devices(Device(3, "new label", b"s" * 64))
    assert len(await phone.pep.fetch_devices(phone.jid)) == 3


async def raw_list(account, dialect=OMEMO2):
    """The `device` elements of the account's own list, as XML; the server sorts their attributes as it likes."""
    return [ET.canonicalize(ET.tostring(child, "unicode")) for child in await account.pep._own_list(dialect)]


@covers("O-052", "O-129")
async def test_what_others_wrote_into_the_lists_stays_byte_for_byte(account, prosody):
    one = account()
    await one.connect()
    theirs = ET.fromstring(
        "<devices xmlns='urn:xmpp:omemo:2'><device id='0041' label='Dino &amp; &#9;a &lt;b' labelsig='bm90IGEgc2ln'/>"
        f"<device label='{'x' * 300}' id='5' labelsig='{'A' * 86}=='><note xmlns='urn:x'>kept</note></device>"
        "<device id='6' label='unsigned'/></devices>"
    )
    await one.pep._publish(DEVICES_NODE, "current", theirs, ("1",))
    before = await raw_list(one)
    assert len(before) == 3
    bundle = some_bundle()
    bundle.identity_key, bundle.legacy_signature = ed25519_public(os.urandom(32)), b"s" * 64
    for device in (41, 7):
        await one.pep.publish_bundle(device, bundle)
    for label in (None, "Thermometer", "Thermometer at the door"):
        await one.pep.publish_devices(Device(7, label, label and b"s" * 64))
    await one.pep.publish_devices(Device(7), LEGACY)
    await one.pep.publish_devices(Device(8), LEGACY)
    assert (await raw_list(one))[:3] == before and len(await raw_list(one)) == 4
    for _ in range(2):  # what is gone is no error
        await one.pep.remove_device(7)
        assert await raw_list(one) == before
        assert await one.pep.fetch_devices(one.jid, LEGACY) == [Device(8)]
        for dialect in (OMEMO2, LEGACY):
            assert (await refusal(one.pep.fetch_bundle(one.jid, 7, dialect))).reason == "not-found"
            assert (await one.pep.fetch_bundle(one.jid, 41, dialect)).prekeys == bundle.prekeys


@covers("O-129")
async def test_a_device_that_was_retired_is_not_announced_again(account, monkeypatch):
    monkeypatch.setattr("motemo_host.xmpp._ANNOUNCE_PAUSE", 0.3)
    one = account()
    changes = []
    one.on_devices = lambda jid, devices, dialect: changes.append([device.id for device in devices])
    await one.connect()
    await one.announce(Device(7))
    await until(lambda: changes)
    await one._pep._publish(DEVICES_NODE, "current", devices_to_xml([]), ("1",))
    await until(lambda: len(changes) == 3)  # gone, and announced again
    await one.retire(7)
    await asyncio.sleep(0.5)
    assert await one.pep.fetch_devices(one.jid) == [] and changes[-1] == []


@covers("M-02")
async def test_what_is_not_omemo_and_says_something_is_told(account):
    sender, receiver = account(), account()
    told = []
    receiver.on_unreadable = lambda jid, reason: told.append((jid, reason))
    await sender.connect()
    await receiver.connect()
    pgp = "<encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:openpgp:0'/>"
    typing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
    for kind, element in (("chat", typing), ("chat", pgp), ("headline", "<body xmlns='jabber:client'>news</body>")):
        stanza = sender._client.make_message(mto=JID(receiver.jid), mtype=kind)
        stanza.append(ET.fromstring(element))
        stanza.send()
    sender._client.send_message(receiver.jid, "hello")
    await until(lambda: len(told) >= 2)
    assert told == [(sender.jid, "plain")] * 2


@covers("O-116")
async def test_an_id_of_another_device_is_taken_and_the_own_one_is_not(account):
    one = account()
    await one.connect()
    bundle = some_bundle()
    assert not await one.pep.device_taken(7, bundle.identity_key)
    await one.pep.publish_devices(Device(7))
    await one.pep.publish_bundle(7, bundle)
    assert not await one.pep.device_taken(7, bundle.identity_key)
    assert await one.pep.device_taken(7, os.urandom(32))
    assert not await one.pep.device_taken(8, os.urandom(32))


@covers("O-116", "O-068")
async def test_an_id_of_a_device_that_is_only_on_the_legacy_list_is_taken_too(account):
    one = account()
    await one.connect()
    identity_key = ed25519_public(os.urandom(32))
    bundle = some_bundle()
    bundle.identity_key, bundle.dialect = edwards_to_montgomery(identity_key), LEGACY
    await one.pep.publish_devices(Device(7), LEGACY)
    await one.pep.publish_bundle(7, bundle)
    other = account()
    await other.connect()
    assert vars(await other.pep.fetch_bundle(one.jid, 7, LEGACY)) == vars(bundle), "a node of its own, open to all"
    assert not await one.pep.device_taken(7, identity_key)
    assert await one.pep.device_taken(7, ed25519_public(os.urandom(32)))


@covers("O-051", "O-052", "P-03", "P-04", "P-05")
async def test_a_contact_hears_of_changes_and_gets_the_list_when_it_comes(account, prosody):
    board = account()
    owner = account(owners=[board.jid])
    board.owners.add(owner.jid)
    lists = []
    owner.on_devices = lambda jid, devices, dialect: lists.append((jid, [device.id for device in devices]))
    await owner.connect()
    await board.connect()
    await board.pep.publish_devices(Device(7))
    await until(lambda: (board.jid, [7]) in lists)
    await board.pep.publish_devices(Device(8))
    await until(lambda: (board.jid, [7, 8]) in lists)
    lists.clear()
    await owner.close()
    await owner.connect()
    await until(lambda: (board.jid, [7, 8]) in lists)


async def test_a_stranger_gets_no_subscription(account):
    board, stranger = account(), account()
    await board.connect()
    await stranger.connect()
    answers = []
    stranger._client.add_event_handler("presence_subscribed", answers.append)
    stranger._client.send_presence(pto=board.jid, ptype="subscribe")
    await stranger.pep.check()  # the server is through with what came before
    await board.pep.check()
    await asyncio.sleep(0.1)
    assert answers == []


@covers("O-060", "O-061")
@pytest.mark.parametrize("removal", ["publish", "delete"])
async def test_an_id_that_was_removed_is_announced_again(account, removal):
    board = account()
    other = account(board.jid)
    await board.connect()
    await other.connect()
    await board.announce(Device(7, "label", b"s" * 64))
    if removal == "publish":
        await disturb(other, devices_to_xml([Device(1)]), DEVICES_NODE, "current")
    else:
        await other._client.plugin["xep_0060"].delete_node(other.jid, DEVICES_NODE)

    async def listed():
        try:
            return await other.pep.fetch_devices(board.jid)
        except RemoteError:
            return []

    async with asyncio.timeout(10):
        while Device(7, "label", b"s" * 64) not in (devices := await listed()):
            await asyncio.sleep(0.02)
    assert (Device(1) in devices) == (removal == "publish")


async def test_a_list_of_rubbish_is_ignored(account):
    board = account()
    other = account(board.jid)
    lists = []
    board.on_devices = lambda jid, devices, dialect: lists.append(devices)
    await board.connect()
    await other.connect()
    rubbish = ET.fromstring("<devices xmlns='urn:xmpp:omemo:2'><device id='-1'/></devices>")
    await disturb(other, rubbish, DEVICES_NODE, "current")
    await disturb(other, devices_to_xml([Device(1)]), DEVICES_NODE, "current")
    await until(lambda: lists)
    assert lists == [[Device(1)]]


# --- loss and return


def cut(account):
    """Break the connection as a network does: no goodbye, neither side is told."""
    account._client.transport.abort()


async def test_a_session_that_was_cut_before_its_presence_was_out_hears_messages(account, monkeypatch):
    sender, receiver = account(), account()
    received = collect(receiver)
    await sender.connect()
    get_roster = receiver._client.get_roster

    def cut_first(**words):
        monkeypatch.undo()
        cut(receiver)
        return get_roster(**words)

    monkeypatch.setattr(receiver._client, "get_roster", cut_first)
    assert (await refusal(receiver.connect())).reason == "offline"
    await receiver.connect()
    await sender.send(receiver.jid, message_for(receiver.jid))
    await until(lambda: received)


@covers("M-16", "M-17")
async def test_a_lost_connection_is_resumed_and_nothing_is_lost(account, monkeypatch):
    sender, receiver = account(), account()
    received = collect(receiver)
    await sender.connect()
    await receiver.connect()
    states = []
    sender.on_online = states.append
    cut(receiver)
    sends = [
        asyncio.ensure_future(sender.send(receiver.jid, message_for(receiver.jid), id=str(number)))
        for number in range(5)
    ]
    await asyncio.sleep(0)
    cut(sender)
    await sender.wait_offline()
    said = overhear(sender, monkeypatch)
    await sender.connect()
    await asyncio.gather(*sends)
    assert any(text.startswith("<resume ") for _, text in said)
    assert not [text for _, text in said if text.startswith(("<presence", "<iq"))], "no presence, roster or disco"
    await receiver.wait_offline()
    resource = receiver._client.boundjid.full
    await receiver.connect()
    assert receiver._client.boundjid.full == resource
    await until(lambda: len(received) >= 5)
    assert [got.id for got in received] == [str(number) for number in range(5)]
    assert states == [False, True]


async def test_a_restarted_server_is_found_again_and_open_sends_fail():
    with Prosody() as server:
        jid = server.add_account("someone", PASSWORD)
        one = Account(jid, PASSWORD, host=server.host, port=server.starttls_port, ca=str(server.certificate))
        states = []
        one.on_online = states.append
        staying = asyncio.ensure_future(one.stay_online())
        await until(lambda: one.online)
        server.kill()
        sends = asyncio.ensure_future(refusal(one.send(jid, message_for(jid))))
        await until(lambda: not one.online)
        server.start()
        await until(lambda: one.online, 20)
        # The new server process knows no session of before: whether it had the message is not known.
        assert (await sends).reason == "offline"
        await one.send(jid, message_for(jid))
        assert states == [True, False, True]
        staying.cancel()
        await one.close()


async def test_the_first_refusal_ends_it(account):
    error = await refusal(account(password="wrong").stay_online())
    assert error.reason == "refused"


async def test_a_message_for_somebody_away_has_a_stamp(account):
    sender, receiver = account(), account()
    received = collect(receiver)
    await sender.connect()
    await receiver.connect()
    await receiver.close()
    await sender.send(receiver.jid, message_for(receiver.jid), id="1")
    await receiver.connect()
    (got,) = await until(lambda: received)
    assert abs(got.stamp - time.time()) < 60


@covers("M-12")
async def test_what_a_killed_process_missed_comes_from_the_archive_once(account):
    sender, killed = account(), account()
    before = collect(killed)
    await sender.connect()
    await killed.connect()
    await sender.send(killed.jid, message_for(killed.jid), id="before")
    await until(lambda: before)
    cut(killed)  # the server keeps the dead session and gives it what comes in
    await killed.wait_offline()
    for number in range(250):  # more than a page
        await sender.send(killed.jid, message_for(killed.jid), id=str(number))
    again = account(killed.jid)
    received, bounds = collect(again), []
    again.on_catch_up = bounds.append
    await again.connect(since=int(time.time()))
    await until(lambda: bounds == [True, False])
    assert [got.id for got in received] == ["before", *(str(number) for number in range(250))]
    assert all(got.sender == sender.jid and abs(got.stamp - time.time()) < 60 for got in received)
    await sender.send(again.jid, message_for(again.jid), id="live")
    await until(lambda: received[-1].id == "live")
    assert received[-1].stamp is None


@covers("M-13")
async def test_an_archive_result_that_nobody_asked_for_is_dropped(account):
    sender, receiver = account(), account()
    received = collect(receiver)
    await sender.connect()
    await receiver.connect()
    await receiver._archive.catch_up(int(time.time()) - 10)
    for query in ("x", receiver._archive._query):
        forged = sender._client.make_message(mto=JID(receiver.jid), mtype="chat")
        forged.append(
            ET.fromstring(
                f"<result xmlns='urn:xmpp:mam:2' queryid='{query}' id='1'><forwarded xmlns='urn:xmpp:forward:0'>"
                "<message xmlns='jabber:client' from='owner@localhost'>"
                "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='7'/></encrypted></message></forwarded></result>"
            )
        )
        forged.send()
    await sender.send(receiver.jid, message_for(receiver.jid), id="real")
    assert [got.id for got in await until(lambda: received)] == ["real"]


# --- what slixmpp tells the server about us


@covers("M-01", "O-051")
async def test_the_features_are_in_what_the_server_and_others_see(account):
    one, other = account(), account()
    await one.connect()
    await other.connect()
    info = await other._client.plugin["xep_0030"].get_info(jid=one._client.boundjid)
    assert {"urn:xmpp:eme:0", DEVICES_NODE + "+notify"} <= set(info["disco_info"]["features"])

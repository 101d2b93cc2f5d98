"""The collector's engine over a real Prosody: what it does with messages that were kept while it was away."""

import asyncio
import contextlib

from motemo.omemo import records, trust
from motemo_host.arrivals import Arrivals
from motemo_host.collector import Collector, open_identity
from motemo_host.readings import Readings
from motemo_host.xmpp import Account
from tests.bundles import make_bundle
from tests.covers import covers
from tests.system.test_gateway import until
from tests.unit.test_engine import Device


@contextlib.asynccontextmanager
async def running(engine, account, folder):
    """A collector that is ready, and what it has heard."""
    heard = []
    collector = Collector(engine, account, Readings(folder / "readings.db"), Arrivals(folder / "arrivals.db"))
    collector.on_heard = heard.append
    work = asyncio.create_task(collector.run())
    try:
        await collector.ready()
        yield collector, heard
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


@covers("O-124", "O-125", "O-148", "M-12")
async def test_two_boards_that_picked_the_same_prekey_while_the_collector_was_away_are_both_read(prosody, tmp_path):
    jid = prosody.add_account("racedcollector", "pw")
    devices = [Device(prosody.add_account(f"racingboard{number}", "pw"), peer=jid) for number in range(2)]

    def account(name, *owners):
        where = {"host": prosody.host, "port": prosody.starttls_port, "ca": str(prosody.certificate)}
        return Account(name, "pw", owners=owners, **where)

    engine = open_identity(tmp_path / "identity", jid)
    async with running(engine, account(jid, *(device.jid for device in devices)), tmp_path) as (collector, _):
        await until(lambda: collector._account.caught_up)
    offer = make_bundle(engine.keys)
    offer.prekeys = offer.prekeys[:1]
    for device in devices:
        trust.pin(device.store, jid, [engine.keys.fingerprint])
        device.engine.on_devices(jid, [engine.keys.device])
        device.engine.on_bundle(jid, engine.keys.device, offer)
        sender = account(device.jid, jid)
        await sender.connect()
        await sender.send(jid, device.seal("of " + device.jid))
        await sender.close()

    receivers = [account(device.jid, jid) for device in devices]
    pings = []
    for receiver in receivers:
        receiver.on_message = lambda received: pings.append(received.encrypted.payload)
        await receiver.connect()
    async with running(engine, account(jid, *(device.jid for device in devices)), tmp_path) as (_, heard):
        await until(lambda: len(heard) == 2)
        assert sorted(one.text for one in heard) == sorted("of " + device.jid for device in devices)
        await until(lambda: not engine.catching_up)
        assert not engine.store.keys(records.USED_PREKEY) and not engine.counters
        await until(lambda: pings == [None, None])
    for receiver in receivers:
        await receiver.close()

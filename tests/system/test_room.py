"""A room as large as a board's heap has to hold, and `motemo room`, on real parts."""

import asyncio

from motemo.omemo import trust
from motemo_host.arrivals import Arrivals
from motemo_host.collector import Collector, open_identity
from motemo_host.readings import Readings
from motemo_host.xmpp import Account
from tests.covers import covers
from tests.system.stage import COUNTING_MAIN, HEAP_KIB
from tests.system.stage import until as stage_until

IN_THE_ROOM = {"biga": 4, "bigb": 3, "bigc": 3}  # accounts with as many devices
OUTSIDE = {"bigd": 3, "bige": 3}


class Member:
    """One device of an owner, as `motemo listen` runs it."""

    def __init__(self, stage, user, number):
        self.jid = f"{user}@localhost"
        self.folder = stage.folder / f"{user}{number}"
        self.folder.mkdir()
        self.engine = open_identity(self.folder, self.jid)
        self.heard = []
        self._stage = stage
        self._work = None

    def start(self, room):
        server = self._stage.server
        where = {"host": server.host, "port": server.starttls_port, "ca": str(server.certificate)}
        account = Account(self.jid, "pw of " + self.jid.partition("@")[0], **where)
        rooms = [account.room(room, self.jid.partition("@")[0])] if room else []
        readings, arrivals = Readings(self.folder / "readings.db"), Arrivals(self.folder / "arrivals.db")
        self.collector = Collector(self.engine, account, readings, arrivals, rooms)
        self.collector.on_heard = self.heard.append
        self._work = asyncio.ensure_future(self.collector.run())

    async def ready(self):
        ready = asyncio.ensure_future(self.collector.ready())
        await asyncio.wait((ready, self._work), timeout=60, return_when=asyncio.FIRST_COMPLETED)
        if self._work.done():
            self._work.result()
        assert ready.done(), self.jid

    async def stop(self):
        if self._work:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)


async def until(condition, what, seconds=90):
    try:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(what()) from None


@covers("O-083", "O-112", "O-115")
async def test_ten_devices_in_a_room_and_sixteen_sessions_in_the_heap_of_a_small_board(stage, start_peer):
    assert HEAP_KIB == 128
    owner = await start_peer("bigowner")
    room = "big@conference.localhost"
    jid = stage.account("bigboard")
    users = {**IN_THE_ROOM, **OUTSIDE}
    await owner.make_room(room, jid, *[stage.account(user) for user in IN_THE_ROOM])
    for user in OUTSIDE:
        stage.account(user)
    members = [Member(stage, user, number) for user, count in users.items() for number in range(count)]
    assert len(members) == 16
    pins = []
    for user in users:
        own = [one.engine.keys.fingerprint.hex() for one in members if one.jid == f"{user}@localhost"]
        pins += ["--owner", f"{user}@localhost=" + ",".join(own)]
    board = stage.board("big", COUNTING_MAIN)
    words = ("--every", "3", "--room", room)
    report = await asyncio.to_thread(stage.provision, board, jid, *pins, *words)
    try:
        for one in members:  # one after the other: they write to the same device lists
            trust.pin(one.engine.store, jid, [bytes.fromhex(report["fingerprint"])])
            one.start(room if one.jid.partition("@")[0] in IN_THE_ROOM else None)
            await one.ready()
        gateway = await asyncio.to_thread(stage.gateway, board)

        def readings(one):
            return [heard for heard in one.heard if heard.readings and heard.trusted]

        def state():
            return [(one.jid, one.heard[-2:]) for one in members if len(readings(one)) < 3], gateway.log()

        await until(lambda: all(len(readings(one)) >= 3 for one in members), state)
        for one in members:
            expected = room if one.jid.partition("@")[0] in IN_THE_ROOM else None
            assert {heard.room for heard in readings(one)} == {expected}, one.jid
            assert not [heard for heard in one.heard if heard.problem]
        answer = await members[0].collector.send(jid, "status", 30)
        assert answer
        await asyncio.to_thread(gateway.stop)
        status = await asyncio.to_thread(stage.status, board)
        assert status["sessions"] == 16 and status["members"] == sorted(f"{user}@localhost" for user in IN_THE_ROOM)
        assert not {"memory", "too-large", "full"} & set(status["counters"]), status
    finally:
        await asyncio.gather(*(one.stop() for one in members))


@covers("O-110", "O-111")
async def test_the_room_of_a_board_that_runs_is_set_shown_and_left(stage, start_peer):
    peer = await start_peer("setowner")
    good, anonymous = "setgood@conference.localhost", "setanonymous@conference.localhost"
    jid, owner = stage.account("setboard"), stage.account("setreader")
    await peer.make_room(good, jid, owner)
    await peer.make_room(anonymous, jid, owner, whois="moderators")

    def work():
        board = stage.board("set", COUNTING_MAIN)
        port = str(board.port)
        words = ("--owner", f"{owner}={stage.identity(owner)}", "--every", "1")
        done = stage.motemo("provision", "--port", port, *stage.at(jid), *words, "--room", anonymous, "--json", code=1)
        assert done.document["error"]["reason"] == "refused" and "is anonymous" in done.sentence
        stage.provision(board, jid, *words)
        listener = stage.listen(owner, "--room", good)
        entered = stage_until(lambda: [one for one in listener.events if one["event"] == "room"])
        assert entered[0]["members"] == sorted([jid, owner, peer.jid])
        gateway = stage.gateway(board)
        assert "room" not in listener.event("reading")
        assert stage.motemo("room", "show", jid, "--json").document == {"board": jid, "room": "", "members": []}
        for room, word in ((anonymous, "is anonymous"), ("nowhere@conference.localhost", "there is no room")):
            assert word in stage.motemo("room", "set", jid, "--room", room, code=1).sentence
        assert stage.motemo("room", "set", jid, "--room", good, "--json").document["room"] == good
        listener.event("reading", room=good)
        assert stage.motemo("room", "show", port, "--json").document["members"] == [owner]
        stage.motemo("room", "leave", jid)
        while "room" in listener.event("reading"):
            pass
        listener.stop()
        done = stage.motemo("listen", *stage.at(owner), "--room", anonymous, "--json", code=1)
        assert "is anonymous" in done.sentence
        gateway.stop()
        # Over the port, without a gateway that could look at the room.
        assert stage.motemo("room", "set", port, "--room", good, "--json").document["room"] == good
        assert stage.status(board)["room"] == good

    await asyncio.to_thread(work)

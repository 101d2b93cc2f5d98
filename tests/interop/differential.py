"""A scenario of the differential test: one board of ours, one to three python-omemo devices, and a network between.

The network holds letters, one for each receiving device; an operation of a scenario is a method of `Scenario` that
sends, delivers, loses or doubles letters, or does something to one of the ends. Whenever a letter arrives, `causes`
says what may become of it; anything else is a failure. `finish` proves that all sessions still work.

What depends on the dialect stands in `Omemo2`.
"""

import os
import shutil
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import doubleratchet
import oldmemo
import omemo
import twomemo

from motemo.crypto.points import edwards_to_montgomery
from motemo.errors import MotemoError
from motemo.omemo import admission, bundle, dialects, envelope, envelope_reader, identity, ratchet, records, trust
from motemo.omemo.elements import LEGACY, OMEMO2
from motemo.omemo.engine import Engine
from motemo.omemo.keys import BUNDLE_DIRTY
from motemo.profile import Profile
from motemo.store.journal import NAME, Journal
from motemo_host import stanzas
from tests.bundles import make_bundle, note_published
from tests.peers import python_omemo
from tests.peers.python_omemo import Account, Directory

BOARD = "board@example.org"
ACCOUNTS = {letter: f"{letter}@example.org" for letter in "abc"}
WINDOW = 9  # ratchet keys of a session, the newest included, whose late letters the engine can read (O-024)
MOST_DELIVERIES = 2000  # that a scenario's end takes; more means that two devices answer each other for ever


class Omemo2:
    """`urn:xmpp:omemo:2`, spoken by twomemo."""

    name = "twomemo"
    number = OMEMO2
    form = dialects.OMEMO2
    backend = twomemo.Twomemo
    namespace = python_omemo.NS

    @staticmethod
    def wrap(text, sender):
        """What a peer encrypts."""
        return envelope.build(sender, text)

    @staticmethod
    def unwrap(plaintext):
        """The text that a peer has decrypted."""
        return envelope_reader.read(plaintext, BOARD).body

    @staticmethod
    def bundle(newest):
        """The form of the board's bundle that its peers read."""
        return newest


class Legacy:
    """`eu.siacs.conversations.axolotl`, spoken by oldmemo."""

    name = "oldmemo"
    number = LEGACY
    form = dialects.LEGACY
    backend = oldmemo.Oldmemo
    namespace = python_omemo.LEGACY
    bundle = staticmethod(stanzas.legacy_form)

    @staticmethod
    def wrap(text, _sender):
        return text.encode()

    @staticmethod
    def unwrap(plaintext):
        return plaintext.decode()


class Bundles(dict):
    """The directory's bundles; a reader gets one of the prekeys, as a gateway hands them out.

    scarce: it is always the first one, so that two readers get the same until the owner publishes anew.
    """

    def __init__(self, scarce):
        super().__init__()
        self._scarce = scarce
        self._reads = 0

    def __getitem__(self, place):
        found = ET.fromstring(super().__getitem__(place))
        (prekeys,) = (child for child in found if child.tag.endswith("}prekeys"))
        chosen = 0 if self._scarce else self._reads % len(prekeys)
        self._reads += 1
        prekeys[:] = [prekeys[chosen]]
        return ET.tostring(found)


class Letter:
    """One message on its way to one device.

    pair: the number of the peer that sends or gets it. text: None when it is empty. session: the ephemeral key of its
    session's key exchange. prekey: that of the key exchange that it carries, or None. opened: it was decrypted.
    late: a later one has arrived before. moves: who opens it sends in its session from then on. builds: it would make a
    new session at the board. fates: what became of its copies.
    """

    def __init__(self, pair, to_board, text, xml, session, data, kex, form):
        self.pair = pair
        self.to_board = to_board
        self.text = text
        self.xml = xml
        self.session = session
        self.prekey = None
        if kex:
            self.prekey, _, _, self.session, data = form.decode_exchange(data)
        self.n, self.pn, self.dh, _ = form.decode_header(form.unseal(data)[0])
        self.opened = False
        self.late = False
        self.moves = kex
        self.builds = False
        self.fates = []

    def __repr__(self):
        way = f"peer {self.pair} to board" if self.to_board else f"board to peer {self.pair}"
        kex = f", prekey {self.prekey}" if self.prekey else ""
        return f"<{way}: {self.text or 'empty'}, session {self.session[:2].hex()}{kex}, n {self.n}>"


class Board:
    """Our engine on a journal. `sessions` and `trust` are read from the store, so that looking changes nothing."""

    def __init__(self, dialect, directory, folder, profile):
        self.dialect = dialect
        self.directory = directory
        self.folder = folder
        self.profile = profile
        self.store = Journal(folder)
        identity.create(self.store, BOARD)
        self.engine = Engine(self.store, self.profile)
        bundle.fill(self.engine.keys, self.profile.prekeys)
        self.public = directory.of(dialect.namespace)
        self.publish()

    def start(self, peers):
        for jid in {peer.jid for peer in peers}:
            keys = [edwards_to_montgomery(peer.identity_key) for peer in peers if peer.jid == jid]
            trust.pin(self.store, jid, keys)
            self.engine.on_devices(jid, list(self.public.devices[jid]), self.dialect.number)
            if self.dialect is Legacy:
                self.engine.on_devices(jid, [])

    def publish(self):
        """Puts the public data into the directory."""
        own = self.engine.keys
        newest = make_bundle(own)
        self.public.bundles[BOARD, own.device] = ET.tostring(stanzas.bundle_to_xml(self.dialect.bundle(newest)))
        self.public.devices[BOARD] = {own.device: None}
        note_published(own, newest)

    def fetch(self, jids):
        """Gets what the engine needs to reach these accounts, or to answer."""
        for kind, jid, device, number in self.engine.needs(jids):
            assert (kind, number) == ("bundle", self.dialect.number)
            self.engine.on_bundle(jid, device, stanzas.bundle_from_xml(ET.fromstring(self.public.bundles[jid, device])))

    def session(self, peer, kind=records.SESSION):
        """The current session with a peer, or the former one."""
        record = self.store.get(kind, records.device_key(peer.jid, peer.device, self.dialect.number))
        return record and ratchet.restore(record[: ratchet.SIZE])

    def restart(self, torn_at=None):
        """What a power cut leaves; torn_at: the size of the journal's file when the commit that it hit began."""
        self.store.close()
        if torn_at is not None and self.size() > torn_at:
            os.truncate(self.folder + NAME, torn_at + 6)
        self.store = Journal(self.folder)
        self.engine = Engine(self.store, self.profile)

    def size(self):
        """Bytes of the journal's file."""
        return os.path.getsize(self.folder + NAME)


class Scenario:
    """accounts: for each peer its account, such as "aab". scarce: see `Bundles`. limits: of the board's profile."""

    def __init__(self, dialect, accounts, scarce=False, **limits):
        self.dialect = dialect
        self.accounts = accounts
        self.profile = Profile(prekeys=25, **limits)
        self.directory = Directory()
        self.directory.of(dialect.namespace).bundles = Bundles(scarce)
        self.peers = []
        self.flight = []
        self.letters = []
        self.spent = set()  # (receiving peer, or None for the board; prekey): those that were used
        self.overtaken = set()  # pairs in which a message has moved an end to its session that came after a later one
        self.gaps = Counter()  # what only a manual reset mends: such pairs, if they do not understand each other, and
        # sessions of which more messages in a row were lost than the board can skip
        self.vain = Counter()  # pair: key exchanges in a row that came to nothing at the board
        self.dropped = set()  # (pair, session): those of which the board may have dropped skipped keys
        self.turns = {}  # (pair, session): the peer's ratchet keys that the board has seen, in order
        self.left = set()  # (receiver, ratchet key, counter) of all that has left the board
        memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.folder = tempfile.mkdtemp(prefix="motemo-differential-", dir=memory)

    async def run(self, operations, senders=("board", "peers")):
        """Runs all of it; AssertionError when something is not as it must be.

        senders: who speaks at the end, until when the sessions have to work.
        """
        try:
            await self._start()
            for name, *arguments in operations:
                await getattr(self, name)(*arguments)
            await self._finish(senders)
            return self.tally()
        finally:
            for peer in self.peers:
                await peer.stop()
            shutil.rmtree(self.folder)

    async def _start(self):
        for account in self.accounts:
            self.peers.append(await Account.create(self.directory, ACCOUNTS[account], (self.dialect.namespace,)))
        self.board = Board(self.dialect, self.directory, self.folder, self.profile)
        self.board.start(self.peers)
        for peer in self.peers:
            await peer.learn(BOARD)

    # Operations: the two ends. A peer is named by a number that counts round.

    async def board_sends(self):
        """A reading to all devices."""
        self._post(*self._seal())

    async def board_sends_in_vain(self, count):
        """Readings that are all lost."""
        for _ in range(count):
            await self.board_sends()
            for _ in self.peers:
                await self.lose(-1)

    async def board_works(self):
        """Does what the agent does when it is awake: publishes, fetches, answers."""
        if self.board.engine.keys.flags & BUNDLE_DIRTY:
            self.board.publish()
        self.board.fetch([])
        while True:
            ping = self.board.engine.next_ping()
            if ping is None:
                return
            self._post(None, ping[1])

    async def board_restarts(self, orderly):
        """Off and on again: after an orderly end, or by a power cut."""
        if orderly:
            self.board.engine.flush()
        self._restart_board()

    async def board_dies_sealing(self, torn):
        """The power fails before a message leaves, torn: before its commit is whole."""
        self._fetch()
        size = self.board.size()
        self._seal()
        self._restart_board(size if torn else None)

    async def board_resets(self, number, awake):
        """A manual replacement of the sessions with one account."""
        admission.replace_sessions(self.board.engine, self.peers[number % len(self.peers)].jid)
        if awake:
            await self.board_works()

    async def peer_sends(self, number):
        """A command to the board."""
        await self._write(number % len(self.peers))

    async def peer_sends_in_vain(self, number, count):
        """Commands that are all lost."""
        for _ in range(count):
            await self.peer_sends(number)
            await self.lose(-1)

    async def peer_restarts(self, number):
        """Its state comes from its storage."""
        pair = number % len(self.peers)
        peer = self.peers[pair]
        await peer.stop()
        self.peers[pair] = await Account.create(self.directory, peer.jid, peer.namespaces, peer.storage)

    async def peer_rekeys(self, number):
        """It replaces the session, if it has one, and says so by an empty message."""
        pair = number % len(self.peers)
        await self.peers[pair].replace_session(BOARD)
        await self._collect(pair)

    async def peer_forgets(self, number):
        """It loses its session without a word."""
        pair = number % len(self.peers)
        if await self._peer_session(pair):
            await self.dialect.backend(self.peers[pair].storage).purge_bare_jid(BOARD)

    async def talk(self, number, rounds):
        """Turns the ratchet with one peer: what is on its way waits."""
        waiting, self.flight = self.flight, []
        for _ in range(rounds):
            await self.board_sends()
            await self._settle()
            await self.peer_sends(number)
            await self._settle()
        self.flight = waiting

    # Operations: the network. A letter is named by a number that counts round; 0 is the one that waits longest.

    async def deliver(self, number, awake=True):
        """A letter arrives; awake: the board does at once what follows from it."""
        if self.flight:
            await self._arrive(self.flight.pop(number % len(self.flight)))
            if awake:
                await self.board_works()

    async def deliver_all(self):
        """All letters arrive in their order, with what they bring about."""
        await self._settle()

    async def lose(self, number):
        if self.flight:
            self.flight.pop(number % len(self.flight)).fates.append("lost")

    async def lose_all(self):
        while self.flight:
            await self.lose(0)

    async def double(self, number):
        """A letter will arrive a second time, after all the others."""
        if self.flight:
            self.flight.append(self.flight[number % len(self.flight)])

    async def replay(self, number):
        """A letter arrives again that has arrived before, 0 is the newest one."""
        arrived = [letter for letter in self.letters if letter.fates and letter.fates != ["lost"]]
        if arrived:
            await self._arrive(arrived[-1 - number % len(arrived)])

    async def delay(self, number):
        """A letter falls behind all the others."""
        if self.flight:
            self.flight.append(self.flight.pop(number % len(self.flight)))

    async def board_dies_opening(self, number, torn):
        """The power fails before a message is shown, torn: before its commit is whole. It will arrive again."""
        inbound = [letter for letter in self.flight if letter.to_board]
        if not inbound:
            return
        letter = inbound[number % len(inbound)]
        causes = self._causes_at_board(letter)
        size = self.board.size()
        outcome = self._open(letter)
        torn = torn and self.board.size() > size
        self._restart_board(size if torn else None)
        if not torn:
            self._judge(letter, outcome, causes)
            letter.fates.append("power cut")

    # Inside: letters

    def _restart_board(self, torn_at=None):
        self.board.restart(torn_at)
        self.vain.clear()

    def _fetch(self):
        jids = sorted({peer.jid for peer in self.peers})
        self.board.fetch(jids)
        return jids

    def _seal(self):
        jids = self._fetch()
        text = f"reading {len(self.letters)}"
        return text, self.board.engine.seal(jids, text)

    def _post(self, text, encrypted):
        """Puts what the board sends on its way, to each device."""
        xml = ET.tostring(stanzas.encrypted_to_xml(encrypted))
        for jid, device, kex, data in encrypted.keys:
            (pair,) = (pair for pair, peer in enumerate(self.peers) if (peer.jid, peer.device) == (jid, device))
            session = self.board.session(self.peers[pair]).ephemeral
            letter = Letter(pair, False, text, xml, session, data, kex, self.dialect.form)
            place = pair, letter.session, letter.dh, letter.n
            assert place not in self.left, f"{letter}: the message key was used before"
            self.left.add(place)
            self._add(letter)

    async def _write(self, pair):
        text = f"command {len(self.letters)}"
        peer = self.peers[pair]
        await self._take(pair, text, await peer.encrypt(BOARD, self.dialect.wrap(text, peer.jid)))

    async def _collect(self, pair):
        """Puts the empty messages that a peer has sent by itself on their way."""
        outgoing = self.peers[pair].outgoing
        while outgoing:
            await self._take(pair, None, outgoing.pop(0))

    async def _take(self, pair, text, xml):
        own = self.board.engine.keys
        session = (await self._peer_session(pair)).key_exchange.header.ephemeral_key
        for jid, device, kex, data in stanzas.encrypted_from_xml(ET.fromstring(xml)).keys:
            if device == own.device and jid in (BOARD, ""):
                self._add(Letter(pair, True, text, xml, session, data, kex, self.dialect.form))

    def _add(self, letter):
        self.letters.append(letter)
        self.flight.append(letter)

    async def _settle(self):
        for _ in range(MOST_DELIVERIES):
            if not self.flight:
                return
            await self.deliver(0)
        raise AssertionError("the devices answer each other for ever")

    async def _arrive(self, letter):
        if letter.to_board:
            causes = self._causes_at_board(letter)
            self._judge(letter, self._open(letter), causes)
        else:
            causes = self._causes_at_peer(letter, await self._peer_session(letter.pair))
            self._judge(letter, await self._read(letter), causes)
            await self._collect(letter.pair)

    def _open(self, letter):
        """The board decrypts it: "opened", or the cause that the engine has counted."""
        engine = self.board.engine
        peer = self.peers[letter.pair]
        counted = dict(engine.counters)
        before = self.board.session(peer)
        try:
            opened = engine.open(peer.jid, stanzas.encrypted_from_xml(ET.fromstring(letter.xml)))
        except MotemoError as error:
            counted[error.reason] = counted.get(error.reason, 0) + 1
            outcome = error.reason
        else:
            assert (opened.jid, opened.device, opened.trusted) == (peer.jid, peer.device, True)
            assert (opened.envelope and opened.envelope.body) == letter.text
            outcome = "opened"
            letter.moves = before is None or before.ephemeral != self.board.session(peer).ephemeral
        assert engine.counters == counted, f"{letter}: {outcome}, counted {engine.counters}"
        return outcome

    async def _read(self, letter):
        """The peer decrypts it: "opened", or the cause in the engine's words."""
        try:
            plaintext = await self.peers[letter.pair].decrypt(BOARD, letter.xml)
        except omemo.NoSession:
            return "no-session"
        except omemo.KeyExchangeFailed:
            return "no-prekey"
        except omemo.DecryptionFailed as error:
            return "duplicate" if isinstance(error.__cause__, doubleratchet.DuplicateMessageException) else "bad-tag"
        assert (plaintext and self.dialect.unwrap(plaintext)) == letter.text
        return "opened"

    def _causes_at_peer(self, letter, session):
        """What may become of a letter at a peer that has this session, python-omemo knows no other."""
        if session and self._ephemeral(session) == letter.session:
            # The other one is what it says when the ratchet has turned since.
            return {"duplicate", "bad-tag"} if letter.opened else {"opened"}
        if letter.prekey is None:
            return {"bad-tag"} if session else {"no-session"}
        return {"no-prekey"} if self._prekey(letter) in self.spent else {"opened"}

    def _causes_at_board(self, letter):
        """What may become of a letter at the board, which has a current session and maybe a former one."""
        peer = self.peers[letter.pair]
        letter.builds = False
        current, former = self.board.session(peer), self.board.session(peer, records.FORMER)
        if letter.session in [session.ephemeral for session in (current, former) if session]:
            causes = {"duplicate" if letter.opened else "opened"}
        elif letter.prekey is None:
            causes = {"bad-tag"} if current else {"no-session"}
        else:
            letter.builds = True
            if self.vain[letter.pair] >= 8 and (self.vain[letter.pair] + 1) % 8:
                return {"rate-limit"}
            causes = {"no-prekey"} if self._prekey(letter) in self.spent else {"opened"}
        return causes | self._causes_of_limits(letter)

    def _causes_of_limits(self, letter):
        """Why the board may refuse a letter of a session that is good."""
        causes = set()
        place = letter.pair, letter.session
        missing = [one for one in self.letters if one.to_board and one.session == letter.session and not one.opened]
        if len(missing) > self.profile.skipped:
            self.dropped.add(place)
        if place in self.dropped:
            causes.add("key-gone")
        if len(missing) > self.profile.max_skip or letter.n + letter.pn > self.profile.max_skip:
            causes.add("skip-limit")
        if letter.dh in self.turns.get(place, [])[:-WINDOW]:
            causes.add("bad-tag")
        return causes

    @staticmethod
    def _prekey(letter):
        return None if letter.to_board else letter.pair, letter.prekey

    def _judge(self, letter, outcome, causes):
        letter.late = letter.late or self._is_overtaken(letter)
        assert outcome in causes, f"{letter}: {outcome}, not {' or '.join(sorted(causes))}"
        letter.fates.append(outcome)
        if letter.to_board:
            self.vain[letter.pair] += letter.builds
        if outcome == "opened":
            if letter.to_board:
                self.vain[letter.pair] = 0
            letter.opened = True
            if letter.prekey:
                self.spent.add(self._prekey(letter))
            if letter.late and letter.moves:
                self.overtaken.add(letter.pair)
            turns = self.turns.setdefault((letter.pair, letter.session), [])
            if letter.to_board and letter.dh not in turns:
                turns.append(letter.dh)

    def _is_overtaken(self, letter):
        later = self.letters[self.letters.index(letter) + 1 :]
        way = letter.pair, letter.to_board
        return any((one.pair, one.to_board) == way and set(one.fates) - {"lost"} for one in later)

    # Inside: sessions

    async def _peer_session(self, pair):
        backend = self.dialect.backend(self.peers[pair].storage)
        return await backend.load_session(BOARD, self.board.engine.keys.device)

    @staticmethod
    def _ephemeral(session):
        return session.ephemeral if isinstance(session, ratchet.Session) else session.key_exchange.header.ephemeral_key

    async def _are_settled(self, pair):
        """Whether both ends of a pair send in the same session."""
        ours, theirs = self.board.session(self.peers[pair]), await self._peer_session(pair)
        return ours is not None and ours.ephemeral == self._ephemeral(theirs)

    async def _finish(self, senders):
        await self._settle()
        await self._converse(senders)
        for pair in sorted(self.overtaken):
            if not await self._are_settled(pair):
                # What came late has moved an end, and one of the two has no other session than the wrong one.
                self.gaps["overtaken"] += 1
                admission.replace_sessions(self.board.engine, self.peers[pair].jid)
        for pair, peer in enumerate(self.peers):
            last = [letter for letter in self.letters if letter.pair == pair and letter.to_board and letter.text][-1]
            if last.fates == ["skip-limit"] and last.dh not in self.turns.get((pair, last.session), []):
                # The board knows no message of that chain, so it cannot make the peer begin another one.
                self.gaps["too far"] += 1
                admission.replace_sessions(self.board.engine, peer.jid)
        await self.board_works()
        await self._settle()
        before = len(self.letters)
        await self._converse(["peers", "board"])
        answered = len(self.letters)
        await self._converse(["peers", "board"])
        for letter in self.letters[before:]:
            assert letter.fates == ["opened"], f"{letter}: {letter.fates}, after all was said"
        for letter in self.letters[answered:]:
            assert letter.prekey is None, f"{letter}: a key exchange, after all was answered"
        assert all(letter.fates for letter in self.letters)

    async def _converse(self, senders):
        """They send one after the other, and all arrives."""
        for sender in senders:
            if sender == "board":
                await self.board_sends()
            else:
                for pair in range(len(self.peers)):
                    await self.peer_sends(pair)
            await self._settle()

    def tally(self):
        """How often what became of a letter, and the known gaps: {name: count}."""
        return Counter(fate for letter in self.letters for fate in letter.fates) + self.gaps

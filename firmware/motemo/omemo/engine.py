"""The OMEMO engine of one device, sans-I/O: parsed values go in, values to send come out.

Rules:
- Every change of state of a call is in the store before the call returns what may leave the device.
- Nothing of a received message is kept before its tag is right.
- *No session* asks for a new one (O-121), as does a key exchange whose prekey is gone; *bad tag* never does (O-147).
- With a device there is one session, and the former one beside it for what is under way (`motemo.omemo.former`).
- Data goes to pinned devices on the account's device list only (O-084, O-140); empty messages may go to any (O-143).
- An identity that is not pinned never takes the place of a pinned one.

What is missing before a message can be sealed is told by `needs`; the caller fetches it and hands it to
`on_devices`, `on_bundle` or `on_no_bundle`. Pings that are due come from `next_ping`. Devices that do not answer are
dealt with as `motemo.omemo.upkeep` says.
"""

from motemo import overlay
from motemo.errors import MotemoError, RemoteError, StateError
from motemo.omemo import dialects, envelope, ratchet, records, trust
from motemo.omemo.elements import LEGACY, OMEMO2, Encrypted
from motemo.omemo.keys import Keys
from motemo.omemo.records import device_key, split_device_key

_EXCHANGE = "motemo.omemo.exchange"
_UPKEEP = "motemo.omemo.upkeep"
_STALE_SHARE = 8  # a stale device gets one reading of so many
_RENEW_GAP = 880  # unanswered messages after which the session is to be made anew
_MOST_GAP = 900  # ... and after which the device gets none; receivers end the session at 1000


class Opened:
    """A message that was decrypted.

    jid, device: the sender. trusted: whether the device is pinned (O-142). envelope: the parsed envelope, None for an
    empty message.
    """

    def __init__(self, jid, device, trusted, content):
        self.jid = jid
        self.device = device
        self.trusted = trusted
        self.envelope = content


class Engine:
    """The sessions, keys and trust of the device whose state is in `store` (the journal's interface).

    Raises StateError "not-provisioned" when the store has no identity. `counters` counts what went wrong by reason.
    `notices`, [(device key, text), …], is what owners should be told of their devices; who tells it empties it.
    catching_up: set it while messages come that were kept for us (O-124); `motemo.omemo.upkeep.end_catch_up` ends it.
    """

    def __init__(self, store, profile):
        self.store = store
        self.profile = profile
        self.keys = Keys(store)
        self.counters = {}
        self._cache = {}  # device key: Session; it may be ahead of the store by less than a lease
        self._order = []  # device keys in the cache, the one used last at the end
        self.left_out = 0  # devices for which the last `seal` had no room
        self.unusable = {}  # device key: reason why its bundle is of no use
        self.rebuild = []  # device keys to build a session with, in order to tell them (O-121)
        self._doubted = set()  # accounts whose device list is to be fetched again
        self.tries = {}  # key exchanges that have come to nothing (motemo.omemo.exchange), keys that were offered again
        self._wanted = []  # accounts whose lists are to be fetched, whoever is written to
        self.unlisted = []  # keys of devices that were on no list when they wrote (O-128)
        self._held = {}  # device key of a stale one: readings that it did not get since the last that it got
        self.notices = []
        self.catching_up = False
        self._pings = []
        for key in store.keys(records.SESSION):
            if ratchet.restore(store.get(records.SESSION, key)).is_set(ratchet.PING):
                self._pings.append(key)

    # Device lists and bundles

    def on_devices(self, jid, devices, dialect=OMEMO2):
        """Takes the newest device list of an account (O-052); an empty one when it has none.

        Returns the ids that were on neither list of the account.
        """
        if dialect == OMEMO2:
            self._doubted.discard(jid)
            if jid in self._wanted:
                self._wanted.remove(jid)
        return overlay.call("motemo.omemo.lists", "on_devices", self, jid, devices, dialect)

    def devices(self, jid):
        """The device ids on the newest lists of an account; None when they are not known."""
        keys = self._listed(jid)
        return None if keys is None else [split_device_key(key)[1] for key in keys]

    def look_again(self, jid):
        """Lets `needs` ask for the account's lists and bundles anew, since nobody there can be reached (O-053)."""
        self._doubted.add(jid)

    def want_devices(self, jid):
        """Lets `needs` ask for the account's lists, whoever is to be reached."""
        if jid not in self._wanted:
            self._wanted.append(jid)

    def needs(self, jids):
        """What has to be fetched before `seal` can reach these accounts.

        Either ("devices", jid), the lists of both dialects, the legacy one first; or ("bundle", jid, device, dialect).
        With no accounts: what is needed to answer devices without a session (O-121).
        """
        wanted = []
        for jid in jids:
            keys = self._listed(jid)
            if keys is None or jid in self._doubted:
                wanted.append(("devices", jid))
            else:
                for key in keys:
                    if key not in self.unusable and self._is_other(key) and not self._has_good_session(key):
                        wanted.append(("bundle",) + split_device_key(key))
        for jid in self._wanted:
            if ("devices", jid) not in wanted:
                wanted.append(("devices", jid))
        # Who writes from a catch-up without a session may have sent a key exchange by its end.
        for key in () if self.catching_up else self.rebuild:
            need = ("bundle",) + split_device_key(key)
            if need not in wanted:
                wanted.append(need)
        return wanted

    def on_bundle(self, jid, device, bundle):
        """Starts a session from a fetched bundle, when it is pinned or an answer is due (O-118, O-121).

        Raises RemoteError "bad-signature" or "no-prekey", StateError "full"; the device then counts as unusable until
        its list changes.
        """
        key = device_key(jid, device, bundle.dialect)
        answer = key in self.rebuild
        if answer:
            self.rebuild.remove(key)
        try:
            overlay.call("motemo.omemo.vetting", "check_signature", bundle)
            dialects.using(bundle.dialect, overlay.call, _EXCHANGE, "on_bundle", self, key, bundle, answer)
        except RemoteError as error:
            self.unusable[key] = error.reason
            self.count(error.reason)
            raise

    def on_no_bundle(self, jid, device, dialect=OMEMO2):
        """Notes that a listed device has no usable bundle (P-09)."""
        key = device_key(jid, device, dialect)
        self.unusable[key] = "not-found"
        if key in self.rebuild:
            self.rebuild.remove(key)

    # Messages

    def seal(self, jids, body, records_json=None, to=None, stamp=None, more=""):
        """An `Encrypted` for the pinned and listed devices of these accounts, each in its best dialect.

        body: the human line, all that legacy devices get. records_json: JSON text. to: the room, in a group chat.
        stamp: XEP-0082 time. more: further elements of the content, as XML. None when all are stale devices that get
        only some of the messages with records. Raises StateError "no-devices" when there is no session with any,
        "opt-out" when they are accounts that want plain text (O-103).
        """
        targets = []
        held = blocked = False
        for jid in jids:
            if trust.has_opted_out(self.store, jid):
                blocked = True
                continue
            for key in self._listed(jid) or ():
                session = self.peek(key)
                if not self._is_other(key) or not self._trusts(key, session):
                    continue
                if session.gap() >= _MOST_GAP:
                    if not session.is_set(ratchet.LEFT_OUT):
                        overlay.call(_UPKEEP, "leave_out", self, key)
                elif records_json and session.is_set(ratchet.STALE) and self._hold_back(key):
                    held = True
                else:
                    targets.append(key)
        if not targets:
            if held:
                return None
            raise StateError("opt-out" if blocked else "no-devices")
        self.left_out = max(0, len(targets) - self.profile.devices)
        if self.left_out:
            self.count("too-large")
        new, old = [], []
        for key in targets[: self.profile.devices]:
            (old if key[0] > 127 else new).append(key)
        legacy = None
        if old:
            # An empty text would be an empty payload, which is none.
            legacy = dialects.using(LEGACY, self._seal, dialects.LEGACY, old, body.encode() or b" ")
            if not new:
                return legacy
        content = envelope.build(self.keys.jid, body, records_json, to, stamp, extra=self.profile.padding, more=more)
        sealed = self._seal(dialects.OMEMO2, new, content)
        sealed.legacy = legacy
        return sealed

    def next_ping(self):
        """(bare JID, `Encrypted`) of the next empty message that is due, or None (O-087, O-120, O-121, O-127)."""
        for key in list(self._pings):
            session = self.session(key)
            sealed = None
            if session is not None and session.is_set(ratchet.PING):
                if self.catching_up and session.gap():
                    continue  # a heartbeat waits for the end; only the answer to a key exchange does not (O-125)
                sealed = dialects.using(split_device_key(key)[2], self._seal, session.dialect, [key], None)
            self._pings.remove(key)
            if sealed:
                return split_device_key(key)[0], sealed
        return None

    def open(self, sender, encrypted, stamp=None, room=None):
        """Decrypts a message from account `sender` (a bare JID that the server vouches for) into an `Opened`.

        stamp: when the stanza was sent, if known. room: the group chat that it came through (its bare JID), where the
        envelope has to name it (O-083); else an envelope that names a recipient names us (S-05). Raises RemoteError:
        "not-for-us" (O-091), "no-session", "bad-tag", "duplicate" (O-122), and others; each one is counted.
        """
        try:
            if encrypted.legacy:
                encrypted = overlay.call("motemo.omemo.forms", "form_for", encrypted, self.keys.jid, self.keys.device)
            return dialects.using(encrypted.dialect, self._open, sender, encrypted, stamp, room)
        except MotemoError as error:
            self.count(error.reason)
            raise

    def _open(self, sender, encrypted, stamp, room):
        session, plaintext, pinned = overlay.call("motemo.omemo.receiving", "receive", self, sender, encrypted)
        if encrypted.sid not in (self.devices(sender) or ()):
            overlay.call(_UPKEEP, "unlisted", self, sender, encrypted.sid)
        if encrypted.payload is None:
            return Opened(sender, encrypted.sid, pinned, None)
        content = session.dialect.decrypt_payload(plaintext, encrypted.payload, encrypted.iv)
        if len(content) > self.profile.body:
            raise RemoteError("too-large", "content")
        read = "read_legacy" if encrypted.dialect == LEGACY else "read"
        to = room or self.keys.jid
        content = overlay.call("motemo.omemo.envelope_reader", read, content, sender, to, bool(room), stamp)
        return Opened(sender, encrypted.sid, pinned, content)

    def flush(self):
        """Stores the exact state of every session, for an orderly end (design section 6)."""
        changes = []
        for key, session in self._cache.items():
            if session.is_leased():
                changes.append((records.SESSION, key, session.exact_state()))
        if changes:
            self.store.commit(changes)

    def count(self, reason):
        """Counts something that went wrong."""
        self.counters[reason] = self.counters.get(reason, 0) + 1

    # Inside

    def _listed(self, jid):
        """The keys of an account's devices, each in its best dialect; None when they are not known."""
        record = self.store.get(records.DEVICES, jid.encode())
        if record is None:
            return None
        keys = []
        for at in range(0, len(record), 4):
            keys.append(bytes(reversed(record[at : at + 4])) + jid.encode())
        return keys

    def _is_other(self, key):
        return split_device_key(key)[:2] != (self.keys.jid, self.keys.device)

    def peek(self, key):
        """The session, to look at only: it does not come into the cache."""
        session = self._cache.get(key)
        if session is None:
            record = self.store.get(records.SESSION, key)
            session = None if record is None else ratchet.restore(record)
        return session

    def fingerprint(self, key):
        session = self.peek(key)
        return None if session is None else session.fingerprint

    def is_trusted(self, key):
        return self._trusts(key, self.peek(key))

    def _trusts(self, key, session):
        return session is not None and trust.is_pinned(self.store, split_device_key(key)[0], session.fingerprint)

    def _has_good_session(self, key):
        session = self.peek(key)
        return self._trusts(key, session) and session.gap() < _RENEW_GAP

    def _hold_back(self, key):
        held = self._held.pop(key, 0) + 1
        if held == _STALE_SHARE:
            return False
        self._held[key] = held
        self.count("stale")
        return True

    def session(self, key):
        session = self._cache.get(key)
        if session is None:
            record = self.store.get(records.SESSION, key)
            if record is None:
                return None
            session = self._cache[key] = ratchet.restore(record)
        else:
            self._order.remove(key)
        self._order.append(key)
        return session

    def offer(self, key):
        """Makes an empty message due in a session, which is sent unless the power is cut before."""
        self.session(key).flags |= ratchet.PING
        if key not in self._pings:
            self._pings.append(key)

    def forget(self, key):
        if self._cache.pop(key, None) is not None:
            self._order.remove(key)

    def keep(self, key, session, changes):
        """Commits the changes of a call that ends with this state of a session."""
        changes.append((records.SESSION, key, session.stored_state()))
        self.forget(key)
        self.store.commit(changes)
        self._cache[key] = session
        self._order.append(key)
        if session.is_set(ratchet.PING) and key not in self._pings:
            self._pings.append(key)
        self._trim()

    def _trim(self):
        """Writes the exact state of sessions that leave the cache, so that no key is skipped."""
        while len(self._order) > self.profile.cached:
            key = self._order[0]
            session = self._cache[key]
            if session.is_leased():
                self.store.commit([(records.SESSION, key, session.exact_state())])
            self.forget(key)

    def _seal(self, dialect, targets, content):
        secret, payload, iv = (dialect.encrypt_payload(content) + (None, None))[:3]
        keys = []
        cached = self.profile.cached
        for at in range(0, len(targets), cached):
            # Sessions that leave the cache at once need no lease: they are stored as they are then.
            self._seal_keys(dialect, secret, targets[at : at + cached], len(targets) > cached, keys)
        return Encrypted(dialect.number, self.keys.device, keys, payload, iv)

    def _seal_keys(self, dialect, secret, targets, exact, keys):
        """Adds the keys for these devices, no more than the cache holds, whose states are stored then."""
        changes = []
        stale = []
        own = self.keys
        identity_key = own.fingerprint if dialect.number == LEGACY else own.identity_key
        for key in targets:
            session = self.session(key)
            due = session.is_set(ratchet.PING)
            if session.lease(1 if exact else self.profile.lease) or due:
                changes.append(key)
            keys.append(split_device_key(key)[:2] + session.encrypt(secret, identity_key))
            if session.unanswered >= self.profile.stale and not session.is_set(ratchet.STALE):
                session.flags |= ratchet.STALE
                changes.append(key)
                stale.append((key, "stale"))
        if changes:
            try:
                self.store.commit([(records.SESSION, key, self._cache[key].stored_state()) for key in changes])
            except MotemoError:
                # The leases were not stored: go on from what is in the store.
                for key in targets:
                    self.forget(key)
                raise
        self.notices += stale
        self._trim()

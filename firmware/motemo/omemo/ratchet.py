"""The Double Ratchet of XEP-0384, section "Double Ratchet": one session with one device.

Rules, names as in the Double Ratchet paper:
- Receiving is `motemo.omemo.receiving`: a message is tried in scratch space, nothing changes before its tag is right.
- The sending half of a DH ratchet step follows at once on the receiving half.
- The state that is stored stands up to a lease ahead in the sending chain, so that a power cut skips keys and never
  uses one twice. `stored_state` is what goes to flash, `exact_state` is for an orderly end.
"""

import struct

from motemo.crypto.cipher import cbc_encrypt
from motemo.crypto.curve import x25519, x25519_public
from motemo.crypto.kdf import hkdf_sha256, hmac_sha256
from motemo.crypto.random import random_bytes
from motemo.errors import LocalError, StateError
from motemo.omemo import dialects

INITIATOR = 1  # we sent the key exchange
CONFIRMED = 2  # the other side has shown that the session stands (O-034)
PING = 4  # an empty message is due
HEARTBEAT = 8  # the ping at counter 53 was asked for in this receiving chain (O-127)
RECEIVING = 16  # there is a receiving chain
DROPPED = 32  # skipped keys were dropped, so an old counter need not be a duplicate (O-023)
ASIDE = 64  # the last message of the device came in the former session
STALE = 256  # the device has answered nothing for long, and that was told (motemo.omemo.upkeep)
LEFT_OUT = 512  # it gets nothing any more until it answers, and that was told

_VERSION = 1
# version, dialect, flags; nine keys; eight counters; prefixes of the former ratchet keys, newest first
_LAYOUT = "<BBH32s32s32s32s32s32s32s32s32sIIIIIIII64s"
SIZE = struct.calcsize(_LAYOUT)
_PREFIX = 8
_NO_KEY = bytes(32)


class Session:
    """One Double Ratchet session.

    their_identity: as it travels in the dialect. fingerprint: the same in Curve25519 form. ephemeral: the X3DH
    ephemeral public key (O-020, O-035). rk, dhs, dhs_public, dhr, cks, ckr, ns, nr, pn: as in the paper. unanswered:
    messages sent since the last one that came. received: messages that came. age: order of creation.
    """

    def __init__(self, dialect, their_identity, fingerprint, ephemeral):
        self.dialect = dialect
        self.their_identity = their_identity
        self.fingerprint = fingerprint
        self.ephemeral = ephemeral
        self.flags = 0
        self.rk = self.dhs = self.dhs_public = self.dhr = self.cks = self.ckr = _NO_KEY
        self.ns = self.nr = self.pn = 0
        self.prekey_id = self.signed_prekey_id = 0
        self.unanswered = self.received = self.age = 0
        self.past = bytes(64)
        self._lease_ns = 0
        self._lease_cks = _NO_KEY

    def start_sending(self, secret, their_ratchet_key):
        """Begins the side that sent the key exchange: `secret` of X3DH, the signed prekey as their ratchet key."""
        self.rk = secret
        self.dhr = their_ratchet_key
        self.flags = INITIATOR
        self._sending_step()

    def is_answered(self) -> bool:
        """Whether the other side is known to have this session (O-034)."""
        return self.flags & (INITIATOR | CONFIRMED) != INITIATOR

    def is_of(self, exchange) -> bool:
        """Whether the fields of a key exchange (see `decode_exchange`) are those of this session (O-035)."""
        return self.ephemeral == exchange[3] and self.their_identity == exchange[2]

    def is_like(self, other) -> bool:
        """Whether both were started with the same prekey of the same device."""
        return self.prekey_id == other.prekey_id and self.their_identity == other.their_identity

    def is_set(self, flag) -> bool:
        """Whether one of this module's flags is set."""
        return bool(self.flags & flag)

    def stored_state(self) -> bytes:
        """The record for the store: the sending chain at the end of its lease."""
        return struct.pack(
            _LAYOUT,
            _VERSION,
            self.dialect.number,
            self.flags,
            self.their_identity,
            self.fingerprint,
            self.ephemeral,
            self.rk,
            self.dhs,
            self.dhs_public,
            self.dhr,
            self._lease_cks,
            self.ckr,
            self._lease_ns,
            self.nr,
            self.pn,
            self.prekey_id,
            self.signed_prekey_id,
            self.unanswered,
            self.received,
            self.age,
            self.past,
        )

    def exact_state(self) -> bytes:
        """The record with the sending chain where it is; the next message needs a new lease."""
        self._lease_ns = self.ns
        self._lease_cks = self.cks
        return self.stored_state()

    def is_leased(self) -> bool:
        """Whether the stored sending chain stands ahead of this one."""
        return self._lease_ns != self.ns

    def gap(self) -> int:
        """The most messages in a row that the other side can have missed when it gets the next one.

        Its last ratchet key that we know shows that it had one message of our former chain, the first perhaps.
        """
        return self.pn + self.ns

    def lease(self, length) -> bool:
        """Makes room for a message; True when `stored_state` must be stored before it leaves."""
        if self.ns < self._lease_ns:
            return False
        chain = self.cks
        for _ in range(length):
            chain = hmac_sha256(chain, b"\x02")
        self._lease_ns = self.ns + length
        self._lease_cks = chain
        return True

    def encrypt(self, plaintext, identity_key):
        """(kex, data) for the device: a framed ratchet message, or a key exchange until the first answer (O-034).

        identity_key: our public key as it travels in the dialect. Raises LocalError when no lease was taken.
        """
        if self.ns >= self._lease_ns:
            raise LocalError("unknown", "no lease")
        dialect = self.dialect
        cipher_key, mac_key, iv = dialects.message_keys(dialect, hmac_sha256(self.cks, b"\x01"))
        message = dialect.encode_header(self.ns, self.pn, self.dhs_public, cbc_encrypt(cipher_key, iv, plaintext))
        data = dialect.seal(message, self.tag(mac_key, message, identity_key, True))
        self.cks = hmac_sha256(self.cks, b"\x02")
        self.ns += 1
        self.unanswered += 1
        self.flags &= ~PING
        if self.is_answered():
            return False, data
        return True, dialect.encode_exchange(self.prekey_id, self.signed_prekey_id, identity_key, self.ephemeral, data)

    def turn(self, rk, dh):
        """Takes the root key and the ratchet key of a receiving step, and makes the sending step that follows."""
        if self.flags & RECEIVING:
            self.past = (self.dhr[:_PREFIX] + self.past)[:64]
        self.rk = rk
        self.dhr = dh
        self.flags = self.flags & ~HEARTBEAT | RECEIVING
        self._sending_step()

    def is_past(self, dh) -> bool:
        """Whether that is one of the last eight ratchet keys before the present one."""
        for at in range(0, 64, _PREFIX):
            if self.past[at : at + _PREFIX] == dh[:_PREFIX]:
                return True
        return False

    def is_old(self) -> bool:
        """Whether the ratchet has turned more than eight times."""
        return self.past[-_PREFIX:] != bytes(_PREFIX)

    def is_current(self, dh) -> bool:
        """Whether messages with that ratchet key may still come."""
        return dh == self.dhr or self.is_past(dh)

    def _sending_step(self):
        self.pn = self.ns
        self.dhs = random_bytes(32)
        self.dhs_public = x25519_public(self.dhs)
        self.rk, self.cks = root_step(self.dialect, self.rk, self.dhs, self.dhr)
        self.ns = self._lease_ns = 0
        self._lease_cks = self.cks

    def tag(self, mac_key, message, identity_key, sending):
        """The MAC of a serialised message (O-033), cut to the dialect's length (O-026)."""
        data = self.dialect.associated_data(self.flags & INITIATOR, identity_key, self.their_identity, sending)
        return hmac_sha256(mac_key, data, message)[: self.dialect.tag_length]


def restore(record) -> Session:
    """The session of a stored record; raises StateError "corrupt"."""
    if len(record) != SIZE or record[0] != _VERSION:
        raise StateError("corrupt", "session record")
    fields = struct.unpack(_LAYOUT, record)
    session = Session(dialects.by_number(fields[1]), fields[3], fields[4], fields[5])
    session.flags = fields[2]
    session.rk, session.dhs, session.dhs_public, session.dhr, session.cks, session.ckr = fields[6:12]
    session.ns, session.nr, session.pn = fields[12:15]
    session.prekey_id, session.signed_prekey_id = fields[15:17]
    session.unanswered, session.received, session.age, session.past = fields[17:21]
    session._lease_ns = session.ns
    session._lease_cks = session.cks
    return session


def root_step(dialect, rk, private, public):
    """(root key, chain key) after one step of the root chain (O-028)."""
    material = hkdf_sha256(x25519(private, public), rk, dialect.root_info, 64)
    return material[:32], material[32:]

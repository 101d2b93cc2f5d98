"""The values that travel between engine, link and XMPP: OMEMO's elements without their XML.

Ids are integers, keys and ciphertexts raw bytes; base64 belongs to the XML writer.
"""

OMEMO2 = 2  # urn:xmpp:omemo:2
LEGACY = 1  # eu.siacs.conversations.axolotl
DIALECTS = (OMEMO2, LEGACY)  # the best first


class Encrypted:
    """An `<encrypted/>` element (XEP-0384, "Message structure").

    dialect: OMEMO2 or LEGACY. sid: the sending device's id. keys: a list of (jid, rid, kex, data), where
    jid is the recipient's bare JID ("" where a legacy message leaves it open), kex a bool and data the framed ratchet
    message or key exchange. payload: ciphertext or None (an empty message). iv: legacy only. legacy: of an OMEMO2
    message, the same in the other form, for devices that know no better; or None.
    """

    def __init__(self, dialect, sid, keys, payload=None, iv=None, legacy=None):
        self.dialect = dialect
        self.sid = sid
        self.keys = keys
        self.payload = payload
        self.iv = iv
        self.legacy = legacy


class Bundle:
    """A device's public keys (XEP-0384, "Bundles"): 32-byte keys, a 64-byte signature, prekeys as [(id, key)].

    identity_key and signature are as they travel in the dialect, without type byte: in OMEMO2 the Ed25519 form, sign
    bit as it came; in LEGACY the Curve25519 form, and the sign bit in the signature. legacy_signature: of an
    own OMEMO2 bundle, the signature of its LEGACY form, which has the same keys; else None.
    """

    def __init__(self, identity_key, signed_prekey_id, signed_prekey, signature, prekeys, dialect=OMEMO2):
        self.identity_key = identity_key
        self.signed_prekey_id = signed_prekey_id
        self.signed_prekey = signed_prekey
        self.signature = signature
        self.prekeys = prekeys
        self.dialect = dialect
        self.legacy_signature = None

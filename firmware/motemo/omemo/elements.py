"""The values that travel between engine, link and XMPP: OMEMO's elements without their XML.

Ids are integers, keys and ciphertexts raw bytes; base64 belongs to the XML writer.
"""

OMEMO2 = 2  # urn:xmpp:omemo:2
LEGACY = 1  # eu.siacs.conversations.axolotl

NAMESPACES = {OMEMO2: "urn:xmpp:omemo:2", LEGACY: "eu.siacs.conversations.axolotl"}


class Encrypted:
    """An `<encrypted/>` element (XEP-0384, "Message structure").

    dialect: OMEMO2 or LEGACY. sid: the sending device's id. keys: a list of (jid, rid, kex, data), where
    jid is the recipient's bare JID, kex a bool and data the framed ratchet message or key exchange.
    payload: ciphertext or None (an empty message). iv: legacy only.
    """

    def __init__(self, dialect, sid, keys, payload=None, iv=None):
        self.dialect = dialect
        self.sid = sid
        self.keys = keys
        self.payload = payload
        self.iv = iv


class Bundle:
    """A device's public keys (XEP-0384, "Bundles"): 32-byte keys, a 64-byte signature, prekeys as [(id, key)].

    identity_key is the Ed25519 form, sign bit as it came.
    """

    def __init__(self, identity_key, signed_prekey_id, signed_prekey, signature, prekeys):
        self.identity_key = identity_key
        self.signed_prekey_id = signed_prekey_id
        self.signed_prekey = signed_prekey
        self.signature = signature
        self.prekeys = prekeys

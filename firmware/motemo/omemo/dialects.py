"""The two OMEMO generations as data and small framing functions; X3DH and the ratchet exist once.

`OMEMO2` is `urn:xmpp:omemo:2` (XEP-0384 0.9.1), `LEGACY` is `eu.siacs.conversations.axolotl` (0.3), whose code
is in memory only inside `using`.
"""

from motemo import overlay
from motemo.crypto.cipher import cbc_decrypt, cbc_encrypt
from motemo.crypto.kdf import equal, hkdf_sha256, hmac_sha256
from motemo.crypto.random import random_bytes
from motemo.errors import RemoteError
from motemo.omemo import elements, wire

_ZEROS = bytes(32)
_LEGACY = "motemo.omemo.legacy"


class _Omemo2:
    """The constants of section "Double Ratchet" and the framing of section "Protobuf schema"."""

    number = elements.OMEMO2
    x3dh_info = b"OMEMO X3DH"
    root_info = b"OMEMO Root Chain"
    message_info = b"OMEMO Message Key Material"
    tag_length = 16

    def associated_data(self, initiator, ours, theirs, sending):
        """Both identity keys, the initiator's first for the whole life of the session (O-008)."""
        return ours + theirs if initiator else theirs + ours

    def encode_header(self, n, pn, dh, ciphertext):
        """The OMEMOMessage, serialised once; its bytes are authenticated (O-032)."""
        return wire.encode((1, n), (2, pn), (3, dh), (4, ciphertext))

    def decode_header(self, message):
        """(n, pn, dh, ciphertext) of a serialised OMEMOMessage."""
        fields = wire.decode(message, ((1, 0), (2, 0), (3, 32), (4, -1)))
        return fields[1], fields[2], fields[3], fields[4]

    def seal(self, message, tag):
        """An OMEMOAuthenticatedMessage."""
        return wire.encode((1, tag), (2, message))

    def unseal(self, data):
        """(message, tag) of an OMEMOAuthenticatedMessage, the message as the very bytes that came."""
        fields = wire.decode(data, ((1, 16), (2, -1)))
        return fields[2], fields[1]

    def __getattr__(self, name):
        """`encode_exchange` and `decode_exchange`, whose code is loaded for each call."""
        return lambda *arguments: overlay.call("motemo.omemo.omemo2_exchange", name, *arguments)

    def encrypt_payload(self, plaintext):
        """(key and tag for the ratchet: 48 bytes, ciphertext), section "Message Encryption" (O-040 to O-043).

        Without a plaintext: what the ratchet carries in an empty message, alone (O-087).
        """
        if plaintext is None:
            return (_ZEROS,)
        key = random_bytes(32)
        cipher_key, mac_key, iv = _split(hkdf_sha256(key, _ZEROS, b"OMEMO Payload", 80))
        ciphertext = cbc_encrypt(cipher_key, iv, plaintext)
        return key + hmac_sha256(mac_key, ciphertext)[:16], ciphertext

    def decrypt_payload(self, key_and_tag, ciphertext, _iv=None):
        """The plaintext; raises RemoteError "payload" for a wrong tag, before anything is decrypted (O-044)."""
        if len(key_and_tag) != 48:
            raise RemoteError("payload", "key length")
        cipher_key, mac_key, iv = _split(hkdf_sha256(key_and_tag[:32], _ZEROS, b"OMEMO Payload", 80))
        if not equal(hmac_sha256(mac_key, ciphertext)[:16], key_and_tag[32:]):
            raise RemoteError("payload", "tag")
        return cbc_decrypt(cipher_key, iv, ciphertext)


class _Legacy:
    """Stands for `motemo.omemo.legacy`, which is seldom needed: its names are this object's."""

    number = elements.LEGACY

    def __getattr__(self, name):
        return getattr(__import__(_LEGACY, None, None, (name,)), name)


OMEMO2 = _Omemo2()
LEGACY = _Legacy()


def by_number(number):
    """The dialect of that number; raises RemoteError "format"."""
    if number not in (1, 2):
        raise RemoteError("format", "dialect")
    return OMEMO2 if number == 2 else LEGACY


def using(number, function, *arguments):
    """The result of a function that works with the dialect of that number."""
    if number == LEGACY.number:
        return overlay.call(_LEGACY, "run", function, *arguments)
    return function(*arguments)


def message_keys(dialect, message_key):
    """(cipher key, MAC key, IV) of one ratchet message (O-030)."""
    return _split(hkdf_sha256(message_key, _ZEROS, dialect.message_info, 80))


def _split(material):
    return material[:32], material[32:64], material[64:]

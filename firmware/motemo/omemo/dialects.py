"""The two OMEMO generations as data and small framing functions; X3DH and the ratchet exist once.

`OMEMO2` is `urn:xmpp:omemo:2` (XEP-0384 0.9.1).
"""

from motemo.crypto.cipher import cbc_decrypt, cbc_encrypt
from motemo.crypto.kdf import equal, hkdf_sha256, hmac_sha256
from motemo.crypto.random import random_bytes
from motemo.errors import RemoteError
from motemo.omemo import elements, wire

_ZEROS = bytes(32)


class _Omemo2:
    """The constants of section "Double Ratchet" and the framing of section "Protobuf schema"."""

    number = elements.OMEMO2
    x3dh_info = b"OMEMO X3DH"
    root_info = b"OMEMO Root Chain"
    message_info = b"OMEMO Message Key Material"
    tag_length = 16
    empty = _ZEROS  # what the ratchet carries in an empty message (O-087)

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

    def encode_exchange(self, prekey_id, signed_prekey_id, identity_key, ephemeral, sealed):
        """An OMEMOKeyExchange."""
        return wire.encode((1, prekey_id), (2, signed_prekey_id), (3, identity_key), (4, ephemeral), (5, sealed))

    def decode_exchange(self, data):
        """(prekey id, signed prekey id, identity key, ephemeral key, sealed) of an OMEMOKeyExchange.

        Raises RemoteError "no-prekey" when it names no prekey (O-007) and "format" for an id out of range (O-069).
        """
        fields = wire.decode(data, ((2, 0), (3, 32), (4, 32), (5, -1)), ((1, 0),))
        if not fields.get(1):
            raise RemoteError("no-prekey", "the key exchange names none")
        if fields[1] > 0x7FFFFFFF or not 0 < fields[2] <= 0x7FFFFFFF:
            raise RemoteError("format", "prekey id")
        return fields[1], fields[2], fields[3], fields[4], fields[5]

    def encrypt_payload(self, plaintext):
        """(key and tag for the ratchet: 48 bytes, ciphertext), section "Message Encryption" (O-040 to O-043)."""
        key = random_bytes(32)
        cipher_key, mac_key, iv = _split(hkdf_sha256(key, _ZEROS, b"OMEMO Payload", 80))
        ciphertext = cbc_encrypt(cipher_key, iv, plaintext)
        return key + hmac_sha256(mac_key, ciphertext)[:16], ciphertext

    def decrypt_payload(self, key_and_tag, ciphertext):
        """The plaintext; raises RemoteError "payload" for a wrong tag, before anything is decrypted (O-044)."""
        if len(key_and_tag) != 48:
            raise RemoteError("payload", "key length")
        cipher_key, mac_key, iv = _split(hkdf_sha256(key_and_tag[:32], _ZEROS, b"OMEMO Payload", 80))
        if not equal(hmac_sha256(mac_key, ciphertext)[:16], key_and_tag[32:]):
            raise RemoteError("payload", "tag")
        return cbc_decrypt(cipher_key, iv, ciphertext)


OMEMO2 = _Omemo2()


def by_number(number):
    """The dialect of that number; raises RemoteError "format"."""
    if number != OMEMO2.number:
        raise RemoteError("format", "dialect")
    return OMEMO2


def message_keys(dialect, message_key):
    """(cipher key, MAC key, IV) of one ratchet message (O-030)."""
    return _split(hkdf_sha256(message_key, _ZEROS, dialect.message_info, 80))


def _split(material):
    return material[:32], material[32:64], material[64:]

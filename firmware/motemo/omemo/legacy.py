"""The dialect `eu.siacs.conversations.axolotl` (XEP-0384 0.3 and libsignal), with the names of `dialects.OMEMO2`.

Public keys travel as 33 bytes, the first of them 5. Loaded only while it is used (`dialects.using`).
"""

from motemo import overlay
from motemo.crypto.random import random_bytes
from motemo.errors import RemoteError
from motemo.omemo import wire

x3dh_info = b"WhisperText"
root_info = b"WhisperRatchet"
message_info = b"WhisperMessageKeys"
tag_length = 8

_VERSION = b"\x33"
_GCM = "motemo.crypto.gcm"


def run(function, *arguments):
    """The function's result; what it needs of this module meanwhile is there."""
    return function(*arguments)


def associated_data(_initiator, ours, theirs, sending):
    """Both identity keys, the sender's first: the order turns with the direction."""
    return _encode_key(ours) + _encode_key(theirs) if sending else _encode_key(theirs) + _encode_key(ours)


def encode_header(n, pn, dh, ciphertext):
    """The message without its tag: a version byte and the protobuf."""
    return _VERSION + wire.encode((1, _encode_key(dh)), (2, n), (3, pn), (4, ciphertext))


def decode_header(message):
    """(n, pn, dh, ciphertext)."""
    fields = wire.decode(_after_version(message), ((1, 33), (4, -1)), ((2, 0), (3, 0)))
    return fields.get(2, 0), fields.get(3, 0), _decode_key(fields[1]), fields[4]


def seal(message, tag):
    """Message and tag."""
    return message + tag


def unseal(data):
    """(message, tag), the message as the very bytes that came."""
    return data[:-tag_length], data[-tag_length:]


def encode_exchange(prekey_id, signed_prekey_id, identity_key, ephemeral, sealed):
    """A key exchange, without the registration id, which nobody uses."""
    fields = (1, prekey_id), (2, _encode_key(ephemeral)), (3, _encode_key(identity_key)), (4, sealed)
    return _VERSION + wire.encode(*fields, (6, signed_prekey_id))


def decode_exchange(data):
    """(prekey id, signed prekey id, identity key, ephemeral key, sealed); RemoteError "no-prekey" when it has none."""
    fields = wire.decode(_after_version(data), ((2, 33), (3, 33), (4, -1), (6, 0)), ((1, 0),))
    if 1 not in fields:
        raise RemoteError("no-prekey", "the key exchange names none")
    if max(fields[1], fields[6]) > 0xFFFFFFFF:
        raise RemoteError("format", "prekey id")
    return fields[1], fields[6], _decode_key(fields[3]), _decode_key(fields[2]), fields[4]


def encrypt_payload(plaintext):
    """(key and tag for the ratchet: 32 bytes, ciphertext, IV).

    Without a plaintext a key transport message: a key that nobody uses, and an IV for it.
    """
    key = random_bytes(16)
    iv = random_bytes(12)
    if plaintext is None:
        return key, None, iv
    ciphertext, tag = overlay.call(_GCM, "gcm_encrypt", key, iv, plaintext)
    return key + tag, ciphertext, iv


def decrypt_payload(key_and_tag, ciphertext, iv):
    """The plaintext; raises RemoteError "payload" for a wrong tag, before anything is decrypted."""
    if len(key_and_tag) != 32 or not iv:
        raise RemoteError("payload", "key length or IV")
    return overlay.call(_GCM, "gcm_decrypt", key_and_tag[:16], iv, ciphertext, key_and_tag[16:])


def _encode_key(key):
    return b"\5" + key


def _decode_key(key):
    if key[0] != 5:
        raise RemoteError("format", "type of key")
    return key[1:]


def _after_version(data):
    if data[:1] != _VERSION:
        raise RemoteError("format", "version")
    return data[1:]
